//! `schema_registry`: where the registry is and how this program proves who it is. What is written there may be a secret,
//! so no fault repeats a value, and nothing here can be printed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::keys::REGISTRY;
use super::read::Keys;
use crate::yaml::{Fault, Section, Spot, Value};

const TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// A schema registry that speaks Confluent's REST API.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryConfig {
    /// One or several addresses of the same registry, without credentials.
    pub urls: Vec<Url>,
    pub login: Login,
    /// Certificates that the registry's must be signed by, as PEM; the system's where `None`.
    pub ca: Option<PathBuf>,
    /// The certificate of this program, as PEM.
    pub identity: Option<Identity>,
    /// For one request.
    pub timeout: Duration,
}

/// A client certificate and its key, both PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// How requests are authorized.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    Nobody,
    Basic {
        username: String,
        password: Secret,
    },
    Bearer(Secret),
    /// A token from an OAuth server, by client credentials.
    OAuth {
        token_url: Url,
        client_id: String,
        secret: Secret,
        scope: Option<String>,
    },
}

/// A password, or the file that holds it.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    Text(String),
    /// Read for each use, so that it may change while a job runs.
    File(PathBuf),
}

impl Login {
    /// The address of the OAuth server.
    pub fn token_url(&self) -> Option<&Url> {
        match self {
            Self::OAuth { token_url, .. } => Some(token_url),
            _ => None,
        }
    }
}

impl Secret {
    /// The secret as it is now.
    ///
    /// # Errors
    /// The file cannot be read, or is empty.
    pub fn read(&self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(file) => super::database::read_password(file),
        }
    }
}

impl RegistryConfig {
    /// The addresses, for messages.
    pub fn shown(&self) -> String {
        let urls: Vec<&str> = self.urls.iter().map(Url::as_str).collect();
        urls.join(", ")
    }
}

/// Why: everything else may be a secret.
impl fmt::Debug for RegistryConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegistryConfig({})", self.shown())
    }
}

/// `None` where the key is absent, or together with a fault.
pub(super) fn read_registry(
    section: &mut Section<'_>,
    base: &Path,
    faults: &mut Vec<Fault>,
) -> Option<RegistryConfig> {
    let node = section.node("schema_registry")?;
    let spot = section.spot("schema_registry");
    if !matches!(node.value, Value::Map(_)) {
        let message = "schema_registry: expected a mapping";
        faults.push(Fault::new(spot, message).hint("schema_registry: { url: http://127.0.0.1:8081 }"));
        return None;
    }
    let mut section = Section::new("schema_registry", spot, node).map_err(|fault| faults.push(fault)).ok()?;
    let url_spot = section.spot("url");
    let urls = section.texts("url");
    if urls.is_none() {
        let fault = Fault::new(url_spot, "schema_registry.url is missing");
        section.fault(fault.hint("for example `url: http://127.0.0.1:8081`"));
    }
    let mut read = Vec::new();
    for text in urls.iter().flatten() {
        match read_url(text, "url") {
            Ok(url) => read.push(url),
            Err(message) => section.fault(Fault::new(url_spot, message)),
        }
    }
    let login = read_login(&mut section, base, spot);
    let ca = section.path("ca", base);
    let (certificate, key) = (section.path("certificate", base), section.path("key", base));
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
        (None, None) => None,
        _ => {
            let message = "schema_registry: found one of certificate and key, expected both";
            section.fault(Fault::new(section.spot("certificate"), message));
            None
        }
    };
    let timeout = Keys(REGISTRY).duration(&mut section, "timeout");
    if timeout < TIMEOUT_MIN {
        section.fault(Fault::new(section.spot("timeout"), "schema_registry.timeout: expected at least 1ms"));
    }
    section.finish(faults);
    Some(RegistryConfig { urls: urls.map(|_| read)?, login: login?, ca, identity, timeout })
}

/// One way to log in, or none. `None` together with a fault.
fn read_login(section: &mut Section<'_>, base: &Path, spot: Option<Spot>) -> Option<Login> {
    let username = section.text("username");
    let password = read_secret(section, "password", "password_file", base);
    let token = read_secret(section, "token", "token_file", base);
    let token_url_spot = section.spot("token_url");
    let token_url = section.text("token_url").map(|text| read_url(&text, "token_url"));
    let client_id = section.text("client_id");
    let client_secret = read_secret(section, "client_secret", "client_secret_file", base);
    let scope = section.text("scope");
    let mut refuse = |message: &str, hint: &str| {
        section.fault(Fault::new(spot, format!("schema_registry: {message}")).hint(hint));
        None
    };
    let is_oauth = token_url.is_some() || client_id.is_some() || client_secret.is_some();
    let ways = [username.is_some() || password.is_some(), token.is_some(), is_oauth];
    if ways.into_iter().filter(|is_used| *is_used).count() > 1 {
        return refuse(
            "found several ways to log in",
            "expected username and password, or token, or token_url with client_id and client_secret",
        );
    }
    match (username, password, token, token_url, client_id, client_secret) {
        (None, None, None, None, None, None) if scope.is_some() => {
            refuse("scope goes with token_url", "add token_url, client_id and client_secret")
        }
        (None, None, None, None, None, None) => Some(Login::Nobody),
        (Some(username), Some(password), ..) => Some(Login::Basic { username, password }),
        (Some(_), None, ..) => refuse("username without a password", "add password or password_file"),
        (None, Some(_), ..) => refuse("password without a username", "add username"),
        (.., Some(token), _, _, _) => Some(Login::Bearer(token)),
        (.., Some(Ok(token_url)), Some(client_id), Some(secret)) => {
            Some(Login::OAuth { token_url, client_id, secret, scope })
        }
        (.., Some(Err(message)), _, _) => {
            section.fault(Fault::new(token_url_spot, message));
            None
        }
        _ => refuse(
            "OAuth needs more",
            "expected token_url, client_id, and client_secret or client_secret_file",
        ),
    }
}

/// A secret, written or in a file.
fn read_secret(
    section: &mut Section<'_>,
    key: &'static str,
    file_key: &'static str,
    base: &Path,
) -> Option<Secret> {
    let (text, file) = (section.text(key), section.path(file_key, base));
    match (text, file) {
        (Some(_), Some(_)) => {
            let message = format!("schema_registry: found {key} and {file_key}, expected one of them");
            section.fault(Fault::new(section.spot(file_key), message));
            None
        }
        (text, file) => text.map(Secret::Text).or(file.map(Secret::File)),
    }
}

/// Why no value: an address may hold a password, in places where nobody expects it.
fn read_url(text: &str, key: &str) -> Result<Url, String> {
    let expected = "expected an address such as http://127.0.0.1:8081";
    let url = Url::parse(text).map_err(|error| format!("schema_registry.{key}: {error}; {expected}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("schema_registry.{key}: neither http nor https; {expected}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!(
            "schema_registry.{key}: found a user in the address, expected the keys username and password"
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("schema_registry.{key}: found `?` or `#`; {expected}"));
    }
    Ok(url)
}
