//! What a database's error means, in one place for each database, by error code, with an allow-list for each
//! side. A code that stands in neither list stops the job: guessing would either lose rows or wait for ever.

use crate::batch::Fault;

/// A failure of a database or of the way to it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct DatabaseError {
    message: String,
    /// The server's own text, for finding the column in it.
    detail: String,
    code: Option<i64>,
    fault: Fault,
    is_connection_lost: bool,
}

impl DatabaseError {
    /// Whether data, infrastructure or neither is to blame.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// The server's error number: MySQL's, or SQLite's extended result code.
    pub fn code(&self) -> Option<i64> {
        self.code
    }

    /// True where a row was refused because there is one with its key.
    pub fn is_duplicate_key(&self) -> bool {
        // MySQL's ER_DUP_ENTRY and its form with the key's name; SQLite's constraints on primary and unique keys.
        matches!(self.code, Some(1062 | 1586 | 1555 | 2067))
    }

    /// True where the server does not take files from clients, or from this one.
    pub fn is_load_refused(&self) -> bool {
        // ER_CLIENT_LOCAL_FILES_DISABLED, and ER_NOT_ALLOWED_COMMAND of older servers.
        matches!(self.code, Some(3948 | 1148))
    }

    /// True where an expression of the statement has no value.
    pub(crate) fn is_out_of_range(&self) -> bool {
        // ER_DATA_OUT_OF_RANGE.
        self.code == Some(1690)
    }

    /// True where the transaction is larger than the server takes.
    pub fn is_of_size(&self) -> bool {
        // ER_TRANS_CACHE_FULL: above the binary log's cache.
        self.code == Some(1197)
    }

    /// True where the connection cannot be used any more.
    pub fn is_connection_lost(&self) -> bool {
        self.is_connection_lost
    }

    /// The column the database names in its message, where it names one.
    pub fn column(&self) -> Option<&str> {
        // MySQL: "Data too long for column 'x' at row 1", "Column 'x' cannot be null"; MariaDB: "column `db`.`t`.`x`".
        if let Some((_, rest)) = self.detail.split_once("olumn '") {
            return rest.split_once('\'').map(|(name, _)| name);
        }
        if let Some((_, rest)) = self.detail.split_once("olumn `") {
            let (path, _) = rest.split_once("` ")?;
            return path.rsplit('`').next();
        }
        // SQLite: "NOT NULL constraint failed: table.column".
        let (_, rest) = self.detail.split_once("constraint failed: ")?;
        let (_, column) = rest.split_once('.')?;
        column.chars().all(|c| c.is_alphanumeric() || c == '_').then_some(column)
    }

    /// Neither data nor infrastructure: the job stops.
    pub(crate) fn other(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { detail: message.clone(), message, code: None, fault: Fault::Other, is_connection_lost: false }
    }

    /// The connection is gone, or no answer came in time.
    pub(crate) fn lost(message: impl Into<String>) -> Self {
        Self { fault: Fault::Infrastructure, is_connection_lost: true, ..Self::other(message) }
    }

    /// The server cannot for now, and the connection stays.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Self { fault: Fault::Infrastructure, ..Self::other(message) }
    }

    /// The connection must not be used again.
    #[must_use]
    pub(crate) fn closing(mut self) -> Self {
        self.is_connection_lost = true;
        self
    }

    /// Says where or when it happened.
    #[must_use]
    pub(crate) fn context(mut self, context: &str) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    fn server(message: String, detail: &str, code: i64, fault: Fault) -> Self {
        Self { message, detail: detail.into(), code: Some(code), fault, is_connection_lost: false }
    }
}

impl From<mysql_async::Error> for DatabaseError {
    fn from(error: mysql_async::Error) -> Self {
        use mysql_async::{DriverError, Error, IoError};
        match error {
            Error::Server(error) => {
                let fault = mysql_fault(error.code, &error.message);
                let message = format!("mysql error {} ({}): {}", error.code, error.state, error.message);
                let mut built = Self::server(message, &error.message, i64::from(error.code), fault);
                built.is_connection_lost = MYSQL_LOST.contains(&error.code);
                if let Some(hint) = mysql_hint(error.code) {
                    built.message = format!("{}\nhint: {hint}", built.message);
                }
                built
            }
            Error::Io(IoError::Tls(error)) => Self {
                is_connection_lost: true,
                ..Self::other(format!("TLS to the database failed: {error}\nhint: see ssl-mode and ssl-ca"))
            },
            Error::Io(IoError::Io(error)) => Self::lost(format!("the way to the database failed: {error}")),
            Error::Driver(
                error @ (DriverError::UnknownAuthPlugin { .. }
                | DriverError::MysqlOldPasswordDisabled
                | DriverError::NoKeyFound
                | DriverError::NoClientSslFlagFromServer
                | DriverError::CleartextPluginDisabled
                | DriverError::StmtParamsMismatch { .. }
                | DriverError::StmtParamsNumberExceedsLimit { .. }
                | DriverError::PacketTooLarge),
            ) => Self { is_connection_lost: true, ..Self::other(error.to_string()) },
            Error::Driver(error) => Self::lost(format!("the connection to the database failed: {error}")),
            Error::Other(error) => Self { is_connection_lost: true, ..Self::other(error.to_string()) },
            Error::Url(error) => Self::other(error.to_string()),
        }
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => {
                let code = error.code().and_then(|code| code.parse::<i64>().ok()).unwrap_or(1);
                let message = format!("sqlite error {code}: {}", error.message());
                Self::server(message, error.message(), code, sqlite_fault(code))
            }
            sqlx::Error::Io(error) => Self::lost(format!("the database file failed: {error}")),
            sqlx::Error::WorkerCrashed => Self::lost("the database's thread ended"),
            error => Self::other(error.to_string()),
        }
    }
}

