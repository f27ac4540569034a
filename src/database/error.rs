//! What a database's error means, in one place for each database, by error code, with an allow-list for each
//! side. MySQL's codes in neither list are told by the class of their SQLSTATE. What is left stops the job: guessing would
//! either lose rows or wait for ever.

use crate::batch::Fault;
use crate::diagnostic::Finding;

/// A failure of a database or of the way to it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{found}")]
pub struct DatabaseError {
    found: Box<Finding>,
    /// The server's own text, for finding names in it.
    detail: String,
    code: Option<i64>,
    kind: Kind,
    is_unreachable: bool,
}

/// What an error code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    fault: Fault,
    connection: After,
    /// The statement or the transaction may be too large as a whole.
    is_of_size: bool,
}

/// What becomes of the connection that an error came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// It is used again.
    Kept,
    /// The server answered, and no other answer is to be expected of it: the address may lead to another one by now.
    Left,
    /// It is broken, so nothing is known of the statements without an answer.
    Lost,
}

/// The key that a row is a duplicate in, as far as the database names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DuplicateKey<'a> {
    /// An index of this table.
    OfTable { table: &'a str, index: &'a str },
    /// An index; a trigger may have written to another table.
    Index(&'a str),
    /// These columns of a table.
    Columns { table: &'a str, columns: Vec<&'a str> },
}

impl DatabaseError {
    /// What went wrong, and what to do about it.
    pub fn found(&self) -> &Finding {
        &self.found
    }

    /// Whether data, infrastructure or neither is to blame.
    pub fn fault(&self) -> Fault {
        self.kind.fault
    }

    /// The server's error number: MySQL's, or SQLite's extended result code.
    pub fn code(&self) -> Option<i64> {
        self.code
    }

