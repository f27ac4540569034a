//! SQLite through `sqlx`: one file in WAL mode with one writer. Dates and times are text, decimals too.

use std::path::Path;
use std::time::Duration;

use futures::TryStreamExt;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous,
};
use sqlx::{
    Arguments, AssertSqlSafe, ConnectOptions, Decode, Executor, Row, SqlSafeStr, Sqlite, TypeInfo, ValueRef,
};

use super::column::{ColumnType, Dialect, quote};
use super::connection::{Purpose, RowSender, StatementLimits, TakeRow};
use super::{DatabaseError, Value, value};

/// An open SQLite file.
pub struct SqliteDatabase {
    connection: SqliteConnection,
}

/// `SQLITE_MAX_VARIABLE_NUMBER`.
const PLACEHOLDERS_MAX: usize = 32_766;
/// Bytes of a statement of many rows, a bound for memory only.
const STATEMENT_BYTES_MAX: usize = 4 << 20;
/// `SQLITE_MAX_LENGTH` is 1,000,000,000 bytes for a row.
const ROW_BYTES_MAX: usize = 1_000_000_000 - (1 << 20);
/// How long another writer is waited for.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(5);
const HELD_STATEMENTS_MAX: usize = 32;
/// The view a query's column types are read from.
const DESCRIBED: &str = "realtime_described";

impl SqliteDatabase {
    pub async fn open(path: &Path, purpose: Purpose) -> Result<Self, DatabaseError> {
        let create = purpose == Purpose::Write { create: true };
        let unusable = |reason: String| DatabaseError::other(format!("{}: {reason}", path.display()));
        if create && let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| unusable(format!("cannot create its folder: {error}")))?;
        }
        if !create && !path.exists() {
            return Err(unusable("no such database file".into()));
        }
        if path.is_dir() {
            return Err(unusable("is a folder, expected a database file".into()));
        }
        if matches!(purpose, Purpose::Write { .. }) {
            let opened = std::fs::OpenOptions::new().append(true).create(create).open(path);
            opened.map_err(|error| unusable(format!("cannot be written: {error}")))?;
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(create)
            .busy_timeout(BUSY_WAIT_MAX)
            .foreign_keys(true)
            .statement_cache_capacity(HELD_STATEMENTS_MAX)
            .disable_statement_logging();
        let options = match purpose {
            Purpose::Read => options,
            Purpose::ReadOnly => options.read_only(true),
            // Full: a commit is on the disk when COMMIT answers.
            Purpose::Write { .. } => {
                options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full)
            }
        };
        let connection = options
            .connect()
            .await
            .map_err(|error| DatabaseError::from(error).context(&path.display().to_string()))?;
        Ok(Self { connection })
    }

    pub fn limits(&self) -> StatementLimits {
        StatementLimits {
            placeholders_max: PLACEHOLDERS_MAX,
            statement_bytes_max: STATEMENT_BYTES_MAX,
            row_bytes_max: ROW_BYTES_MAX,
        }
    }

    pub async fn run(&mut self, sql: &str) -> Result<(), DatabaseError> {
        self.execute(sql, Vec::new()).await.map(drop)
    }

    /// Rolls back, where SQLite has not done so itself (it does when the disk is full).
    pub async fn rollback(&mut self) -> Result<(), DatabaseError> {
        match self.run("ROLLBACK").await {
            Err(error) if error.is_without_transaction() => Ok(()),
            result => result,
        }
    }

    pub async fn prepare(&mut self, sql: &str) -> Result<(), DatabaseError> {
        (&mut self.connection).prepare(AssertSqlSafe(sql.to_string()).into_sql_str()).await?;
        Ok(())
    }

    pub async fn execute(&mut self, sql: &str, parameters: Vec<Value<'_>>) -> Result<u64, DatabaseError> {
        let arguments = arguments(parameters)?;
        let query = sqlx::query_with::<Sqlite, _>(AssertSqlSafe(sql.to_string()), arguments);
        Ok(query.execute(&mut self.connection).await?.rows_affected())
    }

    pub async fn query_each(
        &mut self,
        sql: &str,
        parameters: Vec<Value<'_>>,
        take: &mut TakeRow<'_>,
    ) -> Result<(), DatabaseError> {
        let arguments = arguments(parameters)?;
        let query = sqlx::query_with::<Sqlite, _>(AssertSqlSafe(sql.to_string()), arguments);
        let mut rows = query.fetch(&mut self.connection);
        while let Some(row) = rows.try_next().await? {
            take(values(&row)?)?;
        }
        Ok(())
    }

    pub async fn query_parts(
        &mut self,
        sql: &str,
        parameters: Vec<Value<'_>>,
        rows_max: usize,
        parts: &RowSender,
    ) -> Result<(), DatabaseError> {
        let arguments = arguments(parameters)?;
        let query = sqlx::query_with::<Sqlite, _>(AssertSqlSafe(sql.to_string()), arguments);
        let mut rows = query.fetch(&mut self.connection);
        let mut part = Vec::new();
        while let Some(row) = rows.try_next().await? {
            part.push(values(&row)?);
            if part.len() == rows_max && parts.send(std::mem::take(&mut part)).await.is_err() {
                return Ok(());
            }
        }
        if !part.is_empty() {
            // Nobody taking the last part is no failure.
            let _ = parts.send(part).await;
        }
        Ok(())
    }

    /// The declared types of columns; of an expression, the type that its first value has.
    pub async fn describe(&mut self, sql: &str) -> Result<Vec<(String, ColumnType)>, DatabaseError> {
        // Why a view: SQLite tells the declared types of its columns, whatever the query.
        self.run(&format!("CREATE TEMP VIEW {DESCRIBED} AS {sql}")).await?;
        let described = self.describe_view().await;
        self.run(&format!("DROP VIEW {DESCRIBED}")).await?;
        described
    }

    async fn describe_view(&mut self) -> Result<Vec<(String, ColumnType)>, DatabaseError> {
        let mut columns = Vec::new();
        let mut take = |row: Vec<Value<'static>>| {
            let text = |index: usize| row.get(index).and_then(Value::as_text).unwrap_or_default().to_string();
            columns.push((text(0), text(1)));
            Ok(())
        };
        let sql = format!("SELECT name, type FROM pragma_table_info('{DESCRIBED}')");
        self.query_each(&sql, Vec::new(), &mut take).await?;
        let mut described = Vec::with_capacity(columns.len());
        for (name, declared) in columns {
            // "NUM" is what SQLite says of an expression that may give integers or doubles.
            let kind = match declared.as_str() {
                "" | "NUM" => self.type_of_first_value(&name).await?,
                _ => ColumnType::parse_sqlite(&declared),
            };
            described.push((name, kind));
        }
        Ok(described)
    }

    async fn type_of_first_value(&mut self, column: &str) -> Result<ColumnType, DatabaseError> {
        let column = quote(column, Dialect::Sqlite);
        let sql = format!("SELECT typeof({column}) FROM {DESCRIBED} WHERE {column} IS NOT NULL LIMIT 1");
        let mut found = String::new();
        let mut take = |row: Vec<Value<'static>>| {
            found = row.first().and_then(Value::as_text).unwrap_or_default().to_string();
            Ok(())
        };
        self.query_each(&sql, Vec::new(), &mut take).await?;
        Ok(match found.as_str() {
            "integer" => ColumnType::Integer { bytes: 8, unsigned: false },
            "real" => ColumnType::Double,
            "blob" => ColumnType::Binary { bytes_max: None, is_fixed: false },
            _ => ColumnType::Text { characters_max: None, bytes_max: None },
        })
    }
}

