//! What a new project is to have: read from the command line, and written as a configuration. Passwords become variables of the
//! environment.

use std::path::Path;

use super::Arguments;
use crate::avro::Name;
use crate::cli::failure::Failure;
use crate::config::Config;
use crate::diagnostic::Finding;
use crate::sql::BATCH;
use crate::yaml;

/// The configuration of a project, in its folder.
pub(super) const CONFIG: &str = "config.yaml";
/// The variables that stand for secrets.
const DATABASE_PASSWORD: &str = "DATABASE_PASSWORD";
const REGISTRY_PASSWORD: &str = "REGISTRY_PASSWORD";
const REGISTRY_TOKEN: &str = "REGISTRY_TOKEN";
/// The longest name of a view, in characters: a table of MySQL has one of 64.
const VIEW_CHARACTERS_MAX: usize = 60;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub server: String,
    pub topic: String,
    /// Of the first view and of its table.
    pub view: String,
    /// Of the record that messages are.
    pub record: String,
    pub framing: Framing,
    pub database: String,
    pub registry: Option<Registry>,
}

/// What comes before the Avro bytes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Raw,
    SingleObject,
    Confluent,
}

/// Where the schema registry is.
#[derive(Clone, Debug)]
pub(super) struct Registry {
    pub url: String,
    /// The key and the value of what logs in.
    login: Vec<(&'static str, String)>,
}

impl Settings {
    /// What the command line says, for a topic whose framing is not known yet.
    ///
    /// # Errors
    /// A variable of the environment is missing.
    pub fn of(arguments: &Arguments, topic: &str) -> Result<Self, Failure> {
        let registry = arguments.registry.as_ref().map(|url| {
            let login = match &arguments.registry_user {
                Some(user) => vec![("username", user.clone()), ("password", variable(REGISTRY_PASSWORD))],
                None if arguments.registry_token => vec![("token", variable(REGISTRY_TOKEN))],
                None => Vec::new(),
            };
            Registry { url: url.clone(), login }
        });
        let framing = if registry.is_some() { Framing::Confluent } else { Framing::Raw };
        let settings = Self {
            server: arguments.kafka_server.clone(),
            topic: topic.to_owned(),
            view: view_name(topic),
            record: "message".to_owned(),
            framing,
            database: without_password(&arguments.database),
            registry,
        };
        let is_missing = |name: &&str| *name != DATABASE_PASSWORD && std::env::var(name).is_err();
        if let Some(name) = settings.variables().into_iter().find(is_missing) {
            let found = Finding::new(format!("the environment variable {name} is not set"));
            let hint = format!("the registry is asked with it: `export {name}=...`");
            return Err(Failure::bad_command_line(found.with_hint(hint)));
        }
        Ok(settings)
    }

    /// The variables that stand for secrets in the configuration.
    pub fn variables(&self) -> Vec<&'static str> {
        let text = self.text();
        let all = [DATABASE_PASSWORD, REGISTRY_PASSWORD, REGISTRY_TOKEN];
        all.into_iter().filter(|name| text.contains(&variable(name))).collect()
    }

    /// Takes the name of a record for the topic, for want of another.
    pub fn name_topic(&mut self, record: &str) {
        self.view = view_name(record);
        self.topic.clone_from(&self.view);
    }

    /// Takes the name of the record that messages are.
    pub fn name_schema(&mut self, name: &Name) {
        let is_legal = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        self.record = name.short().chars().map(|c| if is_legal(c) { c } else { '_' }).collect();
    }

    pub fn schema_file(&self) -> String {
        format!("schemas/{}.avsc", self.record)
    }

    pub fn view_file(&self) -> String {
        format!("sql/{}.sql", self.view)
    }

    pub fn test_file(&self) -> String {
        format!("sql/tests/{}.yaml", self.view)
    }

    /// The text of the configuration.
    pub fn text(&self) -> String {
        let Self { server, topic, view, framing, database, registry, .. } = self;
        let line = |key: &str, value: &str, comment: &str| {
            let pair = format!("{key}: {}", written(value));
            format!("{pair:<47} # {comment}\n")
        };
        let mut text = "# Paths are relative to this file. ${NAME} and ${NAME:-default} come from the environment.\n\
                        # `realtime-processor config` shows all keys, with the values that they have if they are not written.\n\n"
            .to_owned();
        text += &line("kafka_server", server, "bootstrap servers, host:port separated by commas");
        text += &line("kafka_topic", topic, "one name, or a list");
        text += &line("avro_schema", &self.schema_file(), "what `batch` has in SQL");
        text += "\n";
        text += &match framing {
            Framing::Raw => line("avro_framing", "raw", "each message is an Avro record and nothing else"),
            Framing::SingleObject => {
                line("avro_framing", "single_object", "each message names its schema by a fingerprint")
            }
            Framing::Confluent => {
                line("avro_framing", "confluent", "each message names its schema by an id of the registry")
            }
        };
        if let Some(Registry { url, login }) = registry.as_ref().filter(|_| *framing == Framing::Confluent) {
            text += &format!("schema_registry:\n  url: {}\n", written(url));
            text.extend(login.iter().map(|(key, value)| format!("  {key}: {}\n", written(value))));
        }
        text += "\n";
        text += &line("job", view, "the name of the job and of its consumer group");
        text += &line("database", database, "mysql://user:password@host/name, or sqlite://file");
        text += "\n# Each output writes the rows of a view to a table. append: each row is new; or mode: upsert, key: [...]\n";
        let name = yaml::quoted(view);
        text + &format!("outputs:\n  {name}: {{ table: {name}, mode: append }}\n")
    }

