//! What a person asks about: the batch, the tables and the views over it, and the database beside them.
//!
//! Nothing is read before it is needed: the batch is loaded and the views are computed for the first query that reads
//! them, or while a person types the first line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::SchemaProvider as _;

use super::batch::{
    Batch, DEAD_LETTERS, Origin, dead_letters_schema, dead_letters_table, message_of, messages_of, ranges_of,
};
use super::drafts::Drafts;
use super::file;
use super::job::RunningJob;
use super::load::{Loaded, Loading, Others, Start, no_messages, stored};
use super::masks;
use super::moment::{Moment, StateOf};
use super::progress::Progress;
use super::refusal::Refusal;
use super::seek::Seek;
use super::views::{Computed, StateStore, Views, open_references};
use super::whole::{WHOLE, WholeTables};
use crate::batch::{DeadLetter, Decoded, Limits, Messages, ViewTiming};
use crate::config::{Config, ReferenceTableConfig, StateTableConfig};
use crate::decode::Decoder;
use crate::diagnostic::{Diagnostic, Finding, render};
use crate::engine::{Schemas, unknown_sensitive, uses};
use crate::mask::emptied;
use crate::memory::Budget;
use crate::sink::{LetterOrder, Selection, StoredLetters};
use crate::sql::{BATCH, Faulty, QuerySession, SqlError, SqlErrorKind, Typed, TypedPlan, ViewFiles};
use crate::tables::{ReferenceTables, TableError};

/// Keys of the configuration that decide which messages a batch of the topic has.
const TOPIC_KEYS: &[&str] = &["kafka_server", "kafka_topic", "kafka_properties", "job", "memory_max"];
/// Keys that decide what its columns are.
const AVRO_KEYS: &[&str] =
    &["avro_schema", "avro_framing or the writers' schemas", "tombstones", "key_format or avro_key_schema"];

/// What to ask about.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Where the first batch starts.
    pub from: Seek,
    /// Messages of a batch, at most; `None`: as many as a batch of the job.
    pub rows_max: Option<usize>,
    /// The messages are the dead letters of the database instead of the topic's.
    pub dead_letters: bool,
    pub state: StateOf,
}

/// What [`Session::reload`] has found changed.
#[derive(Debug, Default)]
pub(super) struct Reloaded {
    /// Names of views.
    pub views: Vec<String>,
    /// Keys of the configuration that a running job does not take over.
    pub keys: Vec<&'static str>,
}

/// See the module.
pub struct Session {
    pub(super) config: Config,
    pub(super) options: SessionOptions,
    pub(super) decoder: Decoder,
    /// A registry's, where there is one.
    schemas: Option<Schemas>,
    pub(super) limits: Limits,
    dead_letters: bool,
    /// The running job whose SQL it is, if there is one.
    pub(super) job: Option<RunningJob>,
    /// Whether the batch comes from that job.
    pub(super) is_of_job: bool,
    start: Seek,
    /// Where `start` has led; the batch after this one starts elsewhere.
    next: Option<Start>,
    loading: Option<Loading>,
    /// What is to be said of the batch, once.
    pub(super) notes: Vec<String>,
    pub(super) batch: Option<Batch>,
    pub(super) references: ReferenceTables,
    /// Of those that could not be opened.
    table_faults: Vec<TableError>,
    pub(super) views: Views,
    pub(super) computed: Option<Computed>,
    /// The state that `computed` started from.
    pub(super) moment: Option<Moment>,
    /// The views as they were at the start.
    pub(super) started: ViewFiles,
    /// The views as they were before they were edited last, and worked.
    pub(super) before: Option<ViewFiles>,
    pub(super) drafts: Drafts,
    pub(super) queries: QuerySession,
    pub(super) whole: Arc<WholeTables>,
    /// Whether the names of the whole tables are known.
    is_looked_at: bool,
    pub(super) progress: Arc<Progress>,
}