fn arguments(parameters: Vec<Value<'_>>) -> Result<SqliteArguments, DatabaseError> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(parameters.len(), 0);
    for parameter in parameters {
        let added = match parameter {
            Value::Null => arguments.add(None::<i64>),
            Value::Int(value) => arguments.add(value),
            Value::UInt(value) => match i64::try_from(value) {
                Ok(value) => arguments.add(value),
                Err(_) => {
                    return Err(DatabaseError::other(format!("{value} is above SQLite's largest integer")));
                }
            },
            Value::Float(value) => arguments.add(f64::from(value)),
            Value::Double(value) => arguments.add(value),
            Value::Text(text) => arguments.add(text.into_owned()),
            Value::Bytes(bytes) => arguments.add(bytes.into_owned()),
            Value::Date(days) => arguments.add(value::date_text(days)),
            Value::Time(micros) => arguments.add(value::time_text(micros)),
            Value::DateTime(micros) => arguments.add(value::date_time_text(micros)),
        };
        added.map_err(|error| DatabaseError::other(error.to_string()))?;
    }
    Ok(arguments)
}

fn values(row: &SqliteRow) -> Result<Vec<Value<'static>>, DatabaseError> {
    let decoded = |error: Box<dyn std::error::Error + Send + Sync>| DatabaseError::other(error.to_string());
    (0..row.len())
        .map(|index| {
            let raw = row.try_get_raw(index)?;
            if raw.is_null() {
                return Ok(Value::Null);
            }
            let class = raw.type_info().name().to_string();
            Ok(match class.as_str() {
                "INTEGER" | "BOOLEAN" => Value::Int(Decode::<Sqlite>::decode(raw).map_err(decoded)?),
                "REAL" => Value::Double(Decode::<Sqlite>::decode(raw).map_err(decoded)?),
                "BLOB" => Value::bytes(<Vec<u8> as Decode<Sqlite>>::decode(raw).map_err(decoded)?),
                _ => Value::text(<String as Decode<Sqlite>>::decode(raw).map_err(decoded)?),
            })
        })
        .collect()
}
