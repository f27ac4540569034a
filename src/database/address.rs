//! Where the database is: one parser turns the configured address into what the drivers need. Passwords never
//! leave this type by `Debug`, [`Address::redacted`] or an error. An address that cannot be parsed may be a password in
//! any of its parts, so an error repeats nothing of it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::diagnostic::Finding;
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

impl TlsMode {
    const ALL: [Self; 5] =
        [Self::Disabled, Self::Preferred, Self::Required, Self::VerifyCa, Self::VerifyIdentity];

    /// As `ssl-mode` has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Preferred => "preferred",
            Self::Required => "required",
            Self::VerifyCa => "verify_ca",
            Self::VerifyIdentity => "verify_identity",
        }
    }
}

const FORMS: &str = "mysql://user:password@host:port/database, mariadb://... or sqlite://file";
/// What an address may say of TLS after its `?`, and `database` as a mapping by the same names.
pub(crate) const TLS_OPTIONS: [&str; 4] = ["ssl-mode", "ssl-ca", "ssl-cert", "ssl-key"];
const MYSQL_PORT: u16 = 3306;
const ENCODING_HINT: &str = "in an address, write these characters of user and password percent-encoded: % as %25, \
    @ as %40, : as %3A, / as %2F, ? as %3F, # as %23; or write `database` as a mapping of host, user, password and name";

impl Address {
    /// Reads an address. Relative paths in it are taken from `base_dir`, the configuration file's folder.
    ///
    /// Without `ssl-mode`, TLS is preferred, and not used towards this machine itself.
    ///
    /// # Errors
    /// What is wrong and what was expected. The text repeats nothing of the address.
    pub fn parse(text: &str, base_dir: &Path) -> Result<Self, Finding> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(format!("found an address without a scheme, expected {FORMS}").into());
        };
        match scheme.to_ascii_lowercase().as_str() {
            "sqlite" => Ok(sqlite(rest.strip_prefix("//").unwrap_or(rest), base_dir)?),
            "mysql" | "mariadb" => mysql(text, base_dir).map(Self::MySql),
            _ => Err(format!("found an unknown scheme, expected {FORMS}").into()),
        }
    }

    /// Whether it is a SQLite file that is not there.
    pub fn is_missing_file(&self) -> bool {
        matches!(self, Self::Sqlite { path } if !path.exists())
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

/// The text of an address in which the `inserted` parts came from variables: those are percent-encoded, so that a password
/// stays one whatever its characters are. An address that is one variable as a whole stays as it is.
pub(crate) fn encode_inserted<'a>(text: &'a str, inserted: &[Range<usize>]) -> Cow<'a, str> {
    let is_whole = matches!(inserted, [only] if *only == (0..text.len()));
    let Some((scheme, _)) = text.split_once("://") else { return text.into() };
    let is_server = matches!(scheme.to_ascii_lowercase().as_str(), "mysql" | "mariadb");
    if inserted.is_empty() || is_whole || !is_server {
        return text.into();
    }
    let mut encoded = String::with_capacity(text.len());
    let mut rest = 0;
    for range in inserted.iter().filter(|range| range.start >= scheme.len()) {
        encoded.push_str(&text[rest..range.start]);
        // A variable for the host may hold the port too.
        let authority = encoded.get(scheme.len() + 3..).unwrap_or_default();
        let is_host = authority.contains('@') && !authority.contains(['/', '?', '#']);
        for byte in text[range.clone()].bytes() {
            let is_plain = byte.is_ascii_alphanumeric()
                || matches!(byte, b'-' | b'.' | b'_' | b'~')
                || (is_host && matches!(byte, b':' | b'[' | b']'));
            match is_plain {
                true => encoded.push(char::from(byte)),
                false => encoded.push_str(&format!("%{byte:02X}")),
            }
        }
        rest = range.end;
    }
    encoded.push_str(&text[rest..]);
    encoded.into()
}

fn sqlite(file: &str, base_dir: &Path) -> Result<Address, String> {
    if file.is_empty() {
        return Err("found sqlite:// without a file, expected sqlite://data/realtime.db".into());
    }
    if file.contains('?') {
        return Err("found options after `?`, expected sqlite://file (it takes none)".into());
    }
    if file == ":memory:" {
        return Err("found sqlite::memory:, expected a file: offsets must outlive the process".into());
    }
    Ok(Address::Sqlite { path: base_dir.join(file) })
}