impl Session {
    /// Plans the views and opens the tables; reads no message.
    ///
    /// # Errors
    /// A schema that is wrong. Views and tables with a fault are left out, see [`Session::faults`].
    pub async fn open(config: Config, options: SessionOptions) -> Result<Self, Refusal> {
        Self::open_over(config, options, &Drafts::default()).await
    }

    /// The same with drafts in place of the files of their views.
    async fn open_over(config: Config, options: SessionOptions, drafts: &Drafts) -> Result<Self, Refusal> {
        let decoder = Decoder::new(&config.avro)
            .map_err(|error| Refusal::Faults(Diagnostic::from(error).to_string()))?;
        let budget = Budget::of_prompt(config.memory_max, uses(&config));
        let decoder = decoder.bounded(budget.columns);
        // What they were meant to name would be shown.
        let unknown = unknown_sensitive(&config, &decoder.schema());
        if !unknown.is_empty() {
            return Err(Refusal::Faults(render(&unknown)));
        }
        let schemas = Schemas::for_reading(&config).await;
        let files = drafts.over(&config.sql);
        let (references, table_faults) = open_references(&config, &files).await;
        let (started, store) = (files.clone(), StateStore::Database);
        let views = Views::prepare(&config, files, &decoder, &references, &table_faults, store).await;
        let mut queries = QuerySession::new(budget.queries)?;
        let mut masks = views.masks().clone();
        let batch = decoder.schema();
        masks.set(BATCH, &batch, config.sensitive.of_batch(&batch));
        masks::of_dead_letters(&mut masks);
        queries.mask(masks);
        let whole = Arc::new(WholeTables::new(&config.database));
        queries.add_schema(WHOLE, Arc::clone(&whole) as Arc<_>)?;
        let limits = Limits {
            rows_max: options.rows_max.unwrap_or(config.trigger.rows_max).min(decoder.rows_max()),
            bytes_max: budget.messages,
        };
        let start = options.from.clone();
        let mut session = Self {
            config,
            decoder,
            schemas,
            limits,
            dead_letters: options.dead_letters,
            options,
            job: None,
            is_of_job: false,
            start,
            next: None,
            loading: None,
            notes: Vec::new(),
            batch: None,
            references,
            table_faults,
            views,
            computed: None,
            moment: None,
            started,
            before: None,
            drafts: Drafts::default(),
            queries,
            whole,
            is_looked_at: false,
            progress: Arc::default(),
        };
        session.put_columns()?;
        Ok(session)
    }

    /// The faults of views and tables, as the job prints them; `None` where there are none.
    pub fn faults(&self) -> Option<String> {
        let faulty = self.views.faulty();
        (!faulty.is_empty()).then(|| faulty.to_string())
    }

    /// Loads the batch and computes the views, while nobody waits for them. A fault is reported to the query that needs it.
    /// Dropped half-way, it continues where it was.
    pub async fn warm_up(&mut self) {
        // Why: the query that needs it reports what is wrong.
        let _ = self.ready().await;
        if !self.is_looked_at {
            self.is_looked_at = self.whole.look().await.is_ok();
        }
    }

    /// Loads the batch and computes the views, where that was not done.
    ///
    /// # Errors
    /// The broker or the database does not answer; it may be asked again.
    pub(super) async fn ready(&mut self) -> Result<(), Refusal> {
        if self.computed.is_some() {
            return Ok(());
        }
        let batch = self.load().await?.clone();
        self.references.begin_batch().await?;
        if self.moment.is_none() {
            self.moment = Some(self.moment_of(&batch).await?);
        }
        let moment = self.moment.get_or_insert_default();
        self.progress.step("computing the views");
        let computed = self.views.compute(&self.config, &batch.rows, &mut self.references, moment).await;
        self.put_columns()?;
        for (name, relation) in &computed.relations {
            self.queries.put(name, Arc::clone(&relation.schema), relation.rows.clone())?;
        }
        let letters = computed.left_out.letters(&batch.rows, &batch.dead_letters).map_err(Refusal::error)?;
        self.notes.extend(computed.left_out.notes(""));
        self.queries.put(BATCH, batch.rows.schema(), vec![batch.rows])?;
        if !self.is_taken(DEAD_LETTERS) {
            self.queries.put(DEAD_LETTERS, dead_letters_schema(), vec![letters])?;
        }
        self.computed = Some(computed);
        Ok(())
    }

