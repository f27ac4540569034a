//! MySQL and MariaDB through `mysql_async`: the session's settings, prepared statements that are kept within a
//! budget, and values to and from the binary protocol. Every wait for an answer has a limit.

mod literal;
mod load;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use mysql_async::consts::{ColumnFlags, ColumnType as WireType};
use mysql_async::prelude::Queryable;
use mysql_async::{
    ClientIdentity, Conn, DriverError, Error, Opts, OptsBuilder, Params, SslOpts, Statement,
    Value as WireValue,
};

use super::address::{MySqlAddress, TlsMode};
use super::column::{ColumnType, Dialect};
use super::connection::{Interrupted, Purpose, RowSender, Statement as Text, StatementLimits, TakeRow};
use super::value::{self, MICROS_A_DAY, MICROS_A_SECOND};
use super::{DatabaseError, Value};
use crate::diagnostic::Finding;

pub use load::{LOAD_FORMAT, LoadText, Loaded, NextPacket};

/// An open connection to a MySQL or MariaDB server.
pub struct MySqlConnection {
    connection: Conn,
    dialect: Dialect,
    /// What tells the server from others.
    server: Option<String>,
    packet_bytes_max: usize,
    can_load: bool,
    answer_wait_max: Duration,
    held: HeldStatements,
}

/// The longest wait for a connection to stand.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);
/// The longest wait for the answer to one statement of a writer; its lock waits are far shorter.
const WRITE_ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);
/// The longest wait for all rows of a query.
const READ_ANSWER_WAIT_MAX: Duration = Duration::from_secs(600);
const TCP_KEEPALIVE: Duration = Duration::from_secs(10);
/// The protocol counts a statement's parameters in 16 bits.
const PLACEHOLDERS_MAX: usize = 65_535;
/// Bytes of a statement of many rows; larger ones are no faster.
const STATEMENT_BYTES_MAX: usize = 1 << 20;
/// Left free of `max_allowed_packet`, for the statement's head and the types of its parameters.
const PACKET_MARGIN_BYTES: usize = 64 << 10;
/// Placeholders of all statements that are kept prepared: some hundred bytes each in the server, and some two hundred here.
const HELD_PLACEHOLDERS_MAX: usize = 200_000;
const HELD_STATEMENTS_MAX: usize = 100;

/// However the server or its `init_connect` has it: strict, with backslash escapes as text statements need them; a zero stays
/// a zero in a column of AUTO_INCREMENT; each statement outside of a transaction is one by itself; queries return all their
/// rows, and keys are checked.
const SESSION: &str = "SET NAMES utf8mb4, autocommit = 1, completion_type = 0, \
    sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION', \
    time_zone = '+00:00', sql_select_limit = 18446744073709551615, sql_safe_updates = 0, sql_auto_is_null = 0, \
    foreign_key_checks = 1, unique_checks = 1";
/// Timeouts in seconds, so that a frozen writer releases its locks: an idle session; a stalled LOAD DATA, for which the server
/// doubles the value; a row lock; a table lock.
const WRITE_SESSION: &str = "SET wait_timeout = 30, net_read_timeout = 10, \
    innodb_lock_wait_timeout = 5, lock_wait_timeout = 10";
const READ_SESSION: &str = "SET wait_timeout = 600, lock_wait_timeout = 10";
const READ_ONLY: &str = "SET SESSION TRANSACTION READ ONLY";
const ISOLATION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
/// What tells a server from others, also from one that was made from a copy of its files. MariaDB has no `server_uuid`.
const MYSQL_SERVER: &str = "SELECT CONCAT_WS('/', @@server_uuid, @@hostname, @@port)";
const MARIADB_SERVER: &str = "SELECT CONCAT_WS('/', @@server_id, @@hostname, @@port, @@datadir)";
/// Why: above its default a list of keys is answered by reading the whole table.
const MYSQL_KEY_LISTS: &str = "SET range_optimizer_max_mem_size = 0";
const MARIADB_KEY_LISTS: &str = "SET optimizer_max_sel_arg_weight = 0, in_predicate_conversion_threshold = 0";
/// Only MariaDB can leave them out.
const MARIADB_CHECKS: &str = "SET check_constraint_checks = 1";

