//! The stored dead letters of a job as people see them: listed, read, counted and deleted, beside the job itself.
//!
//! They are read in pages that are bounded in rows and in bytes, so that a table of any size can be walked through.

use std::collections::BTreeSet;

use super::SinkError;
use super::columns::{clock_micros, partition_of, text};
use super::ddl::{DEAD_LETTERS_TABLE, FILLS_TABLE};
use super::dead_letters::parse_headers;
use crate::batch::{DeadLetter, LetterKind, Limits, Stage, TopicPartition};
use crate::config::Config;
use crate::database::{Address, Connection, DatabaseError, Link, Purpose, Value, table};

/// Rows that one statement fetches or deletes, at most.
const STATEMENT_ROWS_MAX: usize = 1_000;
/// Different places and codes that causes are made of.
const CAUSES_MAX: usize = 10_000;
/// The field that a payload cannot be decoded at, of a reason that begins with it; otherwise an empty text.
const FIELD: &str = "CASE WHEN reason LIKE 'field `%`%' THEN SUBSTR(reason, 8, INSTR(SUBSTR(reason, 8), '`') - 1) ELSE '' END";
/// What [`stored_letter`] reads, but for the two times.
const COLUMNS: &str = "id, kafka_topic, kafka_partition, kafka_offset, kafka_timestamp, kafka_key, kafka_headers, \
                       payload, stage, place, reason, job";
/// What a row takes in memory besides its payload and its kin.
const ROW_OVERHEAD_BYTES: usize = 256;

/// A dead letter as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLetter {
    pub id: i64,
    /// The job, or a fill of it.
    pub owner: String,
    pub letter: DeadLetter,
    /// By the database's clock in UTC, as text.
    pub created_at: String,
    /// `None`: it waits.
    pub replayed_at: Option<String>,
}

/// Dead letters of one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    pub stage: String,
    /// Of a payload that cannot be decoded, the field, with `[]` for the place in a list.
    pub place: String,
    /// The database's error code.
    pub code: Option<i64>,
    pub count: i64,
    /// When the first and the last of them were written, by the database's clock in UTC, as text.
    pub first: String,
    pub last: String,
    /// The id of the newest.
    pub example: i64,
}

/// Which dead letters of the job are meant; by default all.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub is_replayed: Option<bool>,
    /// The job, or one of its fills; `None`: all of them.
    pub owner: Option<String>,
    pub stage: Option<Stage>,
    /// A part of their place, or of the field that cannot be decoded, as [`Cause::place`] has it.
    pub place: Option<String>,
    /// The database's error code, which is in their reason.
    pub code: Option<i64>,
    /// Only these, where there are any; at most some thousand.
    pub ids: Vec<i64>,
    pub partition: Option<TopicPartition>,
    pub id_max: Option<i64>,
    /// Microseconds since the epoch, as the next.
    pub created_from_micros: Option<i64>,
    pub created_before_micros: Option<i64>,
}

/// The order in which they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterOrder {
    Newest,
    Oldest,
    /// Of the offsets in their partition, which [`Selection::partition`] names.
    Offset,
}

/// Where a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LetterCursor {
    pub offset: i64,
    pub id: i64,
}

/// A connection to the dead letters of one job and of its fills, opened again if it was lost. Where fields are `sensitive`, the
/// reasons that it reads quote no value.
pub struct StoredLetters {
    link: Link,
    /// The job, then its fills.
    owners: Vec<String>,
    hides_values: bool,
}

/// Follows the job in the names of its fills.
pub(super) const OF_FILL: &str = "/fill/";

impl StoredLetter {
    pub fn cursor(&self) -> LetterCursor {
        LetterCursor { offset: self.letter.offset, id: self.id }
    }

    /// True if it was a fill that could not process the message.
    pub fn is_of_fill(&self) -> bool {
        self.owner.contains(OF_FILL)
    }
}

impl StoredLetters {
    /// Connects; `None` where no job has stored anything in this database. Nothing is created.
    pub async fn open(config: &Config) -> Result<Option<Self>, SinkError> {
        Self::open_for(config, Purpose::Write { create: false }).await
    }

