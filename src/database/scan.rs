//! A whole table of the database, read as a stream: just the columns that are needed, those rows that simple
//! comparisons leave, and never more in memory than a few record batches.

use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use tokio::sync::mpsc;

use super::column::quote;
use super::rows::RowsBuilder;
use super::{Address, Connection, DatabaseError, Dialect, Origin, Relation, Value};

/// Rows of one record batch.
const BATCH_ROWS_MAX: usize = 4096;
/// Parts of the answer that were read and are not taken yet.
const WAITING_MAX: usize = 1;

/// What to read of a table.
#[derive(Clone, Debug)]
pub struct Scan {
    relation: Relation,
    /// By their place among the table's; may be none.
    columns: Vec<usize>,
    /// All must be true.
    filters: Vec<Comparison>,
    limit: Option<usize>,
    /// The columns of the rows that are read.
    schema: SchemaRef,
}

/// A comparison of a column with a value, which the database answers as SQL here does.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    pub column: String,
    /// `=`, `<`, `<=`, `>` or `>=`.
    pub operator: &'static str,
    pub value: Value<'static>,
}

impl Scan {
    /// Finds out the columns of a table; `None` where there is none, or no SQLite file. Nothing is created.
    ///
    /// # Errors
    /// The database does not answer, or refuses the statement.
    pub async fn relation(address: &Address, table: &str) -> Result<Option<Relation>, DatabaseError> {
        let Some(mut connection) = Connection::look(address).await? else { return Ok(None) };
        if super::table(&mut connection, table).await?.is_none() {
            return Ok(None);
        }
        Relation::open(&mut connection, Origin::Table(table)).await.map(Some)
    }

    /// The names of all tables; none where there is no SQLite file.
    ///
    /// # Errors
    /// The database does not answer, or refuses the statement.
    pub async fn tables(address: &Address) -> Result<Vec<String>, DatabaseError> {
        match Connection::look(address).await? {
            Some(mut connection) => super::table_names(&mut connection).await,
            None => Ok(Vec::new()),
        }
    }