impl MySqlConnection {
    pub async fn open(address: &MySqlAddress, purpose: Purpose) -> Result<Self, DatabaseError> {
        let connect = async {
            match connect(address, address.tls).await {
                // Preferred: TLS where the server has it.
                Err(Error::Driver(DriverError::NoClientSslFlagFromServer))
                    if address.tls == TlsMode::Preferred =>
                {
                    connect(address, TlsMode::Disabled).await
                }
                result => result,
            }
        };
        let place = format!("{}:{}", address.host, address.port);
        let connected = within(CONNECT_WAIT_MAX, "a connection", connect).await;
        let connection =
            connected.map_err(|error| error.context(&format!("cannot connect to {place}")).unreachable())?;
        let answer_wait_max = match purpose {
            Purpose::Read | Purpose::ReadOnly => READ_ANSWER_WAIT_MAX,
            Purpose::Write { .. } => WRITE_ANSWER_WAIT_MAX,
        };
        let held = HeldStatements::default();
        let mut open = Self {
            connection,
            dialect: Dialect::MySql,
            server: None,
            packet_bytes_max: 0,
            can_load: false,
            answer_wait_max,
            held,
        };
        open.set_up(purpose)
            .await
            .map_err(|error| error.context(&format!("cannot set up a session on {place}")).unreachable())?;
        Ok(open)
    }

    async fn set_up(&mut self, purpose: Purpose) -> Result<(), DatabaseError> {
        let row: Option<(String, u64, bool)> = within(
            self.answer_wait_max,
            "its version",
            self.connection.query_first("SELECT VERSION(), @@max_allowed_packet, @@local_infile"),
        )
        .await?;
        let (version, packet_bytes_max, can_load) =
            row.ok_or_else(|| DatabaseError::lost("no answer to SELECT VERSION()"))?;
        if version.contains("MariaDB") {
            self.dialect = Dialect::MariaDb;
        }
        self.can_load = can_load;
        self.packet_bytes_max = usize::try_from(packet_bytes_max).unwrap_or(usize::MAX);
        let lists = if self.dialect == Dialect::MariaDb { MARIADB_KEY_LISTS } else { MYSQL_KEY_LISTS };
        let own = if matches!(purpose, Purpose::Write { .. }) { WRITE_SESSION } else { READ_SESSION };
        for sql in [SESSION, own, ISOLATION, lists] {
            self.run(sql).await?;
        }
        if self.dialect == Dialect::MariaDb {
            self.run(MARIADB_CHECKS).await?;
        }
        if purpose == Purpose::ReadOnly {
            self.run(READ_ONLY).await?;
        }
        self.server = self.told_apart().await?;
        Ok(())
    }

    /// What tells the server from others; `None` for one that lacks the variables.
    async fn told_apart(&mut self) -> Result<Option<String>, DatabaseError> {
        let sql = if self.dialect == Dialect::MariaDb { MARIADB_SERVER } else { MYSQL_SERVER };
        let told = within(self.answer_wait_max, "its name", self.connection.query_first(sql)).await;
        match told {
            Err(error) if error.is_unknown_variable() => Ok(None),
            told => told,
        }
    }

    pub fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub fn limits(&self) -> StatementLimits {
        let row_bytes_max =
            self.packet_bytes_max.saturating_sub(PACKET_MARGIN_BYTES).max(PACKET_MARGIN_BYTES);
        StatementLimits {
            placeholders_max: PLACEHOLDERS_MAX,
            statement_bytes_max: row_bytes_max.min(STATEMENT_BYTES_MAX),
            row_bytes_max,
        }
    }

    pub async fn run(&mut self, sql: &str) -> Result<(), DatabaseError> {
        within(self.answer_wait_max, sql, self.connection.query_drop(sql)).await
    }

    pub async fn ping(&mut self) -> Result<(), DatabaseError> {
        within(CONNECT_WAIT_MAX, "ping", self.connection.ping()).await
    }

    pub async fn prepare(&mut self, sql: &str) -> Result<(), DatabaseError> {
        self.statement(sql).await.map(drop)
    }

    pub async fn execute(&mut self, sql: &str, parameters: Vec<Value<'_>>) -> Result<u64, DatabaseError> {
        let statement = self.statement(sql).await?;
        let parameters = wire_parameters(parameters);
        within(self.answer_wait_max, "a statement", self.connection.exec_drop(statement, parameters)).await?;
        Ok(self.connection.affected_rows())
    }