    /// As [`StoredLetters::open`], for looking only; `None` also where there is no SQLite file.
    pub async fn look(config: &Config) -> Result<Option<Self>, SinkError> {
        if config.database.is_missing_file() {
            Ok(None)
        } else {
            Self::open_for(config, Purpose::ReadOnly).await
        }
    }

    async fn open_for(config: &Config, purpose: Purpose) -> Result<Option<Self>, SinkError> {
        let mut link = Link::new(config.database.clone(), purpose);
        let owners = owners(link.ready().await?, &config.job).await;
        let hides_values = !config.sensitive.is_empty();
        Ok(link.done(owners)?.map(|owners| Self { link, owners, hides_values }))
    }

    /// The database's clock, microseconds since the epoch.
    pub async fn now_micros(&mut self) -> Result<i64, SinkError> {
        let read = clock_micros(self.link.ready().await?).await;
        Ok(self.link.done(read)?)
    }

    /// How many there are.
    pub async fn count(&mut self, selection: &Selection) -> Result<i64, SinkError> {
        Ok(self.number("COUNT(*)", selection).await?.unwrap_or(0))
    }

    /// The highest id; `None` where there are none.
    pub async fn last_id(&mut self, selection: &Selection) -> Result<Option<i64>, SinkError> {
        self.number("MAX(id)", selection).await
    }

    async fn number(&mut self, what: &str, selection: &Selection) -> Result<Option<i64>, SinkError> {
        let (conditions, parameters) = self.conditions(selection);
        let sql = format!("SELECT {what} FROM {DEAD_LETTERS_TABLE} WHERE {conditions}");
        let rows = self.query(&sql, parameters).await?;
        Ok(rows.first().and_then(|row| row.first()).and_then(Value::as_i64))
    }

    /// The offsets below `offset` of the messages of a partition that wait among the dead letters of the job, not of its fills.
    ///
    /// # Errors
    /// The database does not answer, or refuses the statement.
    pub async fn waiting_before(
        &mut self,
        partition: &TopicPartition,
        offset: i64,
    ) -> Result<BTreeSet<i64>, SinkError> {
        let selection = Selection {
            is_replayed: Some(false),
            owner: self.owners.first().cloned(),
            partition: Some(partition.clone()),
            ..Selection::default()
        };
        let (conditions, mut parameters) = self.conditions(&selection);
        parameters.push(Value::Int(offset));
        let sql =
            format!("SELECT kafka_offset FROM {DEAD_LETTERS_TABLE} WHERE {conditions} AND kafka_offset < ?");
        let rows = self.query(&sql, parameters).await?;
        Ok(rows.iter().filter_map(|row| row.first()?.as_i64()).collect())
    }