    /// The key, if a row was refused because there is one with its key.
    pub fn duplicate_key(&self) -> Option<DuplicateKey<'_>> {
        match self.code? {
            // ER_DUP_ENTRY and its form with the key's name: "Duplicate entry '1' for key 'table.PRIMARY'"; MariaDB and
            // MySQL before 8.0.19 leave the table out.
            1062 | 1586 => {
                let (_, key) = self.detail.rsplit_once(" for key '")?;
                let key = key.split_once('\'').map_or(key, |(key, _)| key);
                Some(match key.split_once('.') {
                    Some((table, index)) => DuplicateKey::OfTable { table, index },
                    None => DuplicateKey::Index(key),
                })
            }
            // Constraints on primary and unique keys: "UNIQUE constraint failed: table.a, table.b".
            1555 | 2067 => {
                let (_, names) = self.detail.split_once("constraint failed: ")?;
                let names: Vec<(&str, &str)> =
                    names.split(", ").map(|name| name.split_once('.').unwrap_or(("", name))).collect();
                let columns = names.iter().map(|(_, column)| *column).collect();
                Some(DuplicateKey::Columns { table: names.first()?.0, columns })
            }
            _ => None,
        }
    }

    /// The name of the condition that a row broke, or the condition itself: a name is all that MySQL says.
    pub fn broken_check(&self) -> Option<&str> {
        let between = |open: &str, close: &str| {
            self.detail.split_once(open).and_then(|(_, rest)| Some(rest.split_once(close)?.0))
        };
        match self.code? {
            // "Check constraint 'positive' is violated."; MariaDB: "CONSTRAINT `positive` failed for `db`.`t`".
            3819 => between("'", "'"),
            4025 => between("`", "`"),
            275 => self.detail.split_once("constraint failed: ").map(|(_, name)| name),
            _ => None,
        }
    }

    /// The name of the foreign key of this table whose parent a row lacks; empty if the database does not name it.
    pub fn missing_parent(&self, of_table: &str) -> Option<&str> {
        match self.code? {
            787 => Some(""),
            // "... a foreign key constraint fails (`db`.`t`, CONSTRAINT `name` FOREIGN KEY ...". 1216 names nothing.
            1216 => Some(""),
            1452 => {
                let (_, rest) = self.detail.split_once("`.`")?;
                let (table, rest) = rest.split_once('`')?;
                let name =
                    rest.split_once("CONSTRAINT `").and_then(|(_, rest)| Some(rest.split_once('`')?.0));
                table.eq_ignore_ascii_case(of_table).then_some(name.unwrap_or_default())
            }
            _ => None,
        }
    }

    /// Which row of a statement of many the database names, counted from 0. It may be wrong: a trigger counts its own.
    pub fn row(&self) -> Option<usize> {
        // MySQL: "Data too long for column 'x' at row 3".
        let (_, row) = self.detail.rsplit_once(" at row ")?;
        row.parse::<usize>().ok()?.checked_sub(1)
    }

    /// True if a row was refused for what it is, whatever other rows there are: a CHECK, a NULL, a length, a missing
    /// parent. A duplicate is one only beside another row.
    pub fn is_of_row_alone(&self) -> bool {
        // MySQL and MariaDB; SQLite's constraints CHECK, FOREIGN KEY, NOT NULL and DATATYPE.
        const ALONE: &[i64] =
            &[1048, 1216, 1264, 1265, 1292, 1300, 1366, 1406, 1452, 3819, 4025, 275, 787, 1299, 3091];
        self.code.is_some_and(|code| ALONE.contains(&code))
    }

    /// True if the server does not take files from clients, or from this one.
    pub fn is_load_refused(&self) -> bool {
        // ER_CLIENT_LOCAL_FILES_DISABLED, and ER_NOT_ALLOWED_COMMAND of older servers.
        matches!(self.code, Some(3948 | 1148))
    }

    /// True if there was no transaction to end. SQLite has no code for it.
    pub(crate) fn is_without_transaction(&self) -> bool {
        self.detail.contains("no transaction is active")
    }

    /// True if an expression of the statement has no value.
    pub(crate) fn is_out_of_range(&self) -> bool {
        // ER_DATA_OUT_OF_RANGE.
        self.code == Some(1690)
    }

    /// True if the server has no such system variable.
    pub(crate) fn is_unknown_variable(&self) -> bool {
        // ER_UNKNOWN_SYSTEM_VARIABLE.
        self.code == Some(1193)
    }

    /// True if the statement or the transaction may be larger than the server takes, so that a smaller one passes.
    pub fn is_of_size(&self) -> bool {
        self.kind.is_of_size
    }

    /// True if the connection is broken: nothing is known of the statements without an answer.
    pub fn is_connection_lost(&self) -> bool {
        self.kind.connection == After::Lost
    }

    /// True if the connection must not be used again, because it is broken or because its server must be left.
    pub fn ends_connection(&self) -> bool {
        self.kind.connection != After::Kept
    }

    /// True if there was no connection at all, so the error says nothing about what was to be sent.
    pub fn is_unreachable(&self) -> bool {
        self.is_unreachable
    }

    /// The column of this table that the database names in its message, if it names one. A message that names no table is
    /// taken to be about this one.
    pub fn column(&self, of_table: &str) -> Option<&str> {
        // MySQL: "Data too long for column 'x' at row 1", "Column 'x' cannot be null", of JSON "for column 't.x'"; MariaDB:
        // "column `db`.`t`.`x`".
        if let Some((_, rest)) = self.detail.split_once("olumn '") {
            let (name, _) = rest.split_once('\'')?;
            let of_json = name.split_once('.').filter(|_| self.detail.contains("Invalid JSON text"));
            return match of_json {
                Some((table, column)) => table.eq_ignore_ascii_case(of_table).then_some(column),
                None => Some(name),
            };
        }
        if let Some((_, rest)) = self.detail.split_once("olumn `") {
            let (path, _) = rest.split_once("` ")?;
            let mut names = path.split("`.`").collect::<Vec<_>>().into_iter().rev();
            let column = names.next()?;
            return names.next().is_none_or(|table| table.eq_ignore_ascii_case(of_table)).then_some(column);
        }
        // SQLite: "NOT NULL constraint failed: table.column", "cannot store TEXT value in INTEGER column table.column".
        let (_, rest) =
            ["constraint failed: ", " column "].iter().find_map(|text| self.detail.split_once(text))?;
        let (table, column) = rest.split_once('.')?;
        if !table.eq_ignore_ascii_case(of_table) {
            return None;
        }
        column.chars().all(|c| c.is_alphanumeric() || c == '_').then_some(column)
    }

    /// Neither data nor infrastructure: the job stops.
    pub(crate) fn other(found: impl Into<Finding>) -> Self {
        Self::of(found, Kind::kept(Fault::Other))
    }

    /// The connection is gone, or no answer came in time.
    pub(crate) fn lost(found: impl Into<Finding>) -> Self {
        Self::of(found, Kind::lost(Fault::Infrastructure))
    }

    /// The server cannot for now, and the connection stays.
    pub(crate) fn busy(found: impl Into<Finding>) -> Self {
        Self::of(found, Kind::kept(Fault::Infrastructure))
    }

    /// The address leads to another server than before: what was read from that one must be dropped.
    pub(crate) fn moved(found: impl Into<Finding>) -> Self {
        Self::of(found, Kind::kept(Fault::Fenced))
    }

    /// The connection must not be used again.
    #[must_use]
    pub(crate) fn closing(mut self) -> Self {
        self.kind.connection = After::Lost;
        self
    }

    /// There is no connection.
    #[must_use]
    pub(crate) fn unreachable(mut self) -> Self {
        self.is_unreachable = true;
        self
    }

    /// Says where or when it happened.
    #[must_use]
    pub(crate) fn context(mut self, context: &str) -> Self {
        self.found = Box::new(self.found.within(context));
        self
    }

    /// Says more.
    #[must_use]
    pub fn detailed(mut self, detail: &str) -> Self {
        let said = |message: &str| format!("{}: {detail}", message.trim_end_matches('.'));
        self.found = Box::new(self.found.reworded(said));
        self
    }

    fn of(found: impl Into<Finding>, kind: Kind) -> Self {
        let found = found.into();
        Self {
            detail: found.message.clone(),
            found: Box::new(found),
            code: None,
            kind,
            is_unreachable: false,
        }
    }

    fn server(found: Finding, detail: &str, code: i64, kind: Kind) -> Self {
        Self { detail: detail.into(), code: Some(code), ..Self::of(found, kind) }
    }
}

