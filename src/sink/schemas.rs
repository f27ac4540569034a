//! The schemas that a job has got from a registry, kept so that a restart needs no registry. They never change: a
//! registry gives an id once.

use super::SinkError;
use super::check::made_or_refused;
use super::columns::{now, text};
use super::ddl::{SCHEMAS_TABLE, schemas_table};
use crate::config::CreateTables;
use crate::database::{Address, Connection, DatabaseError, Dialect, Link, Purpose, Value, table};

/// Schemas that are read at a start. A registry of that size is a fault of somebody.
const SCHEMAS_MAX: usize = 100_000;

/// A connection to the stored schemas of one job, opened again where it was lost.
pub struct StoredSchemas {
    link: Link,
    job: String,
}

impl StoredSchemas {
    /// Connects, and creates the table if it is missing, as far as `create_tables` says.
    ///
    /// # Errors
    /// The table is missing and may not be created; or the database does not answer, or refuses the statement.
    pub async fn open(address: &Address, job: &str, create_tables: CreateTables) -> Result<Self, SinkError> {
        let mut link =
            Link::new(address.clone(), Purpose::Write { create: create_tables != CreateTables::None });
        let connection = link.ready().await?;
        let statement = schemas_table(connection.dialect());
        let made = made_or_refused(connection, SCHEMAS_TABLE, &statement, create_tables).await;
        let faults = link.done(made)?;
        if faults.is_empty() { Ok(Self { link, job: job.to_owned() }) } else { Err(SinkError::Check(faults)) }
    }

    /// As [`StoredSchemas::open`], for looking only; `None` if nothing is stored.
    pub async fn look(address: &Address, job: &str) -> Result<Option<Self>, SinkError> {
        if address.is_missing_file() {
            return Ok(None);
        }
        let mut link = Link::new(address.clone(), Purpose::ReadOnly);
        let found = table(link.ready().await?, SCHEMAS_TABLE).await;
        let found = link.done(found)?;
        Ok(found.map(|_| Self { link, job: job.to_owned() }))
    }

    /// All ids of the job, as text, and their schemas.
    pub async fn all(&mut self) -> Result<Vec<(String, String)>, SinkError> {
        let sql = format!(
            "SELECT schema_id, schema_text FROM {SCHEMAS_TABLE} WHERE job = ? ORDER BY schema_id LIMIT {SCHEMAS_MAX}"
        );
        let connection = self.link.ready().await?;
        let rows = connection.query(&sql, vec![Value::text(self.job.clone())]).await;
        let read = |row: Vec<Value<'static>>| Some((text(&row, 0)?, text(&row, 1)?));
        Ok(self.link.done(rows)?.into_iter().filter_map(read).collect())
    }

    /// Stores a schema, unless the id has one. Returns the one that it has now: the first that an instance of the job was
    /// told is the one of all.
    pub async fn store(&mut self, id: &str, schema: &str) -> Result<String, SinkError> {
        let connection = self.link.ready().await?;
        let stored = stored(connection, &self.job, id, schema).await;
        Ok(self.link.done(stored)?.unwrap_or_else(|| schema.to_owned()))
    }
}

/// Stores a schema, and reads what is stored.
async fn stored(
    connection: &mut Connection,
    job: &str,
    id: &str,
    schema: &str,
) -> Result<Option<String>, DatabaseError> {
    let key = || vec![Value::text(job.to_owned()), Value::text(id.to_owned())];
    let row = key().into_iter().chain([Value::text(schema.to_owned())]).collect();
    connection.execute(&store_sql(connection.dialect()), row).await?;
    let sql = format!("SELECT schema_text FROM {SCHEMAS_TABLE} WHERE job = ? AND schema_id = ?");
    let rows = connection.query(&sql, key()).await?;
    Ok(rows.first().and_then(|row| text(row, 0)))
}

fn store_sql(dialect: Dialect) -> String {
    let on_present = match dialect {
        Dialect::Sqlite => "ON CONFLICT (job, schema_id) DO NOTHING",
        Dialect::MySql | Dialect::MariaDb => "ON DUPLICATE KEY UPDATE schema_id = schema_id",
    };
    format!(
        "INSERT INTO {SCHEMAS_TABLE} (job, schema_id, schema_text, first_used_at) VALUES (?, ?, ?, {}) {on_present}",
        now(dialect)
    )
}
