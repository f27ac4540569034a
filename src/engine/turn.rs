//! Whose turn it is to commit, when the rows of two batches are in flight at once.

use tokio::sync::oneshot;

/// What a commit waits for that has sent its rows ahead. It comes when the batch before is committed, and is lost when a
/// try to commit that one has failed.
#[derive(Debug)]
pub struct Turn(oneshot::Receiver<()>);

/// What a commit gives to the one behind it.
#[derive(Debug)]
pub(super) struct Baton(Option<oneshot::Sender<()>>);

impl Baton {
    pub fn new() -> (Self, Turn) {
        let (sender, receiver) = oneshot::channel();
        (Self(Some(sender)), Turn(receiver))
    }

    /// Of a commit that no other waits for.
    pub fn of_nobody() -> Self {
        Self(None)
    }

    /// The batch is committed: it is the next one's turn.
    pub fn pass(&mut self) {
        if let Some(sender) = self.0.take() {
            // Why: nobody may be waiting, or not any more.
            let _ = sender.send(());
        }
    }

    /// A try has failed. What was sent ahead is rolled back, since locks that it holds may be the reason.
    pub fn withdraw(&mut self) {
        self.0 = None;
    }
}

impl Turn {
    /// Waits for it; whether it came.
    pub async fn comes(self) -> bool {
        self.0.await.is_ok()
    }
}