    /// The batch, loaded where it is not there yet.
    pub(super) async fn load(&mut self) -> Result<&Batch, Refusal> {
        if self.batch.is_none() {
            self.progress.step("reading the batch");
            let batch = match self.dead_letters {
                _ if self.is_of_job => self.load_job().await?,
                true => self.load_dead_letters().await?,
                false => self.load_topic().await?,
            };
            self.batch = Some(batch);
        }
        self.batch.as_ref().ok_or_else(|| Refusal::error("there is no batch"))
    }

    async fn load_topic(&mut self) -> Result<Batch, Refusal> {
        if self.loading.is_none() {
            let start = match self.next.clone() {
                Some(start) => start,
                None => self.resolve().await?,
            };
            self.loading = Some(Loading::start(&self.config, start, self.limits));
        }
        let Some(loading) = &mut self.loading else { return Err(Refusal::error("nothing is loaded")) };
        let read = loading.messages().await;
        self.loading = None;
        let Loaded { messages, ranges, is_cut } = read.map_err(no_messages)?;
        if is_cut {
            self.notes.push(format!(
                "the batch has fewer messages than asked for: {} bytes are its share of `memory_max`",
                self.limits.bytes_max
            ));
        }
        let mut decoded = self.decode(&messages).await.map_err(Refusal::error)?;
        if !self.config.sensitive.is_empty() {
            decoded.dead_letters.iter_mut().for_each(DeadLetter::hide_values);
        }
        let dead_letters = dead_letters_table(&decoded.dead_letters).map_err(Refusal::error)?;
        Ok(Batch { origin: Origin::Topic, ranges, rows: decoded.batch, dead_letters })
    }

    /// Decodes messages by the schemas of files and of a registry.
    pub(super) async fn decode(&mut self, messages: &Messages) -> Result<Decoded, String> {
        if let Some(schemas) = &self.schemas {
            schemas.teach_now(&mut self.decoder, messages).await.map_err(|error| error.to_string())?;
        }
        self.decoder.decode(messages).map_err(|error| error.to_string())
    }

    async fn resolve(&self) -> Result<Start, Refusal> {
        Ok(match &self.start {
            Seek::To(place) => Start::At(*place),
            Seek::Partitions(offsets) => Start::Partitions(offsets.clone()),
            Seek::Stored => stored(&self.config).await?,
        })
    }

    async fn load_dead_letters(&mut self) -> Result<Batch, Refusal> {
        let Limits { rows_max, bytes_max } = self.limits;
        let mut letters: Vec<DeadLetter> = Vec::new();
        if let Some(mut stored) = StoredLetters::look(&self.config).await? {
            let waiting = Selection { is_replayed: Some(false), ..Selection::default() };
            let page = stored.page(&waiting, LetterOrder::Oldest, None, Limits { rows_max, bytes_max });
            letters.extend(page.await?.into_iter().map(|stored| stored.letter));
        }
        letters.sort_by(|a, b| (&a.partition, a.offset).cmp(&(&b.partition, b.offset)));
        let messages = messages_of(&letters.iter().collect::<Vec<&DeadLetter>>());
        let decoded = self.decode(&messages).await.map_err(Refusal::error)?;
        let dead_letters = dead_letters_table(&letters).map_err(Refusal::error)?;
        let ranges = ranges_of(&messages);
        Ok(Batch { origin: Origin::DeadLetters, ranges, rows: decoded.batch, dead_letters })
    }

