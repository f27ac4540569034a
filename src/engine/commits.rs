//! Commits in flight to the database, beside the loop that computes the next batch.
//!
//! Invariant: batches are committed in the order in which they were handed over. One that is handed over while another
//! is in flight sends its rows ahead, in a transaction and on a connection of its own, and moves offsets, state and
//! everything else when the one before has given it its [`Turn`]. So the server has rows to take while it commits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use super::error::EngineError;
use super::turn::{Baton, Turn};
use super::work::{Facts, Work};
use super::writer::{Ended, Writer};
use crate::sink::Prepared;

/// Commits in flight at once. More would keep no server busier: each waits for the one before.
const ON_WAY_MAX: usize = 2;
/// How long no rows are sent ahead after it was in vain, at least and at most: the server may refuse a second connection, or
/// a transaction wait for locks of the one behind it. That costs a while each time, so it is tried less and less often.
const PAUSE_MIN: Duration = Duration::from_mins(1);
const PAUSE_MAX: Duration = Duration::from_hours(1);

/// The writers of a job, and what they are about.
pub(super) struct Commits {
    /// Those with nothing to do. The last one is used next.
    idle: Vec<Writer>,
    /// In the order of their batches.
    on_way: VecDeque<OnWay>,
    /// Nothing is sent ahead before.
    paused_until: Option<Instant>,
    /// How long that was.
    pause: Duration,
}

/// How far the commits have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Milestone {
    /// The server has rows enough to be busy with.
    Sent,
    /// The first one has ended.
    Ended,
}

impl Commits {
    /// `writer` has one beside it, for rows that are sent ahead.
    pub fn new(writer: Writer) -> Self {
        Self {
            idle: vec![writer.another(), writer],
            on_way: VecDeque::new(),
            paused_until: None,
            pause: PAUSE_MIN,
        }
    }

    /// A writer; `None` while all of them have something to do.
    pub fn idle(&mut self) -> Option<&mut Writer> {
        self.idle.last_mut()
    }

    /// Sends nothing ahead: there is one writer, and one connection.
    pub fn one_at_a_time(&mut self) {
        self.idle.drain(..self.idle.len().saturating_sub(1));
    }

    /// All writers that have nothing to do: all there are if nothing is in flight.
    pub fn all_idle(&mut self) -> &mut [Writer] {
        &mut self.idle
    }

    pub fn is_empty(&self) -> bool {
        self.on_way.is_empty()
    }

    /// Whether as many are in flight as can be.
    pub fn are_full(&self) -> bool {
        self.on_way.len() >= ON_WAY_MAX
    }

    /// Whether all that are in flight have ended.
    pub fn are_finished(&self) -> bool {
        self.on_way.iter().all(|commit| commit.running.is_finished())
    }

    /// Whether rows are being sent, which takes a while. Why it matters: what is computed meanwhile takes a processor from
    /// the writer, while the server waits for it.
    pub fn are_sending(&self) -> bool {
        self.on_way.iter().any(|commit| commit.sending.0.is_some())
    }

    /// Whether this batch may send its rows while others are in flight.
    pub fn take_ahead(&self, prepared: &Prepared) -> bool {
        let is_open = self.paused_until.is_none_or(|until| until <= Instant::now());
        is_open
            && !self.idle.is_empty()
            && prepared.is_plain()
            && self.on_way.iter().all(|commit| commit.is_plain)
    }

    /// Sending ahead was in vain: it is left for a while.
    pub fn pause(&mut self) {
        let now = Instant::now();
        let is_soon = self.paused_until.is_some_and(|until| now < until + self.pause);
        self.pause = if is_soon { (self.pause * 4).min(PAUSE_MAX) } else { PAUSE_MIN };
        self.paused_until = Some(now + self.pause);
    }

