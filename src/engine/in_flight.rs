//! A commit on its way to the database, beside the loop that computes the next batch.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::{JoinError, JoinHandle};

use super::error::EngineError;
use super::work::{Facts, Work};
use super::writer::{Ended, Writer};
use crate::sink::Prepared;

/// The writer, and how its commit ended.
pub(super) type Written = (Writer, Result<Ended, EngineError>);

pub(super) struct InFlight {
    work: Work,
    facts: Facts,
    task: JoinHandle<Written>,
    /// Told when enough rows are on their way; `None` once that was heard, or where sending them takes no time.
    sent: Option<Arc<Notify>>,
    /// What the task gave, once it was waited for.
    result: Option<Result<Written, JoinError>>,
}

/// How far a commit has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The server has rows enough to be busy with.
    Sent,
    Ended,
}

impl InFlight {
    /// Hands the writer a batch. `work` is where its rows come from.
    pub fn start(mut writer: Writer, work: Work, facts: Facts, prepared: Prepared) -> Self {
        let facts = Facts { tallies: prepared.commit.tallies.clone(), ..facts };
        let sent = prepared.is_loaded().then(|| Arc::clone(&prepared.sent));
        let task = tokio::spawn(async move {
            let ended = writer.commit(&prepared).await;
            (writer, ended)
        });
        Self { work, facts, task, sent, result: None }
    }

    /// Whether the rows are being sent, which takes a while. Why it matters: what is computed meanwhile takes a processor
    /// from the writer, while the server waits for it.
    pub fn is_sending(&self) -> bool {
        self.sent.is_some()
    }

    /// Whether the commit has ended.
    pub fn is_finished(&self) -> bool {
        self.result.is_some() || self.task.is_finished()
    }

    /// Waits for the next step.
    pub async fn step(&mut self) -> Step {
        let Some(sent) = self.sent.clone() else {
            self.finish().await;
            return Step::Ended;
        };
        tokio::select! {
            () = self.finish() => Step::Ended,
            () = sent.notified() => {
                self.sent = None;
                Step::Sent
            }
        }
    }

    /// Waits for the end.
    pub async fn finish(&mut self) {
        if self.result.is_none() {
            self.result = Some((&mut self.task).await);
        }
    }

    /// What came of it; `None` where its end was not waited for.
    pub fn into_result(self) -> (Work, Facts, Option<Result<Written, JoinError>>) {
        (self.work, self.facts, self.result)
    }
}
