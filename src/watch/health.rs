//! Whether the process should be restarted (`/livez`), and whether the job does its work (`/readyz`). Neither asks a server:
//! they look at heartbeats, and at how the last commits, look-ups and polls have ended.

use std::time::Instant;

use serde_json::{Value, json};

use super::Shared;
use crate::telemetry::{Phase, name_of};

/// Why the process should be restarted; nothing if it is alive. An outage is no reason.
pub(super) fn live(shared: &Shared) -> Vec<String> {
    shared.job.stalled(Instant::now())
}

/// Why the job does not do its work; nothing if it does.
pub(super) fn ready(shared: &Shared) -> Vec<String> {
    let mut reasons = live(shared);
    if shared.is_stopping() {
        reasons.push("the job is stopping".to_owned());
    }
    let standing = shared.job.standing();
    match standing.phase {
        Phase::Starting => reasons.push("the job is starting".to_owned()),
        Phase::Failed => reasons.push("the job has failed".to_owned()),
        Phase::Running if !standing.has_joined => {
            reasons.push("the consumer group has not assigned partitions yet".to_owned());
        }
        Phase::Running => {}
    }
    for (server, wait) in &standing.waits {
        let name = name_of(*server, shared.job.about.database);
        reasons.push(format!("waiting for {name} since {}: {}", super::json::time(wait.since), wait.error));
    }
    reasons
}

/// The answer in JSON: `name` is what is asked for.
pub(super) fn answer(name: &str, reasons: &[String]) -> Value {
    json!({ name: reasons.is_empty(), "reasons": reasons })
}
