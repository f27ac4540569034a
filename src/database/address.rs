//! Where the database is: one parser turns the configured address into what the drivers need. Passwords never
//! leave this type by `Debug`, [`Address::redacted`] or an error.

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;

/// A parsed `database`: `mysql://user:password@host:port/name?options` or `sqlite://file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    MySql(MySqlAddress),
    Sqlite { path: PathBuf },
}

/// A MySQL or MariaDB server and a database on it.
#[derive(Clone, PartialEq, Eq)]
pub struct MySqlAddress {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Option<String>,
    pub database: String,
    pub tls: TlsMode,
    /// Certificates (PEM) that are trusted besides the built-in roots.
    pub tls_ca: Option<PathBuf>,
    /// The client's certificate chain and key (PEM), where the server asks for them.
    pub tls_identity: Option<(PathBuf, PathBuf)>,
}

/// The meaning of `ssl-mode`, the same as in MySQL's own clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    Disabled,
    /// TLS where the server has it; its certificate is not verified.
    Preferred,
    /// TLS or no connection; the certificate is not verified.
    Required,
    /// The certificate must lead to a trusted root.
    VerifyCa,
    /// And name the host.
    VerifyIdentity,
}

const FORMS: &str = "mysql://user:password@host:port/database, mariadb://... or sqlite://file";
const TLS_MODES: &str = "disabled, preferred, required, verify_ca, verify_identity";
const OPTIONS: &str = "ssl-mode, ssl-ca, ssl-cert, ssl-key";
const MYSQL_PORT: u16 = 3306;

impl Address {
    /// Reads an address. Relative paths in it are taken from `base_dir`, the configuration file's folder.
    ///
    /// Without `ssl-mode`, TLS is preferred, and not used towards this machine itself.
    ///
    /// # Errors
    /// What was found and what was expected. The text never holds the password.
    pub fn parse(text: &str, base_dir: &Path) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(format!("found an address without a scheme, expected {FORMS}"));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "sqlite" => sqlite(rest.strip_prefix("//").unwrap_or(rest), base_dir),
            "mysql" | "mariadb" => mysql(text, base_dir).map(Self::MySql),
            other => Err(format!("found the scheme `{}`, expected {FORMS}", shorten_scheme(other))),
        }
    }

    /// The address for people and logs, without the password.
    pub fn redacted(&self) -> String {
        match self {
            Self::Sqlite { path } => format!("sqlite://{}", path.display()),
            Self::MySql(a) => format!("mysql://{}@{}:{}/{}", a.user, a.host, a.port, a.database),
        }
    }
}

impl fmt::Debug for MySqlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, user, database, tls, .. } = self;
        write!(f, "MySqlAddress({user}@{host}:{port}/{database}, tls: {tls:?})")
    }
}

/// A scheme is short; anything longer may hold a secret.
fn shorten_scheme(scheme: &str) -> &str {
    if scheme.len() <= 16 && scheme.bytes().all(|b| b.is_ascii_alphanumeric()) { scheme } else { "..." }
}

fn sqlite(file: &str, base_dir: &Path) -> Result<Address, String> {
    if file.is_empty() {
        return Err("found sqlite:// without a file, expected sqlite://data/realtime.db".into());
    }
    if file.contains('?') {
        return Err("found options behind `?`, expected sqlite://file (it takes none)".into());
    }
    if file == ":memory:" {
        return Err("found sqlite::memory:, expected a file: offsets must outlive the process".into());
    }
    Ok(Address::Sqlite { path: base_dir.join(file) })
}

fn mysql(text: &str, base_dir: &Path) -> Result<MySqlAddress, String> {
    let url = Url::parse(text).map_err(|error| {
        format!(
            "found an address that is no URL ({error}), expected {FORMS}\n\
             hint: write special characters of user and password percent-encoded (`@` is %40, `/` is %2F)"
        )
    })?;
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| format!("found no host, expected {FORMS}"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_string();
    if url.username().is_empty() {
        return Err(format!("found no user, expected {FORMS}"));
    }
    let database = decode(url.path().trim_start_matches('/'))?;
    if database.is_empty() || database.contains('/') {
        return Err(format!("found no single database name behind the host, expected {FORMS}"));
    }
    let is_local = matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1");
    let mut address = MySqlAddress {
        port: url.port().unwrap_or(MYSQL_PORT),
        user: decode(url.username())?,
        password: url.password().map(decode).transpose()?,
        tls: if is_local { TlsMode::Disabled } else { TlsMode::Preferred },
        tls_ca: None,
        tls_identity: None,
        host,
        database,
    };
    let (mut certificate, mut key) = (None, None);
    for (name, value) in url.query_pairs() {
        match name.to_ascii_lowercase().replace('_', "-").as_str() {
            "ssl-mode" | "sslmode" => address.tls = tls_mode(&value)?,
            "ssl-ca" => address.tls_ca = Some(base_dir.join(&*value)),
            "ssl-cert" => certificate = Some(base_dir.join(&*value)),
            "ssl-key" => key = Some(base_dir.join(&*value)),
            _ => return Err(format!("found the unknown option `{name}`, expected one of {OPTIONS}")),
        }
    }
    address.tls_identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err("found one of ssl-cert and ssl-key, expected both or neither".into()),
    };
    Ok(address)
}