    /// Reads the same part of the topic, or the dead letters, again when they are needed next: there may be others now.
    pub(super) fn look_again(&mut self) {
        let is_file = |batch: &Batch| matches!(batch.origin, Origin::File(_));
        if !self.batch.as_ref().is_some_and(is_file) {
            self.drop_batch();
        }
        self.computed = None;
    }

    /// Takes the messages from elsewhere, when they are needed next.
    pub(super) fn seek(&mut self, seek: Seek) {
        self.start = seek;
        self.next = None;
        (self.dead_letters, self.is_of_job) = (false, false);
        self.drop_batch();
    }

    /// Goes on after the current batch.
    ///
    /// # Errors
    /// The batch does not come from the topic.
    pub(super) async fn go_on(&mut self) -> Result<(), Refusal> {
        let origin = self.load().await?.origin.clone();
        if let (Origin::Job(_), Some(job)) = (&origin, &mut self.job) {
            job.go_on();
            self.drop_batch();
            return Ok(());
        }
        let batch = self.load().await?;
        if batch.origin != Origin::Topic {
            let found = Finding::new("this batch does not come from the topic, so nothing follows it");
            return Err(Refusal::Found(
                found.with_hint("`\\seek beginning` or `\\seek stored` goes back to the topic"),
            ));
        }
        let ends = batch.ranges.iter().map(|range| (range.partition.clone(), range.to)).collect();
        self.next = Some(Start::After(ends, Others::Beginning));
        self.drop_batch();
        Ok(())
    }

    /// Takes a batch that was kept as a file.
    ///
    /// # Errors
    /// The file cannot be read, or has no batch of this schema.
    pub fn load_file(&mut self, path: &Path) -> Result<(), Refusal> {
        let batch = file::load(path, &self.config.avro, &self.decoder.schema())?;
        self.drop_batch();
        self.batch = Some(batch);
        Ok(())
    }

    /// Keeps the batch as a file; returns how many rows it has.
    ///
    /// # Errors
    /// No broker answers, where the batch is not loaded yet; the file's.
    pub async fn save_file(&mut self, path: &Path) -> Result<usize, Refusal> {
        let rows = self.load().await?.rows.clone();
        let masks = self.config.sensitive.of_batch(rows.schema_ref());
        let rows = emptied(&rows, &masks).map_err(Refusal::error)?;
        file::save(&rows, path, &self.config.avro)?;
        Ok(rows.num_rows())
    }

    fn drop_batch(&mut self) {
        self.loading = None;
        self.batch = None;
        self.computed = None;
        self.moment = None;
    }

    /// Computes the views once more, from state as it is now where the database has it.
    ///
    /// # Errors
    /// The broker or the database does not answer.
    pub(super) async fn compute_again(&mut self) -> Result<(), Refusal> {
        self.computed = None;
        self.moment = self.moment.take().filter(Moment::is_fixed);
        self.ready().await
    }

    /// Reads the configuration, the views and the reference tables again. The batch stays where its messages would be the
    /// same.
    ///
    /// # Errors
    /// A configuration with a fault: then everything is as before.
    pub(super) async fn reload(&mut self) -> Result<Reloaded, Refusal> {
        let mut config =
            Config::load(&self.config.file.path).map_err(|error| Refusal::Faults(error.to_string()))?;
        self.job.iter().for_each(|job| job.leads(&mut config));
        let keys = self.config.needs_restart(&config);
        let changed = self.changed(&self.drafts.over(&config.sql));
        // What does not work is nothing to compare with.
        let worked =
            |name: &String| self.views.files().text(name).is_none() || !self.views.faulty().has(name);
        if !changed.is_empty() && (self.before.is_none() || changed.iter().all(worked)) {
            self.before = Some(self.views.files().clone());
        }
        // Boxed: opening is large, and the stack of a caller small.
        let fresh = Box::pin(Self::open_over(config, self.options.clone(), &self.drafts)).await?;
        let old = std::mem::replace(self, fresh);
        self.take_over(old, &keys);
        Ok(Reloaded { views: changed, keys })
    }