impl Kind {
    const fn kept(fault: Fault) -> Self {
        Self { fault, connection: After::Kept, is_of_size: false }
    }

    const fn left(fault: Fault) -> Self {
        Self { fault, connection: After::Left, is_of_size: false }
    }

    const fn lost(fault: Fault) -> Self {
        Self { fault, connection: After::Lost, is_of_size: false }
    }

    const fn of_size(self) -> Self {
        Self { is_of_size: true, ..self }
    }
}

impl From<mysql_async::Error> for DatabaseError {
    fn from(error: mysql_async::Error) -> Self {
        use mysql_async::{DriverError, Error, IoError};
        match error {
            Error::Server(error) => {
                let kind = mysql_kind(error.code, &error.state, &error.message);
                let message = format!("mysql error {} ({}): {}", error.code, error.state, error.message);
                let found = Finding::new(message)
                    .with_hint_if_some(mysql_hint(error.code, &error.message).map(str::to_owned));
                Self::server(found, &error.message, i64::from(error.code), kind)
            }
            Error::Io(IoError::Tls(error)) => {
                let found = Finding::new(format!("TLS to the database failed: {error}"));
                Self::of(found.with_hint("see ssl-mode and ssl-ca"), Kind::lost(Fault::Other))
            }
            // Why by its text: the driver wraps its own verdict on what it was given to send as an error of the network.
            Error::Io(IoError::Io(error)) if error.to_string().contains("larger than max_allowed_packet") => {
                Self::packet_too_large()
            }
            Error::Io(IoError::Io(error)) => {
                Self::lost(format!("the connection to the database failed: {error}"))
            }
            Error::Driver(DriverError::PacketTooLarge) => Self::packet_too_large(),
            Error::Driver(
                error @ (DriverError::UnknownAuthPlugin { .. }
                | DriverError::MysqlOldPasswordDisabled
                | DriverError::NoKeyFound
                | DriverError::NoClientSslFlagFromServer
                | DriverError::CleartextPluginDisabled
                | DriverError::StmtParamsMismatch { .. }
                | DriverError::StmtParamsNumberExceedsLimit { .. }),
            ) => Self::of(error.to_string(), Kind::lost(Fault::Other)),
            Error::Driver(error) => Self::lost(format!("the connection to the database failed: {error}")),
            Error::Other(error) => Self::of(error.to_string(), Kind::lost(Fault::Other)),
            Error::Url(error) => Self::other(error.to_string()),
        }
    }
}

