//! What the source and the engine report, and what it changes. Nothing here waits for anybody: a lock is held for as long as
//! a few numbers take.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Telemetry;
use super::counts::{BatchResult, Stage};
use super::events::EventKind;
use super::pulse::Pulse;
use super::relation::{Relation, RelationKind};
use super::standing::{BatchFacts, Phase, Server, Standing, Wait};
use crate::batch::{Advance, BatchRows, Claim, Messages, SqlVersion, TopicPartition, ViewTiming};

/// A batch that was committed.
pub struct Committed<'a> {
    pub messages: &'a Messages,
    pub advances: &'a [Advance],
    /// Each output's view and the rows written for it.
    pub outputs: &'a [(Arc<str>, usize)],
    /// The stage of each kind of dead letter, and how many.
    pub dead_letters: &'a [(&'static str, usize)],
    /// Each state table and the rows left out for their key.
    pub null_keys: &'a [(Arc<str>, usize)],
    pub views: &'a [ViewTiming],
    pub stages: &'a [(Stage, Duration)],
    pub total: Duration,
    /// What SQL saw and computed, if it computed anything.
    pub rows: Option<&'a BatchRows>,
}

/// What one lane holds in memory.
#[derive(Clone, Debug, Default)]
pub struct Held {
    pub references: Vec<HeldTable>,
    pub states: Vec<HeldTable>,
}

#[derive(Clone, Debug)]
pub struct HeldTable {
    pub name: Arc<str>,
    pub rows: usize,
    pub bytes: usize,
    /// When it was found to be as it is held; `None` if each row has a time of its own.
    pub seen_at: Option<Instant>,
}

impl Telemetry {
    /// The heartbeat of a loop that pauses at most this long.
    pub fn pulse(&self, name: impl Into<String>, pause_max: Duration) -> Pulse {
        self.job().map_or_else(Pulse::default, |job| job.pulses.begin(name.into(), pause_max))
    }

    pub fn event(&self, kind: EventKind, text: impl Into<String>) {
        if let Some(job) = self.job() {
            job.events.add(kind, text.into());
        }
    }

    /// Everything is checked, and the job begins to run.
    pub fn started(&self) {
        let Some(job) = self.job() else { return };
        job.standing().phase = Phase::Running;
        job.events.add(EventKind::Start, format!("started as {}", job.about.instance));
    }

    /// The job has ended with an error.
    pub fn failed(&self, error: &str) {
        let Some(job) = self.job() else { return };
        job.standing().phase = Phase::Failed;
        job.events.add(EventKind::Stop, first_line(error).to_owned());
    }

    /// The SQL that is used from here on.
    pub fn plans(&self, sql: SqlVersion, relations: Vec<Relation>) {
        let Some(job) = self.job() else { return };
        let named = |is: &dyn Fn(&Relation) -> bool| -> Vec<Arc<str>> {
            relations
                .iter()
                .filter(|relation| is(relation))
                .map(|relation| Arc::clone(&relation.name))
                .collect()
        };
        let is_used_view = |relation: &Relation| relation.kind == RelationKind::View && relation.is_used;
        let outputs = named(&|relation| relation.output.is_some());
        let states = named(&|relation| relation.kind == RelationKind::State);
        job.counts.know(&outputs, &states, &named(&is_used_view));
        let mut standing = job.standing();
        if standing.sql.as_ref() != Some(&sql) {
            standing.sql_before = standing.sql.replace(sql);
            standing.sql_used_at = Some(SystemTime::now());
        }
        standing.relations = relations;
    }

    /// How reading new SQL has ended: `taken_over`, `unchanged` or `refused`.
    pub fn reloaded(&self, result: &'static str, text: &str) {
        let Some(job) = self.job() else { return };
        job.counts.reloads.add([result.into()], 1);
        job.events.add(EventKind::Reload, first_line(text).to_owned());
    }

    /// The group has said which partitions this instance gets, if any.
    pub fn assigned(&self, text: &str) {
        let Some(job) = self.job() else { return };
        job.counts.rebalances.add([], 1);
        job.standing().has_joined = true;
        job.events.add(EventKind::Assigned, text.to_owned());
    }

    /// A lane has partitions no more.
    pub fn dropped(&self, partitions: &[TopicPartition]) {
        if let Some(job) = self.job() {
            job.standing().partitions.retain(|partition, _| !partitions.contains(partition));
        }
    }

