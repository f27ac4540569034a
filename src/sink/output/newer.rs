//! What a replay would replace: rows with a key that are in the table already, though the replayed message is older.
//!
//! The table says which of two rows is newer only if it has the columns that the output is ordered by. Where rows are
//! ordered by the positions of their messages, that is known of messages of one partition alone. With `only_newer` the
//! table keeps the newer row, so nothing has to be found. A row of state has the time of the newest message of the batch
//! that wrote it, which need not be a message of its key.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;

use super::keyed::{ByKey, Order};
use super::{Change, Column, Output, taken};
use crate::batch::{Commit, MESSAGE_TIME_COLUMN};
use crate::config::POSITION;
use crate::database::{Connection, Value};
use crate::sink::shapes::Names;
use crate::sink::statement::Shape;
use crate::sink::{Sink, SinkError, Tables, Target};

/// Rows of a table that a replay would replace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    pub table: String,
    pub rows: i64,
    pub age: Age,
}

/// What is known of the age of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Age {
    /// It is above the row that would replace it.
    Newer,
    /// The table does not say.
    Unknown,
    /// A row of state: a batch that had newer messages wrote it.
    State,
}

/// How rows of one age are counted.
#[derive(Clone)]
pub(in crate::sink) struct Lookup {
    pub shape: Shape,
    /// Places among the output's columns, of what a row sends.
    pub sent: Vec<usize>,
    age: Age,
}

impl Lookup {
    pub fn of(
        target: &Target,
        names: &Names<'_>,
        parent: &[usize],
        order: Option<&Order>,
        columns: &[Column],
    ) -> Vec<Self> {
        if names.key.is_empty() || names.version.is_some() {
            return Vec::new();
        }
        let key = if parent.is_empty() { names.key } else { parent };
        let names = Names { key, version: None, ..*names };
        let lookup = |age, of_all: &str, of_row: &str, more: &[usize]| Self {
            shape: names.count(of_all, of_row),
            sent: key.iter().chain(more).copied().collect(),
            age,
        };
        if target.is_state() {
            return vec![lookup(Age::State, &format!("{MESSAGE_TIME_COLUMN} > ?"), "", &[])];
        }
        let written = |index: &usize| columns.iter().position(|column| column.index == *index);
        let ordered = order.map_or(&[][..], |order| &order.columns);
        let Some(ordered) = ordered.iter().map(written).collect::<Option<Vec<usize>>>() else {
            return vec![lookup(Age::Unknown, "", "", &[])];
        };
        let quoted: Vec<String> = ordered.iter().map(|place| names.quoted(*place)).collect();
        let order: Vec<&str> = ordered.iter().map(|place| columns[*place].name.as_str()).collect();
        match ordered.split_last() {
            None => vec![lookup(Age::Unknown, "", "", &[])],
            Some((_, partition)) if order == POSITION || order == POSITION[1..] => {
                let (offset, partitions) = (&quoted[partition.len()], &quoted[..partition.len()]);
                let is_same: Vec<String> = partitions.iter().map(|name| format!("{name} = ?")).collect();
                let is_same = is_same.join(" AND ");
                vec![
                    lookup(Age::Newer, "", &format!("{is_same} AND {offset} > ?"), &ordered),
                    lookup(Age::Unknown, "", &format!("NOT ({is_same})"), partition),
                ]
            }
            Some(_) => {
                let (all, places) = (quoted.join(", "), vec!["?"; quoted.len()].join(", "));
                vec![lookup(Age::Newer, "", &format!("({all}) > ({places})"), &ordered)]
            }
        }
    }
}

impl Sink {
    /// Counts, in the transaction that is open, the rows that a batch would replace and that newer messages may have
    /// written; they stay locked. `newest_ms`: the time of the newest message of the batch.
    ///
    /// # Errors
    /// Data that does not fit, or the database's; the transaction is rolled back.
    pub async fn replaced(
        &mut self,
        commit: &Commit,
        newest_ms: Option<i64>,
    ) -> Result<Vec<Replaced>, SinkError> {
        let Self { link, tables, .. } = self;
        let found = replaced(link.in_use()?, tables, commit, newest_ms).await;
        self.kept(found).await
    }
}

async fn replaced(
    connection: &mut Connection,
    tables: &Tables,
    commit: &Commit,
    newest_ms: Option<i64>,
) -> Result<Vec<Replaced>, SinkError> {
    let mut found = Vec::new();
    for (output, batches) in tables.outputs.iter().zip(&commit.outputs) {
        found.extend(output.replaced(connection, batches, &[]).await?);
    }
    let Some(newest_ms) = newest_ms else { return Ok(found) };
    let newest = [Value::DateTime(newest_ms.saturating_mul(1000))];
    for (state, change) in tables.states.iter().zip(&commit.states) {
        found.extend(state.replaced(connection, std::slice::from_ref(&change.rows), &newest).await?);
    }
    Ok(found)
}

impl Output {
    /// `first`: the values of what comes before the conditions of the rows.
    async fn replaced(
        self: &Arc<Self>,
        connection: &mut Connection,
        batches: &[RecordBatch],
        first: &[Value<'static>],
    ) -> Result<Vec<Replaced>, SinkError> {
        if self.lookups.is_empty() || batches.iter().all(|batch| batch.num_rows() == 0) {
            return Ok(Vec::new());
        }
        let batch = concat_batches(&self.schema, batches)?;
        let rows = match self.parent.is_empty() {
            true => {
                let ByKey { removed, written, .. } = self.by_key(&batch)?;
                removed.into_iter().chain(written).collect()
            }
            false => self.by_parent(&batch)?.0,
        };
        let batch = taken(&batch, rows)?;
        let limits = connection.limits();
        let mut all = Vec::new();
        for (place, lookup) in self.lookups.iter().enumerate() {
            let rows = self.checked(Change::Count(place), std::slice::from_ref(&batch))?;
            let mut count = 0;
            for chunk in rows.chunks(&limits) {
                let parameters = first.iter().cloned().chain(rows.parameters(&chunk)?).collect();
                let found = connection.query(&rows.sql(chunk.len()), parameters).await;
                let found = found.map_err(|error| rows.refused_at(None, error))?;
                count += found.first().and_then(|row| row.first()?.as_i64()).unwrap_or(0);
            }
            if count > 0 {
                all.push(Replaced { table: self.table.clone(), rows: count, age: lookup.age });
            }
        }
        Ok(all)
    }
}