    /// Keeps of the session before what a reload leaves as it was.
    fn take_over(&mut self, old: Self, keys: &[&str]) {
        (self.progress, self.drafts) = (old.progress, old.drafts);
        (self.job, self.is_of_job) = (old.job, old.is_of_job);
        (self.started, self.before) = (old.started, old.before);
        let is_file = old.batch.as_ref().is_some_and(|batch| matches!(batch.origin, Origin::File(_)));
        let is_of_batch = |key: &&str| AVRO_KEYS.contains(key) || (!is_file && TOPIC_KEYS.contains(key));
        if keys.iter().any(is_of_batch) {
            return;
        }
        (self.start, self.next, self.dead_letters) = (old.start, old.next, old.dead_letters);
        (self.batch, self.loading, self.notes) = (old.batch, old.loading, old.notes);
        self.moment = old.moment.filter(|moment| moment.is_fixed() && !keys.contains(&"state_tables"));
        self.is_looked_at = false;
    }

    /// The views whose text is not the current one.
    fn changed(&self, files: &ViewFiles) -> Vec<String> {
        let now = self.views.files();
        let names: BTreeSet<&str> = now.names().chain(files.names()).collect();
        names.into_iter().filter(|name| now.text(name) != files.text(name)).map(str::to_owned).collect()
    }

    /// Whether a file of the views is another one now.
    pub(super) fn is_stale(&self) -> bool {
        !self.changed(&self.drafts.over(&self.config.sql)).is_empty()
    }

    /// Whether a relation is a state table or reads one, itself or through views.
    pub(super) fn reads_state(&self, name: &str) -> bool {
        let (mut seen, mut open) = (BTreeSet::new(), vec![name]);
        while let Some(next) = open.pop() {
            if self.config.state_tables.iter().any(|table| table.name == next) {
                return true;
            }
            if seen.insert(next) {
                open.extend(self.views.files().reads(next));
            }
        }
        false
    }

    /// The rows that other views give over this batch, from the same moment of state.
    ///
    /// # Errors
    /// No broker answers, if the batch is not loaded yet.
    pub(super) async fn compute_with(&mut self, files: ViewFiles) -> Result<(Computed, Faulty), Refusal> {
        self.ready().await?;
        let rows = self.load().await?.rows.clone();
        let mut views = self.views_of(files, StateStore::Database).await;
        let moment = self.moment.get_or_insert_default();
        let computed = views.compute(&self.config, &rows, &mut self.references, moment).await;
        Ok((computed, views.faulty().clone()))
    }

    /// Other views over the same tables.
    pub(super) async fn views_of(&self, files: ViewFiles, store: StateStore) -> Views {
        let Self { config, decoder, references, table_faults, .. } = self;
        Views::prepare(config, files, decoder, references, table_faults, store).await
    }

    /// Plans a query, with its relations ready, and says what is worth knowing about its answer.
    ///
    /// # Errors
    /// The query or a view that it reads is wrong or fails; or no broker answers.
    pub(super) async fn plan(&mut self, typed: &Typed) -> Result<(TypedPlan, Vec<String>), Refusal> {
        let reads = self.queries.reads(typed);
        if reads.iter().any(|name| self.queries.relations().contains_key(name)) {
            self.ready().await?;
        }
        if let Some(fault) = reads.iter().find_map(|name| self.views.faulty().of(name)) {
            return Err(Refusal::Faults(fault));
        }
        self.progress.step("planning");
        let plan = self.queries.plan(typed).await?;
        let mut notes = std::mem::take(&mut self.notes);
        for name in plan.counted() {
            // A name without a schema is no table of the database.
            notes.extend(self.keyed(name).filter(|_| reads.contains(name)));
        }
        if self.batch.as_ref().is_some_and(|batch| batch.rows.num_rows() == 0) && !reads.is_empty() {
            notes.push("the batch has no rows, so views and tables have none either".into());
        }
        if reads.iter().any(|name| self.reads_state(name)) {
            notes.extend(self.moment.as_mut().and_then(Moment::note_due));
        }
        let mut notes: Vec<String> = notes.into_iter().map(|note| format!("note: {note}")).collect();
        if !plan.is_explanation() {
            notes.extend(plan.warnings().iter().map(ToString::to_string));
        }
        Ok((plan, notes))
    }

