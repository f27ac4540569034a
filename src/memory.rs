//! How `memory_max` is shared out: to a job and its lanes, and to the prompt.
//!
//! The shares are limits, not reservations: a part takes what it needs, up to its share. They never add up to more than
//! `memory_max`, so all parts may be full at once. Beside them the process has its code, its threads, and the rows that are
//! being written, which are those of batches that were bounded when they were taken.
//!
//! Reference tables and state have shares only if some are configured; otherwise SQL gets more, up to a half. SQL has the
//! largest share, as its plans hold the rows of all views of a batch. What exceeds a share: a batch of too many bytes or
//! columns, or with too much work for SQL, is made smaller, and a message that exceeds the share alone is a dead letter; a
//! reference table of a file that is too large is an error.

/// Shares are counted in parts of this many.
const PARTS: usize = 32;
/// librdkafka's queue, of a job or of a client that reads for the prompt.
const QUEUE: usize = 2;
/// Keys, headers and payloads of one batch of a job: two batches are in flight, and one is being collected.
const MESSAGES: usize = 2;
/// The columns of a batch of a job.
const COLUMNS: usize = 4;
/// Messages of the last batches, for people who ask a running job.
const KEPT: usize = 1;
const TABLES: usize = 8;
const STATE: usize = 4;
/// What SQL gets at most.
const SQL_MAX: usize = PARTS / 2;
/// Payloads of the batch that the prompt reads. They are dropped when they are decoded, before views are computed.
const PROMPT_MESSAGES: usize = 10;

/// Bytes that each part may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Keys, headers and payloads of one batch.
    pub messages: usize,
    /// The batch as columns.
    pub columns: usize,
    /// All reference tables.
    pub tables: usize,
    /// Rows of all state tables.
    pub state: usize,
    /// The plans of views and their results.
    pub sql: usize,
    /// Queries that people type; none in a job.
    pub queries: usize,
}

/// What a project has that needs memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    pub tables: bool,
    pub state: bool,
}

/// Shares in parts of [`PARTS`], of what may be full at the same time.
#[derive(Clone, Copy)]
struct Shares {
    tables: usize,
    state: usize,
    sql: usize,
    /// What is left beside those, and beside what a job has anyway.
    rest: usize,
}

impl Budget {
    /// The shares of a job.
    pub fn of_job(memory_max: usize, uses: Uses) -> Self {
        let Shares { tables, state, sql, .. } = Shares::of(uses);
        Self::of_parts(memory_max, [MESSAGES, COLUMNS, tables, state, sql, 0])
    }

    /// The shares of one of `lanes` lanes: each has its own batch, tables, state and plans.
    #[must_use]
    pub fn of_lane(self, lanes: usize) -> Self {
        let share = |bytes: usize| bytes / lanes.max(1);
        Self {
            messages: share(self.messages),
            columns: share(self.columns),
            tables: share(self.tables),
            state: share(self.state),
            sql: share(self.sql),
            queries: share(self.queries),
        }
    }

    /// The shares of the prompt. Tables, state and SQL have what they have in a job, so that it computes what a job does.
    pub fn of_prompt(memory_max: usize, uses: Uses) -> Self {
        let Shares { tables, state, sql, rest } = Shares::of(uses);
        let queries = rest / 3;
        Self::of_parts(memory_max, [PROMPT_MESSAGES, rest - queries, tables, state, sql, queries])
    }

    fn of_parts(memory_max: usize, parts: [usize; 6]) -> Self {
        let [messages, columns, tables, state, sql, queries] = parts.map(|parts| bytes(memory_max, parts));
        Self { messages, columns, tables, state, sql, queries }
    }
}

impl Shares {
    fn of(uses: Uses) -> Self {
        let tables = if uses.tables { TABLES } else { 0 };
        let state = if uses.state { STATE } else { 0 };
        let sql = SQL_MAX.min(PARTS - (QUEUE + MESSAGES + COLUMNS + KEPT) - tables - state);
        Self { tables, state, sql, rest: PARTS - tables - state - sql }
    }
}

/// What librdkafka may hold ready.
pub fn queue(memory_max: usize) -> usize {
    bytes(memory_max, QUEUE)
}

/// What the messages may take that a job keeps for people who ask.
pub fn kept(memory_max: usize) -> usize {
    bytes(memory_max, KEPT)
}

fn bytes(memory_max: usize, parts: usize) -> usize {
    // Why in this order: no product leaves the type, and what is lost is less than one part.
    memory_max / PARTS * parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY_MAX: usize = 256 << 20;

    fn all_uses() -> impl Iterator<Item = Uses> {
        [(false, false), (false, true), (true, false), (true, true)]
            .into_iter()
            .map(|(tables, state)| Uses { tables, state })
    }

    fn sum(budget: Budget) -> usize {
        let Budget { messages, columns, tables, state, sql, queries } = budget;
        messages + columns + tables + state + sql + queries
    }

    #[test]
    fn the_shares_of_a_job_add_up_to_at_most_all() {
        for uses in all_uses() {
            let job = Budget::of_job(MEMORY_MAX, uses);
            assert!(sum(job) + queue(MEMORY_MAX) + kept(MEMORY_MAX) <= MEMORY_MAX, "{uses:?}");
            assert!(job.sql >= MEMORY_MAX / 3, "{uses:?}: SQL has about a third at least");
            for lanes in [1, 3, 16] {
                let lane = job.of_lane(lanes);
                assert!(sum(lane) * lanes <= sum(job), "{uses:?}, {lanes} lanes");
            }
        }
        let with_nothing = Budget::of_job(MEMORY_MAX, Uses::default());
        assert_eq!((with_nothing.sql, with_nothing.tables, with_nothing.state), (MEMORY_MAX / 2, 0, 0));
    }

    #[test]
    fn the_shares_of_the_prompt_add_up_to_at_most_all() {
        for uses in all_uses() {
            let prompt = Budget::of_prompt(MEMORY_MAX, uses);
            let Budget { messages, columns, tables, state, sql, queries } = prompt;
            let while_reading = queue(MEMORY_MAX) + messages + columns + tables + state;
            let while_asked = columns + tables + state + sql + queries;
            assert!(while_reading <= MEMORY_MAX && while_asked <= MEMORY_MAX, "{uses:?}");
            let job = Budget::of_job(MEMORY_MAX, uses);
            // What a job computes, the prompt computes.
            assert!(messages >= job.messages && columns >= job.columns && queries > 0, "{uses:?}");
            assert_eq!((tables, state, sql), (job.tables, job.state, job.sql), "{uses:?}");
        }
    }
}