    /// They by their causes, the most frequent first.
    pub async fn causes(&mut self, selection: &Selection) -> Result<Vec<Cause>, SinkError> {
        let (conditions, parameters) = self.conditions(selection);
        let (first, last) = (self.time_text("MIN(created_at)"), self.time_text("MAX(created_at)"));
        // Where the database is to blame, its name and error code come first; the rest differs from row to row.
        let code = "CASE WHEN reason LIKE 'mysql error %' OR reason LIKE 'sqlite error %' THEN SUBSTR(reason, 1, 18) \
                    ELSE '' END";
        // Of a payload that ends too early the byte is a matter of chance.
        let place = format!("CASE WHEN place LIKE '{}%' THEN {FIELD} ELSE place END", DeadLetter::BYTE);
        let sql = format!(
            "SELECT stage, {place} AS found_at, {code} AS code, COUNT(*), {first}, {last}, MAX(id) \
             FROM {DEAD_LETTERS_TABLE} WHERE {conditions} GROUP BY stage, found_at, code LIMIT {CAUSES_MAX}"
        );
        let cause = |row: &Vec<Value<'_>>| {
            let text = |index: usize| text(row, index);
            let number = |index: usize| row.get(index)?.as_i64();
            let code =
                text(2)?.split(|letter: char| !letter.is_ascii_digit()).find_map(|word| word.parse().ok());
            let (stage, first, last) = (text(0)?, text(4)?, text(5)?);
            let place = if stage == Stage::Decode.name() { without_indexes(&text(1)?) } else { text(1)? };
            Some(Cause { stage, place, code, count: number(3)?, first, last, example: number(6)? })
        };
        let rows = self.query(&sql, parameters).await?;
        let mut causes: Vec<Cause> = Vec::new();
        for row in &rows {
            let cause = cause(row).ok_or_else(unreadable)?;
            let is_same = |other: &&mut Cause| {
                (&other.stage, &other.place, other.code) == (&cause.stage, &cause.place, cause.code)
            };
            match causes.iter_mut().find(is_same) {
                Some(known) => {
                    known.count += cause.count;
                    known.first = std::mem::take(&mut known.first).min(cause.first);
                    known.last = std::mem::take(&mut known.last).max(cause.last);
                    known.example = known.example.max(cause.example);
                }
                None => causes.push(cause),
            }
        }
        causes.sort_by_key(|cause| std::cmp::Reverse(cause.count));
        Ok(causes)
    }

    /// Whose they are and the partitions they come from: the job's first, in topic, partition order.
    pub async fn sources(
        &mut self,
        selection: &Selection,
    ) -> Result<Vec<(String, TopicPartition)>, SinkError> {
        let (conditions, parameters) = self.conditions(selection);
        let sql = format!(
            "SELECT DISTINCT job, kafka_topic, kafka_partition FROM {DEAD_LETTERS_TABLE} WHERE {conditions}"
        );
        let source = |row: &Vec<Value<'_>>| Some((text(row, 0)?, partition_of(row, 1)?));
        let rows = self.query(&sql, parameters).await?;
        let sources: Option<Vec<(String, TopicPartition)>> = rows.iter().map(source).collect();
        let mut sources = sources.ok_or_else(unreadable)?;
        // The name of a fill begins with that of its job.
        sources.sort();
        Ok(sources)
    }

    /// The next ones behind `after`, as many as a page holds; none where all were read.
    ///
    /// # Errors
    /// The database does not answer, or refuses the statement; or a row that this program has not written.
    pub async fn page(
        &mut self,
        selection: &Selection,
        order: LetterOrder,
        after: Option<LetterCursor>,
        limits: Limits,
    ) -> Result<Vec<StoredLetter>, SinkError> {
        let mut after = after;
        loop {
            let mut bytes = 0;
            let mut ids = Vec::new();
            for (place, size) in self.sizes(selection, order, after, limits.rows_max).await? {
                bytes += size + ROW_OVERHEAD_BYTES;
                if bytes > limits.bytes_max && !ids.is_empty() {
                    break;
                }
                ids.push(place.id);
                after = Some(place);
            }
            let letters = self.by_ids(&ids).await?;
            // Those that were there may have been deleted in between.
            if !letters.is_empty() || ids.is_empty() {
                return Ok(letters);
            }
        }
    }

    /// Those of these ids, in their order; ids that are not there are left out.
    ///
    /// # Errors
    /// As [`StoredLetters::page`].
    pub async fn by_ids(&mut self, ids: &[i64]) -> Result<Vec<StoredLetter>, SinkError> {
        let mut letters = Vec::with_capacity(ids.len());
        for ids in ids.chunks(STATEMENT_ROWS_MAX) {
            let selection = Selection { ids: ids.to_vec(), ..Selection::default() };
            let (conditions, parameters) = self.conditions(&selection);
            let times = ["created_at", "replayed_at"].map(|column| self.time_text(column)).join(", ");
            let sql = format!("SELECT {COLUMNS}, {times} FROM {DEAD_LETTERS_TABLE} WHERE {conditions}");
            let rows = self.query(&sql, parameters).await?;
            let found: Option<Vec<StoredLetter>> = rows.into_iter().map(stored_letter).collect();
            let mut found = found.ok_or_else(unreadable)?;
            let place = |letter: &StoredLetter| ids.iter().position(|id| *id == letter.id);
            found.sort_by_cached_key(place);
            if self.hides_values {
                found.iter_mut().for_each(|stored| stored.letter.hide_values());
            }
            letters.append(&mut found);
        }
        Ok(letters)
    }

    /// Deletes some, the oldest first, behind the id `after`. Returns how many, and the id to go on behind; `None` where
    /// all were deleted.
    ///
    /// # Errors
    /// The database does not answer, or refuses the statement; those deleted before stay deleted.
    pub async fn delete_some(
        &mut self,
        selection: &Selection,
        after: i64,
    ) -> Result<Option<(u64, i64)>, SinkError> {
        let cursor = Some(LetterCursor { offset: 0, id: after });
        let found = self.sizes(selection, LetterOrder::Oldest, cursor, STATEMENT_ROWS_MAX).await?;
        let Some(last) = found.last().map(|(place, _)| place.id) else { return Ok(None) };
        let (conditions, mut parameters) = self.conditions(selection);
        parameters.extend([Value::Int(after), Value::Int(last)]);
        let sql = format!("DELETE FROM {DEAD_LETTERS_TABLE} WHERE {conditions} AND id > ? AND id <= ?");
        let connection = self.link.ready().await?;
        let deleted = connection.execute(&sql, parameters).await;
        Ok(Some((self.link.done(deleted)?, last)))
    }

    /// Where they stand, in order, each with the bytes that its row takes.
    async fn sizes(
        &mut self,
        selection: &Selection,
        order: LetterOrder,
        after: Option<LetterCursor>,
        rows_max: usize,
    ) -> Result<Vec<(LetterCursor, usize)>, SinkError> {
        let (mut conditions, mut parameters) = self.conditions(selection);
        if let Some(LetterCursor { offset, id }) = after {
            let (behind, values) = match order {
                LetterOrder::Newest => ("id < ?", vec![id]),
                LetterOrder::Oldest => ("id > ?", vec![id]),
                LetterOrder::Offset => {
                    ("(kafka_offset > ? OR (kafka_offset = ? AND id > ?))", vec![offset, offset, id])
                }
            };
            conditions += &format!(" AND {behind}");
            parameters.extend(values.into_iter().map(Value::Int));
        }
        let order = match order {
            LetterOrder::Newest => "id DESC",
            LetterOrder::Oldest => "id",
            LetterOrder::Offset => "kafka_offset, id",
        };
        let sql = format!(
            "SELECT id, kafka_offset, COALESCE(LENGTH(payload), 0) + COALESCE(LENGTH(kafka_key), 0) + LENGTH(kafka_headers) \
             + LENGTH(reason) FROM {DEAD_LETTERS_TABLE} WHERE {conditions} ORDER BY {order} LIMIT {rows_max}"
        );
        let size = |row: &Vec<Value<'_>>| {
            let place = LetterCursor { id: row.first()?.as_i64()?, offset: row.get(1)?.as_i64()? };
            Some((place, usize::try_from(row.get(2)?.as_i64()?).ok()?))
        };
        let rows = self.query(&sql, parameters).await?;
        rows.iter().map(|row| size(row).ok_or_else(unreadable)).collect()
    }

    /// What follows WHERE, and its parameters.
    fn conditions(&self, selection: &Selection) -> (String, Vec<Value<'static>>) {
        let owners = selection.owner.as_ref().map_or(self.owners.as_slice(), std::slice::from_ref);
        let mut conditions = format!("job IN ({})", vec!["?"; owners.len()].join(","));
        let mut parameters: Vec<Value<'static>> = owners.iter().cloned().map(Value::text).collect();
        match selection.is_replayed {
            Some(true) => conditions += " AND replayed_at IS NOT NULL",
            Some(false) => conditions += " AND replayed_at IS NULL",
            None => {}
        }
        let mut and = |condition: &str, values: Vec<Value<'static>>| {
            conditions += " AND ";
            conditions += condition;
            parameters.extend(values);
        };
        if let Some(stage) = selection.stage {
            and("stage = ?", vec![Value::text(stage.name())]);
        }
        if let Some(TopicPartition { topic, partition }) = &selection.partition {
            let place = vec![Value::text(topic.to_string()), Value::Int(i64::from(*partition))];
            and("kafka_topic = ? AND kafka_partition = ?", place);
        }
        if let Some(id) = selection.id_max {
            and("id <= ?", vec![Value::Int(id)]);
        }
        if let Some(place) = &selection.place {
            // The indexes of a field are left out where causes are shown.
            let escaped = place.replace('!', "!!").replace('%', "!%").replace('_', "!_");
            let pattern = format!("%{}%", escaped.replace("[]", "[%]"));
            let condition = format!("(INSTR(place, ?) > 0 OR ({FIELD}) LIKE ? ESCAPE '!')");
            and(&condition, vec![Value::text(place.clone()), Value::text(pattern)]);
        }
        if let Some(code) = selection.code {
            let mysql = Value::text(format!("mysql error {code} ("));
            let sqlite = Value::text(format!("sqlite error {code}:"));
            and("(INSTR(reason, ?) = 1 OR INSTR(reason, ?) = 1)", vec![mysql, sqlite]);
        }
        if let Some(micros) = selection.created_from_micros {
            and("created_at >= ?", vec![Value::DateTime(micros)]);
        }
        if let Some(micros) = selection.created_before_micros {
            and("created_at < ?", vec![Value::DateTime(micros)]);
        }
        if !selection.ids.is_empty() {
            let places = vec!["?"; selection.ids.len()].join(",");
            and(&format!("id IN ({places})"), selection.ids.iter().copied().map(Value::Int).collect());
        }
        (conditions, parameters)
    }

    fn time_text(&self, column: &str) -> String {
        match self.link.address() {
            Address::Sqlite { .. } => column.to_owned(),
            Address::MySql(_) => format!("CAST({column} AS CHAR)"),
        }
    }

    async fn query(
        &mut self,
        sql: &str,
        parameters: Vec<Value<'_>>,
    ) -> Result<Vec<Vec<Value<'static>>>, DatabaseError> {
        let connection = self.link.ready().await?;
        let rows = connection.query(sql, parameters).await;
        self.link.done(rows)
    }
}