    /// Of these columns (by their place; all of them where `None`), the rows that the filters leave, at most `limit`.
    ///
    /// # Errors
    /// A column that is not there.
    pub fn new(
        relation: &Relation,
        columns: Option<&[usize]>,
        filters: Vec<Comparison>,
        limit: Option<usize>,
    ) -> Result<Self, DatabaseError> {
        let all: Vec<usize> = (0..relation.schema.fields().len()).collect();
        let columns = columns.map_or(all, <[usize]>::to_vec);
        let schema = relation.schema.project(&columns);
        let schema = schema.map_err(|error| DatabaseError::other(error.to_string()))?;
        Ok(Self { relation: relation.clone(), columns, filters, limit, schema: Arc::new(schema) })
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Reads, over a connection of its own, and sends the rows as they are taken.
    ///
    /// # Errors
    /// The database does not answer, or refuses the statement; a value that its column's Arrow type cannot hold.
    pub async fn run<E>(
        self,
        address: &Address,
        rows: &mpsc::Sender<Result<RecordBatch, E>>,
    ) -> Result<(), DatabaseError> {
        let Some(mut connection) = Connection::look(address).await? else { return Ok(()) };
        let (sql, parameters) = self.statement(connection.dialect());
        let (sender, mut parts) = mpsc::channel(WAITING_MAX);
        let read = async move {
            let sender = sender;
            connection.query_parts(&sql, parameters, BATCH_ROWS_MAX, &sender).await
        };
        let send = async {
            while let Some(part) = parts.recv().await {
                let batch = self.batch(&part)?;
                if rows.send(Ok(batch)).await.is_err() {
                    break;
                }
            }
            parts.close();
            Ok::<_, DatabaseError>(())
        };
        let (read, sent) = tokio::join!(read, send);
        sent?;
        // Why: where nobody takes the rows any more, that the reading broke off is no failure.
        if rows.is_closed() { Ok(()) } else { read }
    }

    fn statement(&self, dialect: Dialect) -> (String, Vec<Value<'static>>) {
        let names = self.schema.fields().iter().map(|field| quote(field.name(), dialect));
        let names: Vec<String> = names.collect();
        let select = if names.is_empty() { "1".to_owned() } else { names.join(", ") };
        let mut sql = format!("SELECT {select} FROM {}", self.relation.from);
        for (index, filter) in self.filters.iter().enumerate() {
            let word = if index == 0 { "WHERE" } else { "AND" };
            sql.push_str(&format!(" {word} {} {} ?", quote(&filter.column, dialect), filter.operator));
        }
        if let Some(limit) = self.limit {
            sql.push_str(&format!(" LIMIT {limit}"));
        }
        (sql, self.filters.iter().map(|filter| filter.value.clone()).collect())
    }

    fn batch(&self, part: &[Vec<Value<'static>>]) -> Result<RecordBatch, DatabaseError> {
        if self.columns.is_empty() {
            let options = RecordBatchOptions::new().with_row_count(Some(part.len()));
            let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options);
            return batch.map_err(|error| DatabaseError::other(error.to_string()));
        }
        let mut builder = RowsBuilder::new(Arc::clone(&self.schema));
        for row in part {
            builder.push(row).map_err(DatabaseError::other)?;
        }
        builder.finish().map_err(DatabaseError::other)
    }
}

impl fmt::Display for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, "{} columns=[{}]", self.relation.from, names.join(", "))?;
        for filter in &self.filters {
            write!(f, ", {} {} {:?}", filter.column, filter.operator, filter.value)?;
        }
        self.limit.map_or(Ok(()), |limit| write!(f, ", limit={limit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Purpose;

    async fn table(rows: usize) -> (tempfile::TempDir, Address, Relation) {
        let folder = tempfile::tempdir().unwrap();
        let address = Address::Sqlite { path: folder.path().join("a.db") };
        let mut connection = Connection::open(&address, Purpose::Write { create: true }).await.unwrap();
        connection.run("CREATE TABLE t (n INTEGER, name TEXT)").await.unwrap();
        connection
            .run(&format!(
                "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows}) \
                 INSERT INTO t SELECT n, 'name ' || n FROM s"
            ))
            .await
            .unwrap();
        let relation = Scan::relation(&address, "t").await.unwrap().unwrap();
        (folder, address, relation)
    }

    async fn read(scan: Scan, address: &Address) -> Vec<RecordBatch> {
        let (sender, mut receiver) = mpsc::channel::<Result<RecordBatch, DatabaseError>>(1);
        let address = address.clone();
        let reading = tokio::spawn(async move { scan.run(&address, &sender).await });
        let mut batches = Vec::new();
        while let Some(batch) = receiver.recv().await {
            batches.push(batch.unwrap());
        }
        reading.await.unwrap().unwrap();
        batches
    }

    #[tokio::test]
    async fn columns_filters_and_limit_are_the_databases_work() {
        let (_folder, address, relation) = table(10_000).await;
        let all = Scan::new(&relation, None, Vec::new(), None).unwrap();
        let rows = read(all, &address).await;
        assert_eq!(rows.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [4096, 4096, 1808]);
        let above = Comparison { column: "n".into(), operator: ">", value: Value::Int(9_990) };
        let some = Scan::new(&relation, Some(&[1]), vec![above], Some(3)).unwrap();
        let (sql, parameters) = some.statement(Dialect::Sqlite);
        assert_eq!(sql, r#"SELECT "name" FROM "t" WHERE "n" > ? LIMIT 3"#);
        assert_eq!(parameters, [Value::Int(9_990)]);
        let rows = read(some, &address).await;
        assert_eq!((rows[0].num_rows(), rows[0].num_columns()), (3, 1));
        let counted = read(Scan::new(&relation, Some(&[]), Vec::new(), None).unwrap(), &address).await;
        assert_eq!(counted.iter().map(RecordBatch::num_rows).sum::<usize>(), 10_000);
    }

    #[tokio::test]
    async fn a_reader_who_leaves_ends_the_reading() {
        let (_folder, address, relation) = table(100_000).await;
        let scan = Scan::new(&relation, None, Vec::new(), None).unwrap();
        let (sender, mut receiver) = mpsc::channel::<Result<RecordBatch, DatabaseError>>(1);
        let reading = tokio::spawn(async move { scan.run(&address, &sender).await });
        assert!(receiver.recv().await.is_some());
        drop(receiver);
        reading.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn nothing_is_created_or_written() {
        let folder = tempfile::tempdir().unwrap();
        let address = Address::Sqlite { path: folder.path().join("none.db") };
        assert_eq!(Scan::tables(&address).await.unwrap(), Vec::<String>::new());
        assert!(Scan::relation(&address, "t").await.unwrap().is_none());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let (_folder, address, _) = table(1).await;
        assert!(Scan::relation(&address, "no_such").await.unwrap().is_none());
        let mut connection = Connection::open(&address, Purpose::ReadOnly).await.unwrap();
        let refused = connection.run("INSERT INTO t VALUES (2, 'x')").await.unwrap_err();
        assert!(refused.to_string().contains("readonly"), "{refused}");
    }
}