    /// A lane has claimed partitions: their stored offsets, and the ends of partitions when they were asked for.
    pub fn claimed(&self, claims: &[Claim], ends: &[(TopicPartition, i64)]) {
        let Some(job) = self.job() else { return };
        let now = SystemTime::now();
        let mut standing = job.standing();
        standing.has_joined = true;
        for claim in claims {
            let TopicPartition { topic, partition } = &claim.partition;
            job.counts.messages.put([Arc::clone(topic), partition.to_string().into()], 0);
            let place = standing.partitions.entry(claim.partition.clone()).or_default();
            if let Some((_, end)) = ends.iter().find(|(partition, _)| *partition == claim.partition) {
                (place.end, place.observed_at) = (Some(*end), Some(now));
            }
            place.committed = Some(claim.next_offset);
            place.message_time_ms = claim.message_time_ms;
            place.look(now);
        }
    }

    /// The high watermark of a partition.
    pub fn ends_at(&self, partition: &TopicPartition, end: i64) {
        let Some(job) = self.job() else { return };
        let now = SystemTime::now();
        let mut standing = job.standing();
        if let Some(place) = standing.partitions.get_mut(partition) {
            place.end = Some(end);
            place.observed_at = Some(now);
            place.look(now);
        }
    }

    /// Bytes that Kafka's client holds ready.
    pub fn fetched(&self, bytes: u64) {
        if let Some(job) = self.job() {
            job.standing().fetched_bytes = bytes;
        }
    }

    /// Messages are taken into a batch.
    pub fn taken(&self, messages: usize) {
        if let Some(job) = self.job() {
            job.counts.taken.add([], messages as u64);
        }
    }

    /// The views are computed over messages.
    pub fn computed(&self, messages: usize) {
        if let Some(job) = self.job() {
            job.counts.computed.add([], messages as u64);
        }
    }

    /// What is worth keeping of a batch that was computed; nothing if nobody can watch the job.
    pub fn sample(&self, rows: BatchRows) -> Option<BatchRows> {
        self.job().map(|job| job.kept().sample(rows))
    }

    /// How a try to commit a batch has ended.
    pub fn tried(&self, result: BatchResult) {
        if let Some(job) = self.job() {
            job.counts.batch(result);
        }
    }

    /// A batch is committed, or positions moved over no message.
    pub fn committed(&self, batch: &Committed<'_>) {
        let Some(job) = self.job() else { return };
        let now = SystemTime::now();
        let mut standing = job.standing();
        standing.last_commit_at = Some(now);
        for advance in batch.advances {
            if let Some(place) = standing.partitions.get_mut(&advance.partition) {
                place.committed = Some(advance.to);
                // The end is seen once a second, and messages may have come since.
                place.end = place.end.map(|end| end.max(advance.to));
                place.message_time_ms = advance.message_time_ms.or(place.message_time_ms);
                place.look(now);
            }
        }
        drop(standing);
        self.works_again(Server::Database);
        if batch.messages.is_empty() {
            return;
        }
        self.count(batch, now);
        let mut standing = job.standing();
        standing.last_message_at = Some(now);
        for ViewTiming { view, rows, elapsed } in batch.views {
            let totals = standing.views.entry(Arc::clone(view)).or_default();
            (totals.rows, totals.elapsed) = (*rows, *elapsed);
            totals.rows_total += *rows as u64;
            totals.elapsed_total += *elapsed;
        }
        standing.batch = Some(BatchFacts {
            messages: batch.messages.len(),
            rows: batch.outputs.iter().map(|(_, rows)| rows).sum(),
            dead_letters: batch.dead_letters.iter().map(|(_, count)| count).sum(),
            ended_at: now,
            total: batch.total,
            stages: batch.stages.to_vec(),
        });
        drop(standing);
        if let Some(rows) = batch.rows {
            job.kept().keep(rows);
        }
    }

    fn count(&self, batch: &Committed<'_>, now: SystemTime) {
        let Some(job) = self.job() else { return };
        let counts = &job.counts;
        for extent in batch.messages.extents() {
            let count = batch.messages.count_of(&extent.partition) as u64;
            let TopicPartition { topic, partition } = extent.partition;
            counts.messages.add([topic, partition.to_string().into()], count);
        }
        counts.message_bytes.add([], batch.messages.payload_bytes());
        for (output, rows) in batch.outputs {
            counts.rows.add([Arc::clone(output)], *rows as u64);
        }
        for (stage, count) in batch.dead_letters {
            counts.dead_letters.add([(*stage).into()], *count as u64);
        }
        for (table, count) in batch.null_keys {
            counts.null_keys.add([Arc::clone(table)], *count as u64);
        }
        for ViewTiming { view, rows, elapsed } in batch.views {
            counts.view_rows.add([Arc::clone(view)], *rows as u64);
            counts.view_seconds.add([Arc::clone(view)], elapsed.as_secs_f64());
        }
        counts
            .batch_rows
            .change([], super::series::Buckets::of_rows, |all| all.observe(batch.messages.len() as f64));
        for (stage, elapsed) in batch.stages {
            let start = super::series::Buckets::of_seconds;
            counts.stages.change([stage.name().into()], start, |all| all.observe(elapsed.as_secs_f64()));
        }
        let now_ms = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
        counts.end_to_end.change([], super::series::Buckets::of_seconds, |all| {
            let seconds = |at_ms: i64| now_ms.saturating_sub(at_ms).max(0) as f64 / 1e3;
            batch.messages.timestamps_ms().flatten().for_each(|at_ms| all.observe(seconds(at_ms)));
        });
        self.tried(BatchResult::Committed);
    }

