//! The counters and histograms. Each is raised in one place of the engine or of the source.

use std::sync::Arc;

use prometheus_client::registry::Registry;

use super::series::{Buckets, Series};

type Name = Arc<str>;

/// A part of the time that a batch takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Wait,
    Decode,
    Lookup,
    Sql,
    Write,
}

impl Stage {
    pub const ALL: [Self; 5] = [Self::Wait, Self::Decode, Self::Lookup, Self::Sql, Self::Write];

    pub fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Decode => "decode",
            Self::Lookup => "lookup",
            Self::Sql => "sql",
            Self::Write => "write",
        }
    }
}

/// How one try to commit a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchResult {
    Committed,
    /// The database refused a row, so the messages to blame are searched for.
    Refused,
    /// Another instance had written the state that it was computed from.
    Conflict,
    /// Another instance owns a partition of it.
    Fenced,
    /// A server failed; the batch is computed or written again.
    Interrupted,
}

impl BatchResult {
    const ALL: [Self; 5] = [Self::Committed, Self::Refused, Self::Conflict, Self::Fenced, Self::Interrupted];

    fn name(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Refused => "refused",
            Self::Conflict => "conflict",
            Self::Fenced => "fenced",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What was counted up to now, for rates.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Totals {
    /// Messages taken from the source.
    pub taken: u64,
    /// Messages that views were computed over.
    pub computed: u64,
    /// Rows that were committed.
    pub rows: u64,
}

#[derive(Debug)]
pub(super) struct Counts {
    pub taken: Series<0, u64>,
    pub computed: Series<0, u64>,
    pub messages: Series<2, u64>,
    pub message_bytes: Series<0, u64>,
    pub rows: Series<1, u64>,
    pub dead_letters: Series<1, u64>,
    pub null_keys: Series<1, u64>,
    pub batches: Series<1, u64>,
    pub batch_rows: Series<0, Buckets>,
    pub stages: Series<1, Buckets>,
    pub view_seconds: Series<1, f64>,
    pub view_rows: Series<1, u64>,
    pub retries: Series<1, u64>,
    pub conflicts: Series<1, u64>,
    pub end_to_end: Series<0, Buckets>,
    pub rebalances: Series<0, u64>,
    pub reloads: Series<1, u64>,
    pub narrowed: Series<0, u64>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            taken: Series::single(0),
            computed: Series::single(0),
            messages: Series::of(["topic", "partition"]),
            message_bytes: Series::single(0),
            rows: Series::of(["output"]),
            dead_letters: Series::of(["stage"]),
            null_keys: Series::of(["table"]),
            batches: Series::of(["result"]),
            batch_rows: Series::single(Buckets::of_rows()),
            stages: Series::of(["stage"]),
            view_seconds: Series::of(["view"]),
            view_rows: Series::of(["view"]),
            retries: Series::of(["kind"]),
            conflicts: Series::of(["table"]),
            end_to_end: Series::single(Buckets::of_seconds()),
            rebalances: Series::single(0),
            reloads: Series::of(["result"]),
            narrowed: Series::single(0),
        }
    }
}

impl Counts {
    /// Makes all of them known, those with known labels at 0.
    pub fn register(&self, registry: &mut Registry) {
        let of = |name: &str| format!("realtime_{name}");
        registry.register(of("messages_taken"), "Messages taken from Kafka into batches", self.taken.clone());
        let help = "Messages that the views were computed over; those computed again count again";
        registry.register(of("messages_computed"), help, self.computed.clone());
        registry.register(
            of("messages"),
            "Messages committed, as rows or as dead letters",
            self.messages.clone(),
        );
        let help = "Bytes of keys and payloads of the committed messages";
        registry.register(of("message_bytes"), help, self.message_bytes.clone());
        registry.register(of("rows"), "Rows that an output gave to committed batches", self.rows.clone());
        registry.register(
            of("dead_letters"),
            "Messages committed as dead letters",
            self.dead_letters.clone(),
        );
        let help = "Rows of state left out because their key is NULL";
        registry.register(of("null_keys"), help, self.null_keys.clone());
        registry.register(of("batches"), "Tries to commit a batch", self.batches.clone());
        registry.register(of("batch_rows"), "Messages of a committed batch", self.batch_rows.clone());
        let help = "Time of a committed batch, by stage";
        registry.register(of("stage_duration_seconds"), help, self.stages.clone());
        let help = "Time spent computing a view, of committed batches";
        registry.register(of("view_duration_seconds"), help, self.view_seconds.clone());
        let help = "Rows that a view gave, of committed batches";
        registry.register(of("view_rows"), help, self.view_rows.clone());
        let help = "Failed requests to a server that were tried again";
        registry.register(of("retries"), help, self.retries.clone());
        let help = "Batches computed again because another instance had written their state";
        registry.register(of("conflicts"), help, self.conflicts.clone());
        let help = "Time from a message's timestamp to its commit";
        registry.register(of("end_to_end_seconds"), help, self.end_to_end.clone());
        registry.register(of("rebalances"), "Assignments from the consumer group", self.rebalances.clone());
        registry.register(of("reloads"), "Reads of new SQL", self.reloads.clone());
        let help = "Batches searched for the messages that a fault is about";
        registry.register(of("narrowed_batches"), help, self.narrowed.clone());
        Stage::ALL.iter().for_each(|stage| self.stages.put([stage.name().into()], Buckets::of_seconds()));
        BatchResult::ALL.iter().for_each(|result| self.batches.put([result.name().into()], 0));
        ["decode", "sql", "write"].iter().for_each(|stage| self.dead_letters.put([(*stage).into()], 0));
        ["kafka", "database"].iter().for_each(|kind| self.retries.put([(*kind).into()], 0));
        ["taken_over", "unchanged", "refused"]
            .iter()
            .for_each(|result| self.reloads.put([(*result).into()], 0));
    }

    /// Makes the series of these outputs, state tables and views known, at 0 where nothing was counted yet.
    pub fn know(&self, outputs: &[Name], states: &[Name], views: &[Name]) {
        outputs.iter().for_each(|output| self.rows.put([Name::clone(output)], 0));
        for state in states {
            self.null_keys.put([Name::clone(state)], 0);
            self.conflicts.put([Name::clone(state)], 0);
        }
        for view in views {
            self.view_rows.put([Name::clone(view)], 0);
            self.view_seconds.put([Name::clone(view)], 0.0);
        }
    }

    pub fn batch(&self, result: BatchResult) {
        self.batches.add([result.name().into()], 1);
    }

    pub fn totals(&self) -> Totals {
        Totals { taken: self.taken.sum(), computed: self.computed.sum(), rows: self.rows.sum() }
    }
}