    /// The configuration, checked.
    ///
    /// # Errors
    /// What the command line has is not valid.
    pub fn config(&self, dir: &Path) -> Result<Config, Failure> {
        // The password of the database is not needed yet.
        let variable = |name: &str| {
            std::env::var(name).ok().or_else(|| (name == DATABASE_PASSWORD).then(|| "password".to_owned()))
        };
        Config::parse(&dir.join(CONFIG), &self.text(), &variable).map_err(|error| {
            let found = error
                .diagnostics
                .into_iter()
                .map(|fault| Finding::new(fault.message).with_hint_if_some(fault.hint));
            Failure::bad_command_line(Finding::joined(found))
        })
    }
}

fn variable(name: &str) -> String {
    format!("${{{name}}}")
}

/// A value as the file has it: an address stays as people write it.
fn written(value: &str) -> String {
    let is_address_character = |c: char| c.is_ascii_alphanumeric() || ".:/,-_@?=%${}".contains(c);
    let is_address = value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && value.contains(':')
        && !value.ends_with(':')
        && value.chars().all(is_address_character);
    let is_variable = value.starts_with("${") && value.ends_with('}') && !value.contains(['"', '#', ' ']);
    if is_address || is_variable { value.to_owned() } else { yaml::quoted(value) }
}

/// An address of a database with a variable in place of its password, if it has one.
fn without_password(address: &str) -> String {
    let replaced = || {
        let (scheme, rest) = address.split_once("://")?;
        // The others have no user.
        let rest = ["mysql", "mariadb"].contains(&scheme.to_ascii_lowercase().as_str()).then_some(rest)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (user, after) = (rest[..end].rsplit_once('@')?.0, &rest[end..]);
        let host = &rest[user.len()..end];
        let (user, password) = user.split_once(':')?;
        let is_secret = !password.is_empty() && !password.starts_with("${");
        is_secret.then(|| format!("{scheme}://{user}:{}{host}{after}", variable(DATABASE_PASSWORD)))
    };
    replaced().unwrap_or_else(|| address.to_owned())
}

/// A name for a view and its table, made of a topic's.
fn view_name(topic: &str) -> String {
    let legal = topic.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    let name: String = legal.take(VIEW_CHARACTERS_MAX).collect();
    let name = name.trim_matches('_');
    // Names that SQL, the program or SQLite have.
    let is_taken = [BATCH, "db", "dead_letters", ""].contains(&name)
        || ["realtime_", "sqlite_"].iter().any(|taken| name.starts_with(taken))
        || name.starts_with(|c: char| c.is_ascii_digit());
    if is_taken { format!("messages_{name}").trim_end_matches('_').to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_written() {
        for (address, expected) in [
            ("mysql://u:p@h:3306/n", "mysql://u:${DATABASE_PASSWORD}@h:3306/n"),
            ("mysql://u:p%40@h/n?ssl-mode=required", "mysql://u:${DATABASE_PASSWORD}@h/n?ssl-mode=required"),
            ("mysql://u:p@q@h/n", "mysql://u:${DATABASE_PASSWORD}@h/n"),
            ("mariadb://u:p:q@[::1]:3306/n", "mariadb://u:${DATABASE_PASSWORD}@[::1]:3306/n"),
        ] {
            assert_eq!(without_password(address), expected);
        }
        for address in
            ["sqlite://a:b@c.db", "mysql://u@h/n", "mysql://u:${P}@h/n", "${DATABASE_URL:-sqlite://x.db}"]
        {
            assert_eq!(without_password(address), address);
        }
    }

    #[test]
    fn a_topic_gives_its_view_a_name_that_a_table_can_have() {
        for (topic, expected) in [
            ("customer_movements", "customer_movements"),
            ("Bank.Payments-v2", "bank_payments_v2"),
            ("2024.orders", "messages_2024_orders"),
            ("batch", "messages_batch"),
            ("dead_letters", "messages_dead_letters"),
            ("sqlite_x", "messages_sqlite_x"),
            ("...", "messages"),
        ] {
            assert_eq!(view_name(topic), expected);
        }
        assert_eq!(view_name(&"x".repeat(249)).len(), VIEW_CHARACTERS_MAX);
    }
}