    /// Runs statements that give no rows in one packet.
    ///
    /// # Errors
    /// The first that failed, or that did not match the rows it must; those behind it were not run.
    pub async fn execute_together(&mut self, statements: &[Text<'_>]) -> Result<(), Interrupted> {
        let mut sql = String::new();
        // The statement that each answer is of; a check answers too.
        let mut answers = Vec::new();
        for (at, statement) in statements.iter().enumerate() {
            literal::bind(&mut sql, &statement.sql, &statement.parameters)?;
            sql.push(';');
            answers.push((at, false));
            if let Some(rows) = statement.matches {
                sql.push_str(&literal::check_of_rows(rows));
                sql.push(';');
                answers.push((at, true));
            }
        }
        let mut answered = 0;
        let run = async {
            let mut result = self.connection.query_iter(sql).await?;
            answered += 1;
            while !result.is_empty() {
                result.for_each(drop).await?;
                answered += 1;
            }
            // An error behind the first answer is kept until it is asked for, and counted as an answer above.
            result.drop_result().await.inspect_err(|_| answered -= 1)
        };
        let ran = within(self.answer_wait_max, "statements", run).await;
        let (at, is_check) = answers.get(answered).copied().unwrap_or((statements.len() - 1, false));
        match ran {
            Ok(()) if answered == answers.len() => Ok(()),
            Ok(()) => {
                let error = DatabaseError::other("the server answered fewer statements than were sent");
                Err(Interrupted { at, error: Some(error.closing()) })
            }
            Err(error) => {
                Err(Interrupted { at, error: Some(error).filter(|e| !is_check || !e.is_out_of_range()) })
            }
        }
    }

    pub async fn query_each(
        &mut self,
        sql: &str,
        parameters: Vec<Value<'_>>,
        take: &mut TakeRow<'_>,
    ) -> Result<(), DatabaseError> {
        let statement = self.statement(sql).await?;
        let parameters = wire_parameters(parameters);
        let connection = &mut self.connection;
        let mut refused = None;
        let read = async {
            let mut result = connection.exec_iter(&statement, parameters).await?;
            // Why: types of results differ from those of the prepared statement where a parameter decides them.
            let columns = result.columns();
            while let Some(row) = result.next().await? {
                let types = columns.as_deref().unwrap_or_default();
                let values = mysql_async::Row::unwrap(row).into_iter().enumerate();
                let values: Result<Vec<_>, _> =
                    values.map(|(index, value)| from_wire(value, types.get(index))).collect();
                if let Err(error) = values.and_then(&mut *take) {
                    refused = Some(error);
                    break;
                }
            }
            Ok::<_, Error>(())
        };
        within(self.answer_wait_max, "the rows of a query", read).await?;
        // The rest of the rows is not read, so the connection is of no more use.
        refused.map_or(Ok(()), |error| Err(error.closing()))
    }

    pub async fn query_parts(
        &mut self,
        sql: &str,
        parameters: Vec<Value<'_>>,
        rows_max: usize,
        parts: &RowSender,
    ) -> Result<(), DatabaseError> {
        let statement = self.statement(sql).await?;
        let parameters = wire_parameters(parameters);
        let wait_max = self.answer_wait_max;
        let started = self.connection.exec_iter(&statement, parameters);
        let mut result = within(wait_max, "a query", started).await?;
        let columns = result.columns();
        let types = columns.as_deref().unwrap_or_default();
        let mut part = Vec::new();
        // Why a wait for each row: the receiver of the rows may be slow.
        while let Some(row) = within(wait_max, "the next row of a query", result.next()).await? {
            let values = mysql_async::Row::unwrap(row).into_iter().enumerate();
            let values = values.map(|(index, value)| from_wire(value, types.get(index)));
            part.push(values.collect::<Result<Vec<_>, _>>().map_err(DatabaseError::closing)?);
            if part.len() == rows_max && parts.send(std::mem::take(&mut part)).await.is_err() {
                return Err(DatabaseError::other("nobody takes the rows of a query").closing());
            }
        }
        if !part.is_empty() {
            // Nobody taking the last part is no failure.
            let _ = parts.send(part).await;
        }
        Ok(())
    }

    pub async fn describe(&mut self, sql: &str) -> Result<Vec<(String, ColumnType)>, DatabaseError> {
        let statement = self.statement(sql).await?;
        Ok(statement
            .columns()
            .iter()
            .map(|column| (column.name_str().into_owned(), column_type(column)))
            .collect())
    }

    /// The statement, prepared now or before.
    async fn statement(&mut self, sql: &str) -> Result<Statement, DatabaseError> {
        if let Some(statement) = self.held.find(sql) {
            return Ok(statement);
        }
        let statement =
            within(self.answer_wait_max, "preparing a statement", self.connection.prep(sql)).await?;
        for closed in self.held.hold(sql, &statement) {
            within(self.answer_wait_max, "closing a statement", self.connection.close(closed)).await?;
        }
        Ok(statement)
    }
}

/// Prepared statements, the one used last in front, within [`HELD_PLACEHOLDERS_MAX`].
#[derive(Default)]
struct HeldStatements {
    statements: VecDeque<(Arc<str>, Statement)>,
    placeholders: usize,
}

impl HeldStatements {
    fn find(&mut self, sql: &str) -> Option<Statement> {
        let index = self.statements.iter().position(|(held, _)| **held == *sql)?;
        let found = self.statements.remove(index)?;
        let statement = found.1.clone();
        self.statements.push_front(found);
        Some(statement)
    }