impl DatabaseError {
    fn packet_too_large() -> Self {
        let message = "a statement is larger than the server's max_allowed_packet";
        // Why lost: a part of it may be sent already.
        Self::of(message, Kind::lost(Fault::Data).of_size())
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => {
                let code = error.code().and_then(|code| code.parse::<i64>().ok()).unwrap_or(1);
                let message = format!("sqlite error {code}: {}", error.message());
                Self::server(message.into(), error.message(), code, Kind::kept(sqlite_fault(code)))
            }
            sqlx::Error::Io(error) => Self::lost(format!("the database file failed: {error}")),
            sqlx::Error::WorkerCrashed => Self::lost("the database's thread ended"),
            error => Self::other(error.to_string()),
        }
    }
}

/// The server closes the connection with these: shutdown, idle too long, killed, out of memory for connections.
const MYSQL_LOST: &[u16] = &[
    1040, 1053, 1077, 1079, 1080, 1152, 1153, 1158, 1159, 1160, 1161, 1184, 1243, 1927, 2006, 2013, 3169,
    4031,
];

/// The server is read-only, or is leaving its group. It may say so for ever, while the address leads to another one: the
/// connection is closed and opened again.
const MYSQL_LEFT: &[u16] = &[
    1792, 1836, 3032, 3168, // read-only, offline
    3100, // a hook of Group Replication: no majority, a member that leaves, a transaction above its limit
];

/// Too large as a whole: a smaller statement or transaction passes.
const MYSQL_SIZE: &[u16] = &[
    1153, // a packet above max_allowed_packet
    1197, // the transaction is above the binary log's cache
];

/// The database refuses a row. MySQL 9.7's and MariaDB 10.11's error references.
const MYSQL_DATA: &[u16] = &[
    1048, 1062, 1586, // NULL where NOT NULL; a duplicate in a unique index
    1118, // the row is too large for a page
    1153, 1197, 1301, // see MYSQL_SIZE; the result of a function above max_allowed_packet
    1216, 1217, 1451, 1452, // foreign keys
    1264, 1265, 1292, 1366, 1406, // out of range, truncated, wrong value, too long
    1300, 3854, 3988, // not text of the column's character set
    1365, 1690, 1411, 1441, // division by zero, out of range in an expression (generated columns)
    1139, 1172, 1242, // in an expression or a trigger: not a regular expression, more than one row
    1369, // a view's CHECK OPTION
    1526, 1748, // no partition takes the row
    1644, // SIGNAL: a trigger refuses the row
    3140, 3141, 3150, 3156, 3157, 3158, // not JSON, or too large or deep
    3143, 3149, 3153, 3154, // not a path of JSON
    3685, 3686, 3687, 3688, 3689, 3690, 3691, 3692, 3693, 3694, 3695, 3696, 3697, 3698,
    3699, // regular expressions
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
    1792, 1836, 3032, 3100, 3168, // see MYSQL_LEFT
    9001, 9002, 9003, 9004, 9005, // a proxy's or a cluster's servers do not answer (ProxySQL, TiDB)
];

/// Classes of SQLSTATE that are about values: a warning or a missing row that a trigger made an error, a value that does not fit,
/// a constraint, and what a trigger refuses.
const MYSQL_DATA_CLASSES: &[&str] = &["01", "02", "22", "23", "45"];

/// Of a class above, but of a statement or a table: an ambiguous column, no number left for AUTO_INCREMENT (MariaDB).
const MYSQL_NOT_DATA: &[u16] = &[1052, 167];

/// What an upsert adds to the number of a row that has another key than the one it writes, which is out of range.
pub(crate) const ANOTHER_KEY: &str = "~0 + ";

/// True if an upsert would have updated the row of another key: its own has got a number that is taken.
fn is_of_another_key(code: u16, message: &str) -> bool {
    // MySQL: "BIGINT UNSIGNED value is out of range in '(~(0) + `db`.`t`.`id`)'"; MariaDB: "in '~0 + `db`.`t`.`id`'".
    code == 1690 && ["'(~(0) + ", "'(~0 + ", "'~(0) + ", "'~0 + "].iter().any(|start| message.contains(start))
}

