//! One connection to either database. Nothing here tries a statement twice: whether that is right only the caller
//! knows.

use std::borrow::Cow;
use std::future::Future;

use super::column::{ColumnType, Dialect};
use super::mysql::{Loaded, MySqlConnection, NextPacket};
use super::sqlite::SqliteDatabase;
use super::{Address, DatabaseError, Value};
use crate::fault_point::{self, Injected};

/// What a connection is for, which decides its session's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Short waits for locks, and a short life when idle, so that a frozen process holds no locks for long.
    /// `create`: a SQLite file that is missing is created.
    Write { create: bool },
    /// Reading.
    Read,
    /// Reading, and the database refuses everything else.
    ReadOnly,
}

/// What statements of a connection must stay below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatementLimits {
    /// Placeholders in one statement.
    pub placeholders_max: usize,
    /// Bytes of one statement that holds many rows.
    pub statement_bytes_max: usize,
    /// Bytes of one row, which then is a statement of its own.
    pub row_bytes_max: usize,
}

/// One statement that gives no rows.
#[derive(Clone, Debug)]
pub struct Statement<'a> {
    pub sql: Cow<'a, str>,
    /// The values of its placeholders.
    pub parameters: Vec<Value<'a>>,
    /// How many rows it must match; otherwise nothing behind it is run.
    pub matches: Option<u64>,
}

/// Statements that ended before the last one.
#[derive(Debug)]
pub struct Interrupted {
    /// The place of the one that nothing behind was run of.
    pub at: usize,
    /// `None`: it did not match the rows that it must.
    pub error: Option<DatabaseError>,
}

impl From<DatabaseError> for Interrupted {
    fn from(error: DatabaseError) -> Self {
        Self { at: 0, error: Some(error) }
    }
}

/// An open connection.
pub enum Connection {
    MySql(Box<MySqlConnection>),
    Sqlite(Box<SqliteDatabase>),
}

/// Takes some rows that were read, a list of values each; the next are read when it is ready.
pub(super) type RowSender = tokio::sync::mpsc::Sender<Vec<Vec<Value<'static>>>>;

/// Takes one row that was read.
pub type TakeRow<'f> = dyn FnMut(Vec<Value<'static>>) -> Result<(), DatabaseError> + Send + 'f;

impl Connection {
    /// Connects and sets the session up.
    ///
    /// # Errors
    /// Infrastructure where the server is away; other where it refuses the user or the settings.
    pub async fn open(address: &Address, purpose: Purpose) -> Result<Self, DatabaseError> {
        let open = match address {
            Address::MySql(address) => Self::MySql(Box::new(MySqlConnection::open(address, purpose).await?)),
            Address::Sqlite { path } => Self::Sqlite(Box::new(SqliteDatabase::open(path, purpose).await?)),
        };
        fault_point::connected();
        Ok(open)
    }

