//! The configuration in effect: what is written, with variables replaced and defaults filled in. Secrets are hidden.

use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::Config;
use super::file::names_secret;
use super::keys::{Absent, DATABASE, KEYS, Key, Kind};
use super::variables;
use crate::database::Address;
use crate::yaml::{self, Node, Value, boolean, is_number};

/// What is shown in place of a secret.
const HIDDEN: &str = "***";

/// Values of Kafka's properties that are no secrets, whatever the property.
const PUBLIC_WORDS: &[&str] = &[
    "plaintext",
    "ssl",
    "sasl_plaintext",
    "sasl_ssl",
    "plain",
    "scram-sha-256",
    "scram-sha-512",
    "gssapi",
    "oauthbearer",
];

impl Config {
    /// Every key with its value. `variable` returns the values of environment variables.
    ///
    /// What is hidden: passwords, tokens, properties of Kafka that may be secret, and every text that has the form of an
    /// address with a password.
    pub fn effective(&self, variable: &dyn Fn(&str) -> Option<String>) -> Json {
        let mut root = self.file.root();
        // A configuration that was read has no missing variables.
        variables::replace(&mut root, variable, &mut Vec::new());
        let mut all = section(KEYS, &root, true);
        if let Address::MySql(_) = &self.database {
            all.insert("database".into(), self.database_parts(&root));
        }
        Json::Object(all)
    }

    /// The parts of an address, which may be written as one text.
    fn database_parts(&self, root: &Node) -> Json {
        let written = root.entry("database").map(|(_, node)| node);
        if let Some(node) = written.filter(|node| matches!(node.value, Value::Map(_))) {
            return Json::Object(section(DATABASE, node, false));
        }
        let Address::MySql(address) = &self.database else { return Json::Null };
        let mut parts = json!({ "host": address.host, "port": address.port, "user": address.user });
        if address.password.is_some() {
            parts["password"] = HIDDEN.into();
        }
        parts["name"] = address.database.clone().into();
        parts["ssl-mode"] = address.tls.word().into();
        let base = self.file.path.parent().unwrap_or(Path::new(""));
        let (certificate, key) = address.tls_identity.as_ref().map(|(one, other)| (one, other)).unzip();
        for (name, path) in [("ssl-ca", address.tls_ca.as_ref()), ("ssl-cert", certificate), ("ssl-key", key)]
        {
            if let Some(path) = path {
                parts[name] = path.strip_prefix(base).unwrap_or(path).to_string_lossy().into();
            }
        }
        parts
    }
}

/// The keys of a section. Those that are nothing are left out, unless `shows_null`.
fn section(keys: &[Key], node: &Node, shows_null: bool) -> Map<String, Json> {
    let mut values = Map::new();
    for key in keys {
        let written = node.entry(key.name).map(|(_, value)| value).filter(|value| !value.is_null());
        let value = match (written, key.absent) {
            (Some(node), _) => shown(key.kind, node),
            (None, Absent::Is(default)) => yaml::to_json(default),
            (None, Absent::Error | Absent::Means(_)) => Json::Null,
        };
        if shows_null || !value.is_null() {
            values.insert(key.name.to_owned(), value);
        }
    }
    values
}

fn shown(kind: Kind, node: &Node) -> Json {
    match (kind, &node.value) {
        (Kind::Secret, _) => HIDDEN.into(),
        (Kind::Section(keys) | Kind::Database(keys), Value::Map(_)) => section(keys, node, false).into(),
        (Kind::Named(keys), Value::Map(entries)) => {
            let entry = |(name, node): &(Node, Node)| {
                Some((name.text()?.to_owned(), section(keys, node, false).into()))
            };
            Json::Object(entries.iter().filter_map(entry).collect())
        }
        (Kind::Properties, Value::Map(entries)) => {
            let entry = |(name, node): &(Node, Node)| {
                let name = name.text()?;
                let value = if is_secret_property(name, node) { HIDDEN.into() } else { text(node) };
                Some((name.to_owned(), value))
            };
            Json::Object(entries.iter().filter_map(entry).collect())
        }
        (Kind::Count { .. }, Value::Scalar { text, .. }) => yaml::to_json(&text.replace('_', "")),
        (Kind::Ratio | Kind::Boolean, Value::Scalar { text, .. }) => yaml::to_json(text),
        _ => text(node),
    }
}

/// A property is shown only if its value says that it is no secret: a password may be under a misspelt or a wrong name.
fn is_secret_property(name: &str, node: &Node) -> bool {
    let Value::Scalar { text, inserted, .. } = &node.value else { return true };
    let name = name.to_lowercase();
    let is_of_login = name.starts_with("sasl.") || name.starts_with("ssl.");
    let is_setting = !is_of_login && (is_number(text) || boolean(text).is_some());
    let is_public = is_setting || PUBLIC_WORDS.contains(&text.to_lowercase().as_str());
    !is_public || names_secret(&name) || !inserted.is_empty()
}

/// Texts as texts, whatever they look like.
fn text(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        // Why: an address may hold a password, in places where nobody expects it.
        Value::Scalar { text, .. } if text.contains("://") && text.contains('@') => HIDDEN.into(),
        Value::Scalar { text, .. } => text.clone().into(),
        Value::List(items) => items.iter().map(text).collect(),
        Value::Map(entries) => {
            let entry = |(name, value): &(Node, Node)| Some((name.text()?.to_owned(), text(value)));
            Json::Object(entries.iter().filter_map(entry).collect())
        }
    }
}