/// What error 1030 passes on from a storage engine, and that passes by itself: no space or quota, no memory, no file
/// handles, an error of the device or of InnoDB itself; a deadlock or a lock wait; too many transactions.
const ENGINE_INFRASTRUCTURE: &[u16] = &[5, 12, 24, 28, 30, 122, 128, 135, 146, 149, 177];

fn mysql_kind(code: u16, state: &str, message: &str) -> Kind {
    let mentions = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let is_of_class = |classes: &[&str]| classes.iter().any(|class| state.starts_with(class));
    // A trigger refuses the row, by whatever number.
    if is_of_class(&["45"]) {
        return Kind::kept(Fault::Data);
    }
    let fault = match code {
        // "running with the --read-only option", and much else that does not pass.
        1290 if mentions(&["read-only", "read_only"]) => return Kind::left(Fault::Infrastructure),
        // "WSREP has not yet prepared node for application use"; otherwise an unknown command.
        1047 if mentions(&["WSREP"]) => return Kind::left(Fault::Infrastructure),
        // Galera: "Maximum writeset size exceeded", by different codes; errno 90 is EMSGSIZE.
        _ if mentions(&["riteset size exceeded"]) => return Kind::kept(Fault::Data).of_size(),
        1180 if engine_error(message) == Some(90) => return Kind::kept(Fault::Data).of_size(),
        // "Connection closed. Global connection memory limit ..." passes, "Connection memory limit ..." is this one's.
        // The codes differ between versions, and are others' in MariaDB.
        4081..=4083 if mentions(&["Global connection memory"]) => return Kind::lost(Fault::Infrastructure),
        4081..=4083 if mentions(&["onnection memory limit"]) => return Kind::lost(Fault::Data).of_size(),
        1030 if engine_error(message).is_some_and(|number| ENGINE_INFRASTRUCTURE.contains(&number)) => {
            Fault::Infrastructure
        }
        _ if is_of_another_key(code, message) => Fault::Other,
        _ if MYSQL_DATA.contains(&code) => Fault::Data,
        _ if MYSQL_INFRASTRUCTURE.contains(&code) => Fault::Infrastructure,
        _ if is_of_class(MYSQL_DATA_CLASSES) && !MYSQL_NOT_DATA.contains(&code) => Fault::Data,
        _ => Fault::Other,
    };
    let connection = match code {
        _ if MYSQL_LOST.contains(&code) => After::Lost,
        _ if MYSQL_LEFT.contains(&code) => After::Left,
        _ => After::Kept,
    };
    Kind { fault, connection, is_of_size: MYSQL_SIZE.contains(&code) }
}