    /// Connects for looking only; `None` where there is no SQLite file.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn look(address: &Address) -> Result<Option<Self>, DatabaseError> {
        if address.is_missing_file() {
            Ok(None)
        } else {
            Self::open(address, Purpose::ReadOnly).await.map(Some)
        }
    }

    pub fn dialect(&self) -> Dialect {
        match self {
            Self::MySql(connection) => connection.dialect(),
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Which server it leads to; `None` if that cannot be told.
    pub fn server(&self) -> Option<&str> {
        match self {
            Self::MySql(connection) => connection.server(),
            Self::Sqlite(_) => None,
        }
    }

    pub fn limits(&self) -> StatementLimits {
        match self {
            Self::MySql(connection) => connection.limits(),
            Self::Sqlite(database) => database.limits(),
        }
    }

    /// Runs a statement without parameters or rows: `BEGIN`, `COMMIT`, DDL.
    pub async fn run(&mut self, sql: &str) -> Result<(), DatabaseError> {
        sent(sql, async {
            match self {
                Self::MySql(connection) => connection.run(sql).await,
                Self::Sqlite(database) => database.run(sql).await,
            }
        })
        .await
    }

    /// Runs a statement that changes rows, prepared once and kept while there is room. Returns the number of rows
    /// that it matched.
    pub async fn execute(&mut self, sql: &str, parameters: Vec<Value<'_>>) -> Result<u64, DatabaseError> {
        sent(sql, async {
            match self {
                Self::MySql(connection) => connection.execute(sql, parameters).await,
                Self::Sqlite(database) => database.execute(sql, parameters).await,
            }
        })
        .await
    }

    /// Runs statements one after the other, in one round trip where the database has those.
    ///
    /// # Errors
    /// The first that failed, or that did not match the rows it must; those behind it were not run. Where the connection
    /// was lost, any of them may have been.
    pub async fn execute_together(&mut self, statements: Vec<Statement<'_>>) -> Result<(), Interrupted> {
        match self {
            Self::MySql(connection) => {
                all_passed("before", &statements).await?;
                connection.execute_together(&statements).await?;
                Ok(all_passed("after", &statements).await?)
            }
            Self::Sqlite(_) => {
                for (at, Statement { sql, parameters, matches }) in statements.into_iter().enumerate() {
                    let run = match parameters.is_empty() {
                        true => self.run(&sql).await.map(|()| 0),
                        false => self.execute(&sql, parameters).await,
                    };
                    match run {
                        Ok(matched) if matches.is_some_and(|expected| expected != matched) => {
                            return Err(Interrupted { at, error: None });
                        }
                        Ok(_) => {}
                        Err(error) => return Err(Interrupted { at, error: Some(error) }),
                    }
                }
                Ok(())
            }
        }
    }

    /// Whether rows can be sent by LOAD DATA LOCAL.
    pub fn can_load(&self) -> bool {
        match self {
            Self::MySql(connection) => connection.can_load(),
            Self::Sqlite(_) => false,
        }
    }

    /// Runs statements one after the other, in one round trip. The last one is LOAD DATA LOCAL: it gets the packets that
    /// `next_packet` gives, until it gives none.
    ///
    /// # Errors
    /// As [`Connection::execute_together`]; that SQLite has no such statement.
    pub async fn load(
        &mut self,
        statements: Vec<Statement<'_>>,
        next_packet: &mut NextPacket<'_>,
    ) -> Result<Loaded, Interrupted> {
        let Self::MySql(connection) = self else {
            return Err(DatabaseError::other("SQLite has no LOAD DATA").into());
        };
        all_passed("before", &statements).await?;
        let loaded = connection.load(&statements, next_packet).await?;
        all_passed("after", &statements).await?;
        Ok(loaded)
    }

    /// Runs a query and gives `take` each row as it comes.
    pub async fn query_each(
        &mut self,
        sql: &str,
        parameters: Vec<Value<'_>>,
        take: &mut TakeRow<'_>,
    ) -> Result<(), DatabaseError> {
        sent(sql, async {
            match self {
                Self::MySql(connection) => connection.query_each(sql, parameters, take).await,
                Self::Sqlite(database) => database.query_each(sql, parameters, take).await,
            }
        })
        .await
    }

    /// Runs a query and sends its rows in parts of at most `rows_max`, as fast as they are taken. It ends early where
    /// nobody takes them any more; the connection is of no more use then.
    pub(super) async fn query_parts(
        &mut self,
        sql: &str,
        parameters: Vec<Value<'_>>,
        rows_max: usize,
        parts: &RowSender,
    ) -> Result<(), DatabaseError> {
        match self {
            Self::MySql(connection) => connection.query_parts(sql, parameters, rows_max, parts).await,
            Self::Sqlite(database) => database.query_parts(sql, parameters, rows_max, parts).await,
        }
    }

    /// Runs a query with few rows.
    pub async fn query(
        &mut self,
        sql: &str,
        parameters: Vec<Value<'_>>,
    ) -> Result<Vec<Vec<Value<'static>>>, DatabaseError> {
        let mut rows = Vec::new();
        let mut take = |row| {
            rows.push(row);
            Ok(())
        };
        self.query_each(sql, parameters, &mut take).await?;
        Ok(rows)
    }

    /// Names and types of a query's columns, without running it.
    pub async fn describe(&mut self, sql: &str) -> Result<Vec<(String, ColumnType)>, DatabaseError> {
        match self {
            Self::MySql(connection) => connection.describe(sql).await,
            Self::Sqlite(database) => database.describe(sql).await,
        }
    }

    /// Has the server check a statement with placeholders: its tables, columns and the user's rights.
    pub async fn prepare(&mut self, sql: &str) -> Result<(), DatabaseError> {
        match self {
            Self::MySql(connection) => connection.prepare(sql).await,
            Self::Sqlite(database) => database.prepare(sql).await,
        }
    }

    /// Starts a transaction that will write.
    pub async fn begin(&mut self) -> Result<(), DatabaseError> {
        self.run(begin(self.dialect())).await
    }

    pub async fn commit(&mut self) -> Result<(), DatabaseError> {
        self.run("COMMIT").await
    }

    pub async fn rollback(&mut self) -> Result<(), DatabaseError> {
        sent("ROLLBACK", async {
            match self {
                Self::MySql(connection) => connection.run("ROLLBACK").await,
                Self::Sqlite(database) => database.rollback().await,
            }
        })
        .await
    }

    pub(super) async fn is_alive(&mut self) -> bool {
        match self {
            Self::MySql(connection) => connection.ping().await.is_ok(),
            Self::Sqlite(_) => true,
        }
    }
}

/// The statement that starts a transaction that will write.
pub fn begin(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::MySql | Dialect::MariaDb => "START TRANSACTION",
        // Why: a transaction that starts as a reader can fail to become the writer half-way.
        Dialect::Sqlite => "BEGIN IMMEDIATE",
    }
}

/// A statement in flight, with the places at which tests make it fail.
async fn sent<T>(
    sql: &str,
    statement: impl Future<Output = Result<T, DatabaseError>>,
) -> Result<T, DatabaseError> {
    passed("before", sql).await?;
    let answer = statement.await?;
    passed("after", sql).await?;
    Ok(answer)
}

async fn all_passed(when: &str, statements: &[Statement<'_>]) -> Result<(), DatabaseError> {
    for statement in statements {
        passed(when, &statement.sql).await?;
    }
    Ok(())
}

async fn passed(when: &str, sql: &str) -> Result<(), DatabaseError> {
    match fault_point::reach(when, sql).await {
        None => Ok(()),
        Some(Injected::Lost) => Err(DatabaseError::lost(format!("a test cut the connection {when} {sql}"))),
        Some(Injected::Busy) => {
            Err(DatabaseError::busy(format!("a test makes the server busy {when} {sql}")))
        }
    }
}