/// The connection is closed with these: server shutdown, idle too long, killed.
const MYSQL_LOST: &[u16] = &[
    1040, 1053, 1077, 1079, 1080, 1152, 1153, 1158, 1159, 1160, 1161, 1184, 1243, 1927, 2006, 2013, 3169,
    4031,
];

/// The database refuses a row. MySQL 9.7's and MariaDB 10.11's error references.
const MYSQL_DATA: &[u16] = &[
    1048, 1062, 1586, // NULL where NOT NULL; a duplicate in a unique index
    1118, // the row is too large for a page
    1153, 1301, // a packet above max_allowed_packet
    1197, // the transaction is above the binary log's cache: halving makes it smaller
    1216, 1217, 1451, 1452, // foreign keys
    1264, 1265, 1292, 1366, 1406, // out of range, truncated, wrong value, too long
    1300, 3854, 3988, // not text of the column's character set
    1365, 1690, 1411, 1441, // division by zero, out of range in an expression (generated columns)
    1369, // a view's CHECK OPTION
    1526, 1748, // no partition takes the row
    1644, // SIGNAL: a trigger refuses the row
    3140, 3141, 3150, 3156, 3157, 3158, // not JSON, or too large or deep
    3819, 4025, // CHECK: MySQL, MariaDB
];

/// The server is overloaded, restarting, full, read-only, or chose this session as a victim.
const MYSQL_INFRASTRUCTURE: &[u16] = &[
    1205, 1206, 1213, 1020, 1412, 1613, 1614, 3101, 3572, // lock waits, deadlocks, certification
    1021, 1026, 1114, 3675, // disk or table full, write failed
    1037, 1038, 1041, 1135, // out of memory or threads
    1040, 1203, 1226, 1461, 1637, // too many connections, statements, transactions; a user's limit
    1053, 1077, 1079, 1080, 1927, 3169, 4031, // shutdown, killed, idle too long
    1129, 1152, 1158, 1159, 1160, 1161, 1184, 2002, 2003, 2006, 2013, 2055, // the network
    1180, 1181, // COMMIT or ROLLBACK failed
    1243, 1615, // a prepared statement that the server no longer has
    1317, 1969, 3024, // interrupted, or over the server's time limit
    1792, 1836, 3032, 3168, // read-only, offline
];

fn mysql_fault(code: u16, message: &str) -> Fault {
    let mentions = |words: &[&str]| words.iter().any(|word| message.contains(word));
    match code {
        // "running with the --read-only option", and much else that is no matter of waiting.
        1290 if mentions(&["read-only", "read_only"]) => Fault::Infrastructure,
        // "WSREP has not yet prepared node for application use"; otherwise an unknown command.
        1047 if mentions(&["WSREP"]) => Fault::Infrastructure,
        // "Got error 28 ... from storage engine": no space left on the device.
        1030 if mentions(&["error 28 "]) => Fault::Infrastructure,
        _ if MYSQL_DATA.contains(&code) => Fault::Data,
        _ if MYSQL_INFRASTRUCTURE.contains(&code) => Fault::Infrastructure,
        _ => Fault::Other,
    }
}

fn mysql_hint(code: u16) -> Option<&'static str> {
    match code {
        1044 | 1045 | 1698 => Some("see user, password and host of `database`, and the user's rights on it"),
        1049 => Some("create it, or correct the name in `database`"),
        1142 | 1143 | 1227 | 1370 => Some("GRANT the right to the user of `database`"),
        1197 => Some("raise max_binlog_cache_size, or lower batch_rows_max"),
        _ => None,
    }
}

/// By the primary result code, the lowest byte: <https://www.sqlite.org/rescode.html>.
fn sqlite_fault(code: i64) -> Fault {
    match code & 0xff {
        18..=20 => Fault::Data, // TOOBIG, CONSTRAINT, MISMATCH
        // BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL
        5..=10 | 13..=15 => Fault::Infrastructure,
        _ => Fault::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_stands_on_both_sides() {
        for code in MYSQL_DATA {
            assert!(!MYSQL_INFRASTRUCTURE.contains(code), "{code} is both");
        }
    }

    #[test]
    fn codes_decide_and_unknown_ones_stop_the_job() {
        assert_eq!(mysql_fault(1406, ""), Fault::Data);
        assert_eq!(mysql_fault(1213, ""), Fault::Infrastructure);
        assert_eq!(mysql_fault(1146, "no such table"), Fault::Other);
        assert_eq!(mysql_fault(1290, "running with the --read-only option"), Fault::Infrastructure);
        assert_eq!(mysql_fault(1290, "running with the --secure-file-priv option"), Fault::Other);
        assert_eq!(sqlite_fault(2067), Fault::Data); // SQLITE_CONSTRAINT_UNIQUE
        assert_eq!(sqlite_fault(517), Fault::Infrastructure); // SQLITE_BUSY_SNAPSHOT
        assert_eq!(sqlite_fault(1), Fault::Other);
    }

    #[test]
    fn the_column_is_found_in_the_message() {
        let column = |text: &str| DatabaseError::other(text).column().map(str::to_string);
        assert_eq!(column("Data too long for column 'name' at row 1").as_deref(), Some("name"));
        assert_eq!(column("Incorrect value: 'x' for column `db`.`t`.`day` at row 1").as_deref(), Some("day"));
        assert_eq!(column("NOT NULL constraint failed: t.name").as_deref(), Some("name"));
        assert_eq!(column("Deadlock found"), None);
    }
}
