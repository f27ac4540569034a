//! The state of a job in one sentence: what a person wants to know first.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};

use super::history::Rates;
use super::standing::{Phase, Server, Standing};

/// A job that is no further behind than this keeps up.
const KEEPS_UP_SECONDS: f64 = 10.0;
/// Without a message for this long, a job with nothing to read is idle.
const IDLE_AFTER: Duration = Duration::from_mins(1);
/// An estimate beyond this is none.
const LEFT_SECONDS_MAX: f64 = 7.0 * 86_400.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Starting,
    KeepingUp,
    CatchingUp,
    Idle,
    Waiting,
    Stopping,
    Failed,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::KeepingUp => "keeping_up",
            Self::CatchingUp => "catching_up",
            Self::Idle => "idle",
            Self::Waiting => "waiting",
            Self::Stopping => "stopping",
            Self::Failed => "failed",
        }
    }
}

/// The sentence, and the state that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub state: State,
    pub text: String,
    pub waiting_for: Option<&'static str>,
}

/// What the server is called: `database` is the name of the job's.
pub fn name_of(server: Server, database: &'static str) -> &'static str {
    match server {
        Server::Kafka => "Kafka",
        Server::Database => database,
    }
}

pub(super) fn tell(
    standing: &Standing,
    rates: Rates,
    database: &'static str,
    is_stopping: bool,
    now: SystemTime,
) -> Told {
    let told = |state, text: String| Told { state, text, waiting_for: None };
    // The first of the waits is the one to begin with.
    let wait = standing.waits.iter().min_by_key(|(_, wait)| wait.since);
    let wait = wait.map(|(server, wait)| {
        let name = name_of(*server, database);
        let text = format!("waiting for {name} since {}: {}", clock(wait.since), wait.error);
        Told { state: State::Waiting, text, waiting_for: Some(name) }
    });
    match (standing.phase, wait) {
        (Phase::Failed, _) => return told(State::Failed, "failed; the log says why".into()),
        (_, Some(wait)) if is_stopping => {
            let text = format!("stopping; {}", wait.text);
            return Told { state: State::Stopping, text, waiting_for: wait.waiting_for };
        }
        (_, None) if is_stopping => return told(State::Stopping, "stopping after the current batch".into()),
        (_, Some(wait)) => return wait,
        (Phase::Starting, None) => return told(State::Starting, "starting".into()),
        (Phase::Running, None) if !standing.has_joined => {
            return told(State::Starting, "waiting for partitions from the consumer group".into());
        }
        (Phase::Running, None) => {}
    }
    if standing.partitions.is_empty() {
        return told(State::Idle, "idle: the other instances have all partitions".into());
    }
    let (messages, seconds) = standing.lag(now);
    if messages == 0 {
        let last = standing.last_message_at.and_then(|last| now.duration_since(last).ok());
        return match last {
            Some(last) if last < IDLE_AFTER => told(State::KeepingUp, "keeping up".into()),
            Some(last) => told(State::Idle, format!("idle: no message for {}", about(last.as_secs_f64()))),
            None => told(State::Idle, "idle: no message yet".into()),
        };
    }
    if seconds < KEEPS_UP_SECONDS {
        return told(State::KeepingUp, "keeping up".into());
    }
    let left = messages as f64 / rates.lag_shrinks;
    let text = match () {
        () if rates.lag_shrinks > 0.0 && left < LEFT_SECONDS_MAX => {
            format!("catching up, about {} left", about(left))
        }
        () if rates.lag_shrinks < 0.0 => {
            format!("falling behind: {messages} messages are not processed yet, and more every second")
        }
        () => format!("catching up: {messages} messages left"),
    };
    told(State::CatchingUp, text)
}

fn clock(at: SystemTime) -> String {
    DateTime::<Utc>::from(at).format("%H:%M:%S").to_string()
}

/// A time as people say it.
fn about(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{:.0} s", s.max(1.0)),
        s if s < 90.0 * 60.0 => format!("{:.0} min", s / 60.0),
        s if s < 36.0 * 3600.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}