/// The job, then its fills; `None` if there is no table of dead letters.
async fn owners(connection: &mut Connection, job: &str) -> Result<Option<Vec<String>>, DatabaseError> {
    if table(connection, DEAD_LETTERS_TABLE).await?.is_none() {
        return Ok(None);
    }
    let mut owners = vec![job.to_owned()];
    // An earlier version of the program had no fills.
    if table(connection, FILLS_TABLE).await?.is_some() {
        let sql = format!("SELECT DISTINCT fill FROM {FILLS_TABLE} WHERE job = ? ORDER BY fill");
        let rows = connection.query(&sql, vec![Value::text(job.to_owned())]).await?;
        owners.extend(rows.iter().filter_map(|row| row.first()?.as_text().map(str::to_owned)));
    }
    Ok(Some(owners))
}

fn unreadable() -> SinkError {
    SinkError::Sql(format!("{DEAD_LETTERS_TABLE} has a row that this program has not written").into())
}

/// A path to a field, with `[]` for each place in a list: `lines[].sku`.
fn without_indexes(path: &str) -> String {
    let mut parts = path.split('[');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |shown, part| match part.split_once(']') {
        Some((_, rest)) => format!("{shown}[]{rest}"),
        None => format!("{shown}[{part}"),
    })
}

/// A row of [`COLUMNS`] and the two times.
fn stored_letter(row: Vec<Value<'static>>) -> Option<StoredLetter> {
    let text = |index: usize| text(&row, index);
    let number = |index: usize| row.get(index).and_then(Value::as_i64);
    let bytes = |index: usize| match row.get(index) {
        Some(Value::Bytes(bytes)) => Some(bytes.to_vec()),
        Some(Value::Text(text)) => Some(text.as_bytes().to_vec()),
        _ => None,
    };
    let letter = DeadLetter {
        partition: partition_of(&row, 1)?,
        offset: number(3)?,
        timestamp_ms: row.get(4).and_then(Value::as_micros).map(|micros| micros.div_euclid(1000)),
        key: bytes(5),
        headers: parse_headers(&text(6)?)?,
        payload: bytes(7),
        stage: Stage::of_name(&text(8)?)?,
        place: text(9)?,
        reason: text(10)?.into(),
        kind: LetterKind::Other,
    };
    let (owner, created_at, replayed_at) = (text(11)?, text(12)?, text(13));
    Some(StoredLetter { id: number(0)?, owner, letter, created_at, replayed_at })
}