    /// Where a table shows only a part of its rows: what it shows, and where the others are.
    fn keyed(&self, name: &str) -> Option<String> {
        let is_of = |table: &&ReferenceTableConfig| table.name == name && !table.key.is_empty();
        let reference = self.config.reference_tables.iter().find(is_of);
        let state = self.config.state_tables.iter().find(|table| table.name == name);
        let whole = match (reference, state) {
            (Some(ReferenceTableConfig { origin: crate::config::TableOrigin::Table(table), .. }), _) => {
                format!("; the whole table is {WHOLE}.{table}")
            }
            (Some(_), _) => String::new(),
            (None, Some(StateTableConfig { name, .. })) => format!("; the whole table is {WHOLE}.{name}"),
            (None, None) => return None,
        };
        Some(format!("`{name}` shows the rows whose key occurs in this batch{whole}"))
    }

    /// The error of a query that ran, with the message of the batch that it fails on, where it is one.
    pub(super) async fn refused(&self, typed: &Typed, error: SqlError) -> Refusal {
        let is_of_batch = error.kind() == SqlErrorKind::Row
            && self.queries.reads(typed).iter().any(|relation| relation == BATCH);
        let row = if is_of_batch { self.queries.failing_row(typed, BATCH).await } else { None };
        match row.as_ref().and_then(message_of) {
            Some(message) => Refusal::Faults(format!("{error}\nmessage: {message}")),
            None => error.into(),
        }
    }

    /// The views in the order of computing, with rows and time.
    ///
    /// # Errors
    /// No broker answers, if the batch is not loaded yet.
    pub(super) async fn timings(&mut self) -> Result<Vec<ViewTiming>, Refusal> {
        self.ready().await?;
        Ok(self.computed.as_ref().map(|computed| computed.timings.clone()).unwrap_or_default())
    }

    /// Everything that can be read, with its columns: relations by their name, tables of the database as `db.NAME`
    /// where a query has named them.
    pub(super) fn columns(&self) -> BTreeMap<String, SchemaRef> {
        let mut columns = self.queries.relations().clone();
        let whole =
            self.whole.columns().into_iter().map(|(name, schema)| (format!("{WHOLE}.{name}"), schema));
        columns.extend(whole);
        columns
    }

    /// The tables of the database, as far as they are known.
    pub(super) fn whole_names(&self) -> Vec<String> {
        self.whole.table_names()
    }

    /// Makes all that can be read known with its columns, before there are rows.
    fn put_columns(&mut self) -> Result<(), Refusal> {
        let known: Vec<String> = self.queries.relations().keys().cloned().collect();
        known.iter().for_each(|name| self.queries.remove(name));
        for (name, schema) in self.views.schemas() {
            self.queries.put(&name, schema, Vec::new())?;
        }
        self.queries.put(BATCH, self.decoder.schema(), Vec::new())?;
        if !self.is_taken(DEAD_LETTERS) {
            self.queries.put(DEAD_LETTERS, dead_letters_schema(), Vec::new())?;
        }
        Ok(())
    }

    /// Whether a view or table of the project has this name.
    fn is_taken(&self, name: &str) -> bool {
        self.views.files().text(name).is_some()
            || self.config.reference_tables.iter().any(|table| table.name == name)
            || self.config.state_tables.iter().any(|table| table.name == name)
    }
}

/// A time as people say it.
pub(super) fn time(elapsed: Duration) -> String {
    let ms = elapsed.as_secs_f64() * 1000.0;
    if ms < 10_000.0 { format!("{ms:.1} ms") } else { format!("{:.1} s", ms / 1000.0) }
}