    /// Starts the commit of a batch. `work` is where its rows come from.
    ///
    /// # Errors
    /// The work, where no writer is idle.
    pub fn start(&mut self, work: Work, facts: Facts, prepared: Prepared) -> Result<(), Box<Work>> {
        let Some(mut writer) = self.idle.pop() else { return Err(Box::new(work)) };
        let facts = Facts { tallies: prepared.commit.tallies.clone(), ..facts };
        let sending = Sending(prepared.is_loaded().then(|| Arc::clone(&prepared.sent)));
        let is_plain = prepared.is_plain();
        let turn = self.on_way.back_mut().and_then(|before| before.next.take());
        let (mut baton, next) = Baton::new();
        let task = tokio::spawn(async move {
            let ended = match turn {
                None => writer.deliver(&prepared, &mut baton).await,
                Some(turn) => writer.deliver_ahead(&prepared, turn, &mut baton).await,
            };
            (writer, ended)
        });
        let running = Running { task, result: None };
        self.on_way.push_back(OnWay { work, facts, running, sending, next: Some(next), is_plain });
        Ok(())
    }

    /// Waits for the next step; forever, if nothing is in flight.
    pub async fn step(&mut self) -> Milestone {
        let mut on_way = self.on_way.iter_mut();
        let Some(OnWay { running, sending, .. }) = on_way.next() else { return std::future::pending().await };
        let mut none = Sending(None);
        let behind = on_way.next().map_or(&mut none, |commit| &mut commit.sending);
        tokio::select! {
            () = running.finish() => Milestone::Ended,
            () = sending.end() => Milestone::Sent,
            () = behind.end() => Milestone::Sent,
        }
    }

    /// Waits for the first one, and takes it out; `None` if nothing is in flight. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The commit failed for good, or the writer stopped.
    pub async fn first(&mut self) -> Result<Option<(Work, Facts, Ended)>, EngineError> {
        let Some((work, facts, ended)) = self.take_first().await? else { return Ok(None) };
        Ok(Some((work, facts, ended?)))
    }

    /// Waits for all, which have sent their rows in vain: a batch before them is not committed. Returns what they were about.
    ///
    /// # Errors
    /// A writer that stopped.
    pub async fn drain(&mut self) -> Result<Vec<Work>, EngineError> {
        let mut works = Vec::new();
        while let Some((work, ..)) = self.take_first().await? {
            works.push(work);
        }
        Ok(works)
    }

    /// The first one with how it ended, when it has; its writer is idle then.
    async fn take_first(&mut self) -> Result<Option<(Work, Facts, Result<Ended, EngineError>)>, EngineError> {
        // Invariant: it stays in its place until it has ended, since this may be dropped while it waits.
        match self.on_way.front_mut() {
            Some(first) => first.running.finish().await,
            None => return Ok(None),
        }
        let Some(OnWay { work, facts, running, .. }) = self.on_way.pop_front() else { return Ok(None) };
        let Some(result) = running.result else { return Ok(None) };
        let (writer, ended) = result.map_err(|error| EngineError::Writer(error.to_string()))?;
        match &ended {
            // Why: its connection may be one too many, so it is not the next one's.
            Ok(Ended::GivenUp) => self.idle.insert(0, writer),
            _ => self.idle.push(writer),
        }
        Ok(Some((work, facts, ended)))
    }
}

/// One commit in flight.
struct OnWay {
    work: Work,
    facts: Facts,
    running: Running,
    sending: Sending,
    /// The turn of the commit behind it, until that is started.
    next: Option<Turn>,
    is_plain: bool,
}

/// The writer, and how its commit ended.
type Written = (Writer, Result<Ended, EngineError>);

struct Running {
    task: JoinHandle<Written>,
    /// What the task gave, once it was waited for.
    result: Option<Result<Written, JoinError>>,
}

impl Running {
    fn is_finished(&self) -> bool {
        self.result.is_some() || self.task.is_finished()
    }

    async fn finish(&mut self) {
        if self.result.is_none() {
            self.result = Some((&mut self.task).await);
        }
    }
}

/// Notified when enough rows are in flight; `None` after that, or if sending them takes no time.
struct Sending(Option<Arc<Notify>>);

impl Sending {
    /// Waits until enough rows are in flight; forever, if that was already reported.
    async fn end(&mut self) {
        match &self.0 {
            Some(sent) => sent.notified().await,
            None => std::future::pending().await,
        }
        self.0 = None;
    }
}