    /// Keeps a statement and gives those that had to go.
    fn hold(&mut self, sql: &str, statement: &Statement) -> Vec<Statement> {
        self.placeholders += usize::from(statement.num_params());
        self.statements.push_front((sql.into(), statement.clone()));
        let mut closed = Vec::new();
        while self.statements.len() > 1
            && (self.placeholders > HELD_PLACEHOLDERS_MAX || self.statements.len() > HELD_STATEMENTS_MAX)
        {
            if let Some((_, oldest)) = self.statements.pop_back() {
                self.placeholders -= usize::from(oldest.num_params());
                closed.push(oldest);
            }
        }
        closed
    }
}

/// Waits for the server, but not for ever.
async fn within<T>(
    wait_max: Duration,
    what: &str,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, DatabaseError> {
    match tokio::time::timeout(wait_max, answer).await {
        Ok(result) => result.map_err(DatabaseError::from),
        Err(_) => {
            Err(DatabaseError::lost(format!("no answer from the database within {wait_max:?} ({what})")))
        }
    }
}

async fn connect(address: &MySqlAddress, tls: TlsMode) -> Result<Conn, Error> {
    let options = OptsBuilder::default()
        .ip_or_hostname(&address.host)
        .tcp_port(address.port)
        .user(Some(&address.user))
        .pass(address.password.as_ref())
        .db_name(Some(&address.database))
        .prefer_socket(false)
        .tcp_keepalive(Some(TCP_KEEPALIVE))
        .tcp_nodelay(true)
        // Matched rows are counted, changed or not: what the fence asks for.
        .client_found_rows(true)
        // Statements are kept by [`HeldStatements`].
        .stmt_cache_size(0)
        .ssl_opts(tls_options(address, tls));
    Conn::new(Opts::from(options)).await
}

fn tls_options(address: &MySqlAddress, tls: TlsMode) -> Option<SslOpts> {
    if tls == TlsMode::Disabled {
        return None;
    }
    let mut options = SslOpts::default()
        .with_danger_accept_invalid_certs(matches!(tls, TlsMode::Preferred | TlsMode::Required))
        .with_danger_skip_domain_validation(tls != TlsMode::VerifyIdentity);
    if let Some(ca) = &address.tls_ca {
        options = options.with_root_certs(vec![ca.clone().into()]);
    }
    if let Some((certificate, key)) = &address.tls_identity {
        let identity = ClientIdentity::new(certificate.clone().into(), key.clone().into());
        options = options.with_client_identity(Some(identity));
    }
    Some(options)
}

fn wire_parameters(parameters: Vec<Value<'_>>) -> Params {
    match parameters.is_empty() {
        true => Params::Empty,
        false => Params::Positional(parameters.into_iter().map(to_wire).collect()),
    }
}

fn to_wire(value: Value<'_>) -> WireValue {
    match value {
        Value::Null => WireValue::NULL,
        Value::Int(value) => WireValue::Int(value),
        Value::UInt(value) => WireValue::UInt(value),
        Value::Float(value) => WireValue::Float(value),
        Value::Double(value) => WireValue::Double(value),
        Value::Text(text) => WireValue::Bytes(text.into_owned().into_bytes()),
        Value::Bytes(bytes) => WireValue::Bytes(bytes.into_owned()),
        Value::Date(days) => date_to_wire(i64::from(days) * MICROS_A_DAY),
        Value::DateTime(micros) => date_to_wire(micros),
        Value::Time(micros) => {
            let (seconds, fraction) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
            let (minutes, hours) = (seconds / 60, seconds / 3600);
            WireValue::Time(
                micros < 0,
                (hours / 24) as u32,
                (hours % 24) as u8,
                (minutes % 60) as u8,
                (seconds % 60) as u8,
                fraction as u32,
            )
        }
    }
}

/// Years 1 to 9999, as [`super::Fit`] ensures; others become NULL.
fn date_to_wire(micros: i64) -> WireValue {
    use chrono::{Datelike, Timelike};
    let Some(time) = value::date_time(micros) else { return WireValue::NULL };
    let Ok(year) = u16::try_from(time.year()) else { return WireValue::NULL };
    WireValue::Date(
        year,
        time.month() as u8,
        time.day() as u8,
        time.hour() as u8,
        time.minute() as u8,
        time.second() as u8,
        time.nanosecond() / 1000,
    )
}

fn from_wire(
    value: WireValue,
    column: Option<&mysql_async::Column>,
) -> Result<Value<'static>, DatabaseError> {
    Ok(match value {
        WireValue::NULL => Value::Null,
        WireValue::Int(value) => Value::Int(value),
        WireValue::UInt(value) => Value::UInt(value),
        WireValue::Float(value) => Value::Float(value),
        WireValue::Double(value) => Value::Double(value),
        WireValue::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes)),
        WireValue::Date(year, month, day, hours, minutes, seconds, micros) => {
            let date = NaiveDate::from_ymd_opt(i32::from(year), u32::from(month), u32::from(day));
            let date = date.ok_or_else(|| {
                let name = column.map(|column| column.name_str().into_owned()).unwrap_or_default();
                let message =
                    format!("column `{name}` holds the date {year:04}-{month:02}-{day:02}, which is no day");
                let hint = format!("NULLIF(`{name}`, 0) in a `query` makes it NULL");
                DatabaseError::other(Finding::new(message).with_hint(hint))
            })?;
            let clock =
                ((i64::from(hours) * 60 + i64::from(minutes)) * 60 + i64::from(seconds)) * MICROS_A_SECOND;
            Value::DateTime(i64::from(value::days(date)) * MICROS_A_DAY + clock + i64::from(micros))
        }
        WireValue::Time(is_negative, days, hours, minutes, seconds, micros) => {
            let hours = i64::from(days) * 24 + i64::from(hours);
            let clock = ((hours * 60 + i64::from(minutes)) * 60 + i64::from(seconds)) * MICROS_A_SECOND;
            let span = clock + i64::from(micros);
            Value::Time(if is_negative { -span } else { span })
        }
    })
}

