//! Offsets that hold no message for a reader: the markers of transactions, and messages of transactions that were aborted.
//! Messages tell how far a partition was read; after the last one nothing does. So if a partition is quiet and does not seem
//! to be read to its end, a client of its own reads from there, and if it gets to the end without a message the position
//! moves over them. Otherwise retention would one day delete offsets that look as if they were never processed.
//!
//! Invariant: a position moves only over what was read. The end is asked for first and the reading reaches it afterwards, both at
//! the leader of the partition, so no message can be between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::browse::{Browser, Range};
use super::lookup::bounds_of;
use super::state::Shared;
use crate::batch::TopicPartition;
use crate::config::KafkaConfig;
use crate::source::SourceError;

/// The least time between two readings: each connects to the brokers, and moves positions in a transaction of its own.
const READING_INTERVAL: Duration = Duration::from_secs(5);
/// The same for a job that ends when it has caught up.
const READING_INTERVAL_AT_END: Duration = Duration::from_millis(500);

/// What a reading may take, which ends at the first message.
const MEMORY_MAX: usize = 8 << 20;

/// A partition that is quiet before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub partition: TopicPartition,
    /// Of the assignment that it was seen in.
    pub assignment: u64,
    /// The offset after the last message that was collected.
    pub from: i64,
}

/// Reads gaps in a thread of its own, one reading at a time.
pub(super) struct GapReader {
    config: KafkaConfig,
    job: String,
    shared: Arc<Shared>,
    running: Option<JoinHandle<()>>,
    not_before: Instant,
    stop: Arc<AtomicBool>,
}

impl GapReader {
    pub fn new(config: &KafkaConfig, job: &str, shared: Arc<Shared>) -> Self {
        let mut config = config.clone();
        // Why: a follower may be behind the leader, which says where the end is.
        config.properties.remove("client.rack");
        // Why: the end is noticed when the broker has waited this long for more.
        config.properties.insert("fetch.wait.max.ms".into(), "50".into());
        let stop = Arc::new(AtomicBool::new(false));
        Self { config, job: job.to_owned(), shared, running: None, not_before: Instant::now(), stop }
    }

    /// Starts to read these gaps, unless that is under way or was just done.
    pub fn start(&mut self, gaps: Vec<Gap>) {
        let is_running = self.running.as_ref().is_some_and(|running| !running.is_finished());
        if gaps.is_empty() || is_running || Instant::now() < self.not_before {
            return;
        }
        let interval = if self.shared.until_caught_up { READING_INTERVAL_AT_END } else { READING_INTERVAL };
        self.not_before = Instant::now() + interval;
        let (config, job) = (self.config.clone(), self.job.clone());
        let (shared, stop) = (Arc::clone(&self.shared), Arc::clone(&self.stop));
        let read = move || match read(&config, &job, gaps, &stop) {
            Ok(moves) => {
                let mut state = shared.lock();
                moves.iter().for_each(|(gap, end)| state.move_over(gap, *end));
                drop(state);
                shared.tell_all();
            }
            Err(error) => tracing::debug!("positions stay where they are for now: {error}"),
        };
        let started = std::thread::Builder::new().name("kafka-gaps".into()).spawn(read);
        self.running = started.inspect_err(|error| tracing::debug!("no thread: {error}")).ok();
    }
}

impl Drop for GapReader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Those of the gaps that hold no message, each with where it ends.
fn read(
    config: &KafkaConfig,
    job: &str,
    gaps: Vec<Gap>,
    stop: &AtomicBool,
) -> Result<Vec<(Gap, i64)>, SourceError> {
    let browser = Browser::new(config, job, MEMORY_MAX)?;
    let mut asked = Vec::with_capacity(gaps.len());
    for gap in gaps {
        let end = bounds_of(browser.lookup().consumer(), &gap.partition)?.high;
        if gap.from < end {
            asked.push((gap, end));
        }
    }
    let range =
        |(gap, end): &(Gap, i64)| Range { partition: gap.partition.clone(), from: gap.from, to: *end };
    let mut ranges: Vec<Range> = asked.iter().map(range).collect();
    // One message is enough to end it. The ranges that are not read by then end earlier than they were asked to.
    let messages = browser.read(&mut ranges, 1, stop)?;
    let is_empty =
        |(gap, end): &(Gap, i64), range: &Range| range.to == *end && messages.count_of(&gap.partition) == 0;
    let read = asked.into_iter().zip(&ranges).filter(|(asked, range)| is_empty(asked, range));
    Ok(read.map(|(asked, _)| asked).collect())
}