/// The number in "Got error 28 ... from storage engine".
fn engine_error(message: &str) -> Option<u16> {
    let (_, rest) = message.split_once("ot error ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn mysql_hint(code: u16, message: &str) -> Option<&'static str> {
    const RAN_OUT: &str =
        "the numbers of the AUTO_INCREMENT column may have run out: change it to BIGINT UNSIGNED";
    match code {
        167 | 1467 => Some(RAN_OUT),
        _ if is_of_another_key(code, message) => Some(RAN_OUT),
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
        let fault = |code, message| mysql_kind(code, "HY000", message).fault;
        assert_eq!(fault(1406, ""), Fault::Data);
        assert_eq!(fault(1213, ""), Fault::Infrastructure);
        assert_eq!(fault(1146, "no such table"), Fault::Other);
        assert_eq!(fault(1290, "running with the --secure-file-priv option"), Fault::Other);
        assert_eq!(sqlite_fault(2067), Fault::Data); // SQLITE_CONSTRAINT_UNIQUE
        assert_eq!(sqlite_fault(517), Fault::Infrastructure); // SQLITE_BUSY_SNAPSHOT
        assert_eq!(sqlite_fault(1), Fault::Other);
    }

    #[test]
    fn a_code_in_no_list_is_told_by_its_state() {
        let fault = |code, state| mysql_kind(code, state, "").fault;
        // Functional and multi-valued indexes, shapes in generated columns, an index over an expression.
        for (code, state) in [
            (3907, "22001"),
            (3903, "22018"),
            (3752, "22003"),
            (3037, "22023"),
            (3617, "22S03"),
            (3751, "01000"),
        ] {
            assert_eq!(fault(code, state), Fault::Data, "{code} ({state})");
        }
        // SIGNAL in a trigger, with a number of its own, also one that means something else.
        for code in [1001, 1205, 1317, 30001] {
            assert_eq!(mysql_kind(code, "45000", "no"), Kind::kept(Fault::Data), "{code}");
        }
        assert_eq!(fault(1643, "02000"), Fault::Data);
        // In a trigger's expressions.
        for (code, state) in [(3691, "HY000"), (3143, "42000"), (1242, "21000"), (1172, "42000")] {
            assert_eq!(fault(code, state), Fault::Data, "{code} ({state})");
        }
        for (code, state) in [(1205, "HY000"), (1213, "40001"), (1317, "70100")] {
            assert_eq!(fault(code, state), Fault::Infrastructure, "{code} ({state})");
        }
        for (code, state) in
            [(1052, "23000"), (167, "22003"), (1054, "42S22"), (1136, "21S01"), (1467, "HY000")]
        {
            assert_eq!(fault(code, state), Fault::Other, "{code} ({state})");
        }
    }

    #[test]
    fn an_upsert_that_meets_the_row_of_another_key_stops_the_job() {
        for message in [
            "BIGINT UNSIGNED value is out of range in '(~(0) + `db`.`t`.`no`)'",
            "BIGINT UNSIGNED value is out of range in '~0 + `db`.`t`.`no`'",
        ] {
            assert_eq!(mysql_kind(1690, "22003", message).fault, Fault::Other, "{message}");
            assert!(mysql_hint(1690, message).is_some_and(|hint| hint.contains("AUTO_INCREMENT")));
        }
        assert_eq!(mysql_kind(1690, "22003", "out of range in '(`db`.`t`.`no` + 1)'").fault, Fault::Data);
    }

    #[test]
    fn a_server_that_cannot_write_any_more_is_left() {
        let leave = Kind::left(Fault::Infrastructure);
        for (code, message) in [
            (1290, "The MySQL server is running with the --super-read-only option so it cannot execute this"),
            (1290, "The MariaDB server is running with the --read-only option so it cannot execute this"),
            (1836, "Running in read-only mode"),
            (1047, "WSREP has not yet prepared node for application use"),
            (3100, "Error on observer while running replication hook 'before_commit'."),
        ] {
            assert_eq!(mysql_kind(code, "HY000", message), leave, "{code}: {message}");
        }
        assert_eq!(mysql_kind(1047, "HY000", "Unknown command").fault, Fault::Other);
    }

    #[test]
    fn what_passes_by_itself_is_waited_out() {
        for (code, message) in [
            (1030, "Got error 28 \"No space left on device\" from storage engine InnoDB"),
            (1030, "Got error 122 - 'Internal (unspecified) error in handler' from storage engine"),
            (1180, "Got error 5 - 'Input/output error' during COMMIT"),
            (
                4081,
                "Connection closed. Global connection memory limit 16777216 bytes exceeded. Consumed 16949968 bytes.",
            ),
            (9001, "Max connect timeout reached while reaching hostgroup 0 after 10000ms"),
        ] {
            assert_eq!(mysql_kind(code, "HY000", message).fault, Fault::Infrastructure, "{code}: {message}");
        }
        assert_eq!(mysql_kind(1030, "HY000", "Got error 138 from storage engine").fault, Fault::Other);
        assert_eq!(mysql_kind(1105, "HY000", "Unknown error").fault, Fault::Other);
        assert_eq!(mysql_kind(4082, "HY000", "something of another server").fault, Fault::Other);
    }

    #[test]
    fn what_is_too_large_is_a_fault_of_size() {
        for (code, message) in [
            (1105, "Maximum writeset size exceeded"),
            (1180, "Got error 90 \"Message too long\" during COMMIT"),
            (1153, "Got a packet bigger than 'max_allowed_packet' bytes"),
            (1197, "Multi-statement transaction required more than 'max_binlog_cache_size' bytes of storage"),
            (
                4082,
                "Connection closed. Connection memory limit 2097152 bytes exceeded. Consumed 2456976 bytes.",
            ),
        ] {
            let kind = mysql_kind(code, "HY000", message);
            assert_eq!((kind.fault, kind.is_of_size), (Fault::Data, true), "{code}: {message}");
        }
        assert!(!mysql_kind(1406, "HY000", "").is_of_size);
    }

    #[test]
    fn what_the_driver_refuses_to_send_is_a_fault_of_size() {
        let inner = std::io::Error::other("Packet is larger than max_allowed_packet");
        let error = DatabaseError::from(mysql_async::Error::Io(mysql_async::IoError::Io(inner)));
        assert_eq!((error.fault(), error.is_of_size(), error.ends_connection()), (Fault::Data, true, true));
    }

    #[test]
    fn the_key_of_a_duplicate_is_found_in_the_message() {
        let of = |code, text: &str| DatabaseError::server(text.into(), text, code, Kind::kept(Fault::Data));
        let error = of(1062, "Duplicate entry 'it's for key 'x' for key 'account_state.PRIMARY'");
        let own = DuplicateKey::OfTable { table: "account_state", index: "PRIMARY" };
        assert_eq!(error.duplicate_key(), Some(own));
        let error = of(1062, "Duplicate entry '1' for key 'PRIMARY'");
        assert_eq!(error.duplicate_key(), Some(DuplicateKey::Index("PRIMARY")));
        let error = of(1555, "UNIQUE constraint failed: t.a, t.b");
        let columns = DuplicateKey::Columns { table: "t", columns: vec!["a", "b"] };
        assert_eq!(error.duplicate_key(), Some(columns));
        assert_eq!(of(1452, "a foreign key").duplicate_key(), None);
    }

    #[test]
    fn the_constraint_is_found_in_the_message() {
        let of = |code, text: &str| DatabaseError::server(text.into(), text, code, Kind::kept(Fault::Data));
        assert_eq!(of(3819, "Check constraint 'small' is violated.").broken_check(), Some("small"));
        assert_eq!(of(4025, "CONSTRAINT `small` failed for `db`.`t`").broken_check(), Some("small"));
        assert_eq!(of(275, "CHECK constraint failed: n < 3").broken_check(), Some("n < 3"));
        let error = of(
            1452,
            "Cannot add or update a child row: a foreign key constraint fails (`db`.`t`, CONSTRAINT `fk` FOREIGN KEY \
             (`a`) REFERENCES `p` (`id`))",
        );
        assert_eq!(
            (error.missing_parent("t"), error.missing_parent("log")),
            (Some("fk"), None),
            "a trigger's"
        );
        assert_eq!(of(787, "FOREIGN KEY constraint failed").missing_parent("t"), Some(""));
        let found = Finding::new("is violated.").with_hint("x");
        let detailed = DatabaseError::other(found).detailed("found n = 4").to_string();
        assert_eq!(detailed, "is violated: found n = 4\nhint: x");
    }

    #[test]
    fn the_column_is_found_in_the_message() {
        let column = |text: &str| DatabaseError::other(text).column("t").map(str::to_string);
        assert_eq!(column("Data too long for column 'name' at row 1").as_deref(), Some("name"));
        let json = |column: &str| {
            format!("Invalid JSON text: \"Invalid value.\" at position 1 in value for column '{column}'.")
        };
        assert_eq!(column(&json("t.extra")).as_deref(), Some("extra"));
        assert_eq!(column(&json("log.extra")), None, "a trigger's");
        assert_eq!(column("Incorrect value: 'x' for column `db`.`t`.`day` at row 1").as_deref(), Some("day"));
        assert_eq!(column("NOT NULL constraint failed: t.name").as_deref(), Some("name"));
        assert_eq!(column("Incorrect value: 'x' for column `db`.`log`.`day` at row 1"), None, "a trigger's");
        assert_eq!(column("UNIQUE constraint failed: log.name"), None);
        assert_eq!(column("cannot store TEXT value in INTEGER column t.id").as_deref(), Some("id"));
        assert_eq!(column("Deadlock found"), None);
    }
}