fn mysql(text: &str, base_dir: &Path) -> Result<MySqlAddress, Finding> {
    // Why: where one of these is part of a password, what is taken for host, name and options is a part of it too.
    let after_scheme = text.split_once("://").map_or("", |(_, rest)| rest);
    let authority_end = after_scheme.find(['/', '?', '#']).unwrap_or(after_scheme.len());
    if after_scheme[authority_end..].contains(['@', '#']) {
        let found = "found `#`, or `@` after the first `/` or `?`";
        return Err(Finding::new(format!("{found}, expected {FORMS}")).with_hint(ENCODING_HINT));
    }
    let url = Url::parse(text).map_err(|error| {
        Finding::new(format!("found an address that is no URL ({error}), expected {FORMS}"))
            .with_hint(ENCODING_HINT)
    })?;
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| format!("found no host, expected {FORMS}"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_string();
    if url.username().is_empty() {
        return Err(format!("found no user, expected {FORMS}").into());
    }
    let (user, password) = (decode(url.username())?, url.password().map(decode).transpose()?);
    if password.is_none() && user.contains(':') {
        let found = Finding::new(format!("found a user with `:` and no password, expected {FORMS}"));
        return Err(found.with_hint(
            "a variable is the whole address or one part of it, as mysql://${USER}:${PASSWORD}@host/name",
        ));
    }
    let database = decode(url.path().trim_start_matches('/'))?;
    if database.is_empty() || database.contains('/') {
        return Err(format!("found no single database name after the host, expected {FORMS}").into());
    }
    let address = MySqlAddress::new(host, url.port(), user, password, database);
    Ok(address.with_tls(url.query_pairs(), base_dir)?)
}

impl MySqlAddress {
    /// A server's address, with TLS preferred, and not used towards this machine itself.
    pub(crate) fn new(
        host: String,
        port: Option<u16>,
        user: String,
        password: Option<String>,
        database: String,
    ) -> Self {
        let is_local = matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1");
        let tls = if is_local { TlsMode::Disabled } else { TlsMode::Preferred };
        let port = port.unwrap_or(MYSQL_PORT);
        Self { host, port, user, password, database, tls, tls_ca: None, tls_identity: None }
    }

    /// The same with TLS options by name. Relative paths are taken from `base_dir`.
    ///
    /// # Errors
    /// An unknown option or value, which is not repeated.
    pub(crate) fn with_tls<'o>(
        mut self,
        options: impl Iterator<Item = (Cow<'o, str>, Cow<'o, str>)>,
        base_dir: &Path,
    ) -> Result<Self, String> {
        let (mut certificate, mut key) = (None, None);
        for (name, value) in options {
            match name.to_ascii_lowercase().replace('_', "-").as_str() {
                "ssl-mode" | "sslmode" => self.tls = tls_mode(&value)?,
                "ssl-ca" => self.tls_ca = Some(base_dir.join(&*value)),
                "ssl-cert" => certificate = Some(base_dir.join(&*value)),
                "ssl-key" => key = Some(base_dir.join(&*value)),
                _ => {
                    let options = TLS_OPTIONS.join(", ");
                    return Err(format!("found an unknown option after `?`, expected one of {options}"));
                }
            }
        }
        self.tls_identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err("found one of ssl-cert and ssl-key, expected both or neither".into()),
        };
        Ok(self)
    }
}

fn tls_mode(text: &str) -> Result<TlsMode, String> {
    let word = text.to_ascii_lowercase().replace('-', "_");
    TlsMode::ALL.into_iter().find(|mode| mode.word() == word).ok_or_else(|| {
        let words = TlsMode::ALL.map(TlsMode::word).join(", ");
        format!("found an unknown ssl-mode, expected one of {words}")
    })
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Result<String, Finding> {
    let bad = || {
        Finding::new("found a `%` that is not followed by two hexadecimal digits of UTF-8 text")
            .with_hint("a `%` itself is written %25")
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first != b'%' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let digit = |index: usize| tail.get(index).and_then(|b| char::from(*b).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else { return Err(bad()) };
        bytes.push((high * 16 + low) as u8);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, String> {
        Address::parse(text, Path::new("/etc/rt")).map_err(|found| found.to_string())
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
    fn variables_are_encoded_in_the_part_they_stand_in() {
        let secret = "p@ss/wo:rd#1?%41 &+\u{fc}\"'";
        for (template, values) in [
            ("mysql://u:<>@h/x", vec![secret]),
            ("mysql://<>:<>@h:3306/x", vec!["u", secret]),
            ("mysql://<>:<>@<>/<>", vec!["u", secret, "h:3306", "x"]),
        ] {
            let (mut text, mut inserted) = (String::new(), Vec::new());
            let mut values = values.into_iter();
            for (index, piece) in template.split("<>").enumerate() {
                if index > 0 {
                    let start = text.len();
                    text.push_str(values.next().expect("a value"));
                    inserted.push(start..text.len());
                }
                text.push_str(piece);
            }
            let Ok(Address::MySql(found)) = parse(&encode_inserted(&text, &inserted)) else {
                panic!("expected an address: {template}")
            };
            assert_eq!((found.user.as_str(), found.password.as_deref()), ("u", Some(secret)), "{template}");
            assert_eq!((found.host.as_str(), found.port, found.database.as_str()), ("h", 3306, "x"));
        }
        let whole = "mysql://u:p%40ss@h/x";
        let one = |range: Range<usize>| vec![range];
        assert_eq!(encode_inserted(whole, &one(0..whole.len())), whole);
        assert_eq!(encode_inserted("sqlite:///var/a b.db", &one(9..20)), "sqlite:///var/a b.db");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        for (text, expected) in [
            ("postgres://u:geheim@h/x", "found an unknown scheme"),
            ("geheim", "without a scheme"),
            ("geheim:heimge", "found an unknown scheme"),
            ("mysql://u:12/geheim@h/x", "after the first `/` or `?`"),
            ("mysql://us@er:12/geheim@h/x", "after the first `/` or `?`"),
            ("mysql://us@er:12/x?geheim@h/x", "after the first `/` or `?`"),
            ("mysql://u:12#geheim@h/x", "found `#`"),
            ("mysql://u%3Ageheim@h/x", "a user with `:`"),
            ("mysql://u:p@h/x?geheim=1", "an unknown option"),
            ("mysql://u:p@h/x?ssl-mode=geheim", "an unknown ssl-mode"),
            ("mysql://u:geheim@h", "no single database name"),
            ("mysql://u:ge%zzheim@h/x", "two hexadecimal digits"),
            ("mysql://u:geheim@h:99999/x", "no URL"),
            ("mysql://:geheim@h/x", "no user"),
            ("mysql://u:geheim@h/x?tsl=1", "unknown option"),
            ("mysql://u:geheim@h/x?ssl-mode=on", "found an unknown ssl-mode"),
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