/// The collation number of bytes that are no text.
const BINARY_COLLATION: u16 = 63;

fn column_type(column: &mysql_async::Column) -> ColumnType {
    use WireType as W;
    let flags = column.flags();
    let unsigned = flags.contains(ColumnFlags::UNSIGNED_FLAG);
    let integer = |bytes| ColumnType::Integer { bytes, unsigned };
    let is_binary = column.character_set() == BINARY_COLLATION;
    let fraction = column.decimals().min(6);
    match column.column_type() {
        W::MYSQL_TYPE_TINY if column.column_length() == 1 && !unsigned => ColumnType::Boolean,
        W::MYSQL_TYPE_TINY => integer(1),
        W::MYSQL_TYPE_SHORT => integer(2),
        W::MYSQL_TYPE_INT24 => integer(3),
        W::MYSQL_TYPE_LONG => integer(4),
        W::MYSQL_TYPE_LONGLONG => integer(8),
        W::MYSQL_TYPE_FLOAT => ColumnType::Float,
        W::MYSQL_TYPE_DOUBLE => ColumnType::Double,
        W::MYSQL_TYPE_DECIMAL | W::MYSQL_TYPE_NEWDECIMAL => {
            let scale = column.decimals();
            // The length counts a sign, unless unsigned, and a point, where there is a scale.
            let signs = u32::from(!unsigned) + u32::from(scale > 0);
            let precision = column.column_length().saturating_sub(signs).clamp(1, 65) as u8;
            ColumnType::Decimal { precision: precision.max(scale), scale }
        }
        W::MYSQL_TYPE_BIT => ColumnType::Bit { bits: column.column_length().clamp(1, 64) as u8 },
        W::MYSQL_TYPE_YEAR => ColumnType::Year,
        W::MYSQL_TYPE_DATE | W::MYSQL_TYPE_NEWDATE => ColumnType::Date,
        W::MYSQL_TYPE_TIME | W::MYSQL_TYPE_TIME2 => ColumnType::Time { fraction },
        W::MYSQL_TYPE_DATETIME | W::MYSQL_TYPE_DATETIME2 => ColumnType::DateTime { fraction },
        W::MYSQL_TYPE_TIMESTAMP | W::MYSQL_TYPE_TIMESTAMP2 => ColumnType::Timestamp { fraction },
        W::MYSQL_TYPE_JSON => ColumnType::Json,
        W::MYSQL_TYPE_ENUM => ColumnType::Words { words: Vec::new(), is_set: false },
        W::MYSQL_TYPE_SET => ColumnType::Words { words: Vec::new(), is_set: true },
        W::MYSQL_TYPE_GEOMETRY => ColumnType::Other("geometry".into()),
        _ if is_binary => ColumnType::Binary { bytes_max: None, is_fixed: false },
        _ => ColumnType::Text { characters_max: None, bytes_max: None },
    }
}