    /// Another instance had written the state of a table that a batch was computed from.
    pub fn conflict(&self, table: &str) {
        let Some(job) = self.job() else { return };
        job.counts.conflicts.add([table.into()], 1);
        let text = format!("another instance has written `{table}`; the batch is computed again");
        job.events.add(EventKind::Conflict, text);
    }

    /// A fault of data is searched for in a batch.
    pub fn narrowed(&self, stage: &str, place: &str) {
        let Some(job) = self.job() else { return };
        job.counts.narrowed.add([], 1);
        let place = if place.is_empty() { String::new() } else { format!(" in {place}") };
        job.events.add(
            EventKind::Narrowed,
            format!("a fault of the data{place} (stage {stage}): searching for the messages"),
        );
    }

    /// A request to a server failed and is tried again.
    pub fn waits(&self, server: Server, error: &str) {
        let Some(job) = self.job() else { return };
        job.counts.retries.add([server.name().into()], 1);
        let error = first_line(error).to_owned();
        let mut standing = job.standing();
        let before = standing.waits.get_mut(&server);
        let is_news = before.as_ref().is_none_or(|before| before.error != error);
        match before {
            Some(wait) => wait.error.clone_from(&error),
            None => {
                let wait = Wait { since: SystemTime::now(), error: error.clone() };
                standing.waits.insert(server, wait);
            }
        }
        drop(standing);
        if is_news {
            let name = super::sentence::name_of(server, job.about.database);
            job.events.add(EventKind::Waiting, format!("waiting for {name}: {error}"));
        }
    }

    /// A server is not there: the job waits for it, if it does not yet.
    pub fn misses(&self, server: Server, error: &str) {
        if self.job().is_some_and(|job| !job.standing().waits.contains_key(&server)) {
            self.waits(server, error);
        }
    }

    /// A server has answered.
    pub fn works_again(&self, server: Server) {
        let Some(job) = self.job() else { return };
        let Some(wait) = job.standing().waits.remove(&server) else { return };
        let seconds = wait.since.elapsed().unwrap_or_default().as_secs_f64();
        let name = super::sentence::name_of(server, job.about.database);
        job.events.add(EventKind::Recovered, format!("{name} works again after {seconds:.1} s"));
    }

    /// What a lane holds in memory, by its number.
    pub fn holds(&self, lane: usize, held: Held) {
        if let Some(job) = self.job() {
            job.standing().held.insert(lane, held);
        }
    }

    /// How many dead letters wait in the database.
    pub fn dead_letters_waiting(&self, count: i64) {
        if let Some(job) = self.job() {
            job.standing().dead_letters_waiting = Some(count);
        }
    }
}

impl Standing {
    /// Each reference table with its rows and since when they are as they are: each lane has the same, so one counts.
    pub(super) fn references(&self, now: Instant) -> Vec<(Arc<str>, usize, Option<Duration>)> {
        let mut tables: Vec<(Arc<str>, usize, Option<Duration>)> = Vec::new();
        for table in self.held.values().flat_map(|held| &held.references) {
            let age = table.seen_at.map(|at| now.saturating_duration_since(at));
            match tables.iter_mut().find(|(name, ..)| *name == table.name) {
                Some((_, rows, oldest)) => (*rows, *oldest) = ((*rows).max(table.rows), (*oldest).max(age)),
                None => tables.push((Arc::clone(&table.name), table.rows, age)),
            }
        }
        tables
    }

    /// Each state table with the rows that all lanes hold of it.
    pub(super) fn states(&self) -> Vec<(Arc<str>, usize)> {
        let mut tables: Vec<(Arc<str>, usize)> = Vec::new();
        for table in self.held.values().flat_map(|held| &held.states) {
            match tables.iter_mut().find(|(name, _)| *name == table.name) {
                Some((_, rows)) => *rows += table.rows,
                None => tables.push((Arc::clone(&table.name), table.rows)),
            }
        }
        tables
    }

    /// What the parts of the job hold, in bytes; all lanes together.
    pub fn memory(&self) -> Vec<(&'static str, u64)> {
        let sum = |of: fn(&Held) -> &Vec<HeldTable>| -> u64 {
            self.held.values().flat_map(of).map(|table| table.bytes as u64).sum()
        };
        vec![
            ("kafka", self.fetched_bytes),
            ("reference_tables", sum(|held| &held.references)),
            ("state_tables", sum(|held| &held.states)),
        ]
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
