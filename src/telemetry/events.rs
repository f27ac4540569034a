//! The last events of a job, one line each: what a person wants to know who asks what happened here.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::SystemTime;

use tokio::sync::broadcast;

use super::lock;

/// Events that are kept.
const EVENTS_MAX: usize = 200;
/// Events that a slow reader may lag behind before it loses some.
const WAITING_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Start,
    Stop,
    Assigned,
    Revoked,
    Reload,
    Conflict,
    Narrowed,
    Waiting,
    Recovered,
}

impl EventKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Assigned => "assigned",
            Self::Revoked => "revoked",
            Self::Reload => "reload",
            Self::Conflict => "conflict",
            Self::Narrowed => "narrowed",
            Self::Waiting => "waiting",
            Self::Recovered => "recovered",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it happened, the last time if it happened several times in a row.
    pub at: SystemTime,
    pub kind: EventKind,
    /// One line.
    pub text: String,
    pub times: u64,
}

#[derive(Debug)]
pub struct Events {
    last: Mutex<VecDeque<Event>>,
    told: broadcast::Sender<Event>,
}

impl Default for Events {
    fn default() -> Self {
        Self { last: Mutex::default(), told: broadcast::channel(WAITING_MAX).0 }
    }
}

impl Events {
    /// Adds an event. One that repeats the last one raises its count and is not sent again: a batch that conflicts a
    /// thousand times must not push everything else out.
    pub(super) fn add(&self, kind: EventKind, text: String) {
        let mut last = lock(&self.last);
        let at = SystemTime::now();
        if let Some(before) = last.back_mut().filter(|before| before.kind == kind && before.text == text) {
            before.times += 1;
            before.at = at;
            return;
        }
        let event = Event { at, kind, text, times: 1 };
        if last.len() >= EVENTS_MAX {
            last.pop_front();
        }
        last.push_back(event.clone());
        // Why: it is no fault if nobody listens.
        let _ = self.told.send(event);
    }

    /// All that are kept, the oldest first.
    pub fn all(&self) -> Vec<Event> {
        lock(&self.last).iter().cloned().collect()
    }

    /// Hears of each event from now on.
    pub fn listen(&self) -> broadcast::Receiver<Event> {
        self.told.subscribe()
    }
}