fn tls_mode(text: &str) -> Result<TlsMode, String> {
    match text.to_ascii_lowercase().replace('-', "_").as_str() {
        "disabled" => Ok(TlsMode::Disabled),
        "preferred" => Ok(TlsMode::Preferred),
        "required" => Ok(TlsMode::Required),
        "verify_ca" => Ok(TlsMode::VerifyCa),
        "verify_identity" => Ok(TlsMode::VerifyIdentity),
        _ => Err(format!("found ssl-mode `{text}`, expected one of {TLS_MODES}")),
    }
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Result<String, String> {
    const BAD: &str = "found a `%` that is not followed by two hexadecimal digits of UTF-8 text\n\
                       hint: a `%` itself is written %25";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first != b'%' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let digit = |index: usize| tail.get(index).and_then(|b| char::from(*b).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else { return Err(BAD.into()) };
        bytes.push((high * 16 + low) as u8);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| BAD.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, String> {
        Address::parse(text, Path::new("/etc/rt"))
    }

    #[test]
    fn a_mysql_address_is_decoded_and_never_shows_its_password() {
        let Ok(address) =
            parse("mysql://jo%40b:p%40ss%3Aw%2Frd@db.bank:3307/sales?ssl-mode=VERIFY_CA&ssl-ca=ca.pem")
        else {
            panic!("expected an address")
        };
        let Address::MySql(mysql) = &address else { panic!("expected MySQL") };
        assert_eq!((mysql.user.as_str(), mysql.password.as_deref()), ("jo@b", Some("p@ss:w/rd")));
        assert_eq!((mysql.host.as_str(), mysql.port, mysql.database.as_str()), ("db.bank", 3307, "sales"));
        assert_eq!(mysql.tls, TlsMode::VerifyCa);
        assert_eq!(mysql.tls_ca.as_deref(), Some(Path::new("/etc/rt/ca.pem")));
        assert_eq!(address.redacted(), "mysql://jo@b@db.bank:3307/sales");
        assert!(!format!("{address:?}").contains("p@ss"));
    }

    #[test]
    fn tls_is_preferred_but_not_towards_this_machine() {
        let tls = |text: &str| match parse(text) {
            Ok(Address::MySql(address)) => address.tls,
            other => panic!("{other:?}"),
        };
        assert_eq!(tls("mysql://u@db.bank/x"), TlsMode::Preferred);
        assert_eq!(tls("mariadb://u@127.0.0.1/x"), TlsMode::Disabled);
        assert_eq!(tls("mysql://u@127.0.0.1/x?ssl-mode=required"), TlsMode::Required);
    }

    #[test]
    fn files_are_relative_to_the_configuration() {
        let path = |text: &str| match parse(text) {
            Ok(Address::Sqlite { path }) => path,
            other => panic!("{other:?}"),
        };
        assert_eq!(path("sqlite://data/rt.db"), Path::new("/etc/rt/data/rt.db"));
        assert_eq!(path("sqlite:///var/rt.db"), Path::new("/var/rt.db"));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        for (text, expected) in [
            ("postgres://u:geheim@h/x", "found the scheme `postgres`"),
            ("geheim", "without a scheme"),
            ("mysql://u:geheim@h", "no single database name"),
            ("mysql://u:ge%zzheim@h/x", "two hexadecimal digits"),
            ("mysql://u:geheim@h:99999/x", "no URL"),
            ("mysql://:geheim@h/x", "no user"),
            ("mysql://u:geheim@h/x?tsl=1", "unknown option `tsl`"),
            ("mysql://u:geheim@h/x?ssl-mode=on", "found ssl-mode `on`"),
            ("mysql://u:geheim@h/x?ssl-key=a", "both or neither"),
            ("sqlite://", "without a file"),
            ("sqlite://a?mode=ro", "options"),
        ] {
            let message = parse(text).expect_err(text);
            assert!(message.contains(expected), "{text}: {message}");
            assert!(!message.contains("geheim"), "{message}");
        }
    }
}
