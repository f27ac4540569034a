//! What is stored, compared with where this instance is, while it has nothing to commit. A commit compares by itself: its fence
//! matches no row if anything differs. An idle job would only notice with its next message.

use std::time::Duration;

use tokio::time::Instant;

use super::Engine;
use super::error::EngineError;
use crate::batch::Position;
use crate::source::Source;

/// While nothing is committed, what is stored is looked at this often: one read of a few rows by their key. A connection that
/// was lost is opened again for it, so a server that took over is seen as well.
pub(super) const COMPARE_INTERVAL: Duration = Duration::from_secs(2);

impl<S: Source> Engine<S> {
    /// Compares what is stored with where this instance is. Another instance may have taken partitions over, somebody may have
    /// reset offsets, and a failover of the database may have lost the last transactions; each shows without a new message.
    pub(super) async fn compare(&mut self) -> Result<(), EngineError> {
        self.compared_at = Instant::now();
        self.tell_held();
        if self.source.carried().is_empty() {
            return Ok(());
        }
        let Some(writer) = self.commits.idle() else { return Ok(()) };
        let Some(stored) = writer.look().await? else { return Ok(()) };
        // Why asked again: partitions may have been taken away meanwhile.
        let differs = |carried: &Position| {
            let found = stored.iter().find(|claim| claim.partition == carried.partition);
            let found = found.map(|claim| (claim.epoch, claim.next_offset));
            (found != Some((carried.epoch, carried.next_offset))).then_some(found)
        };
        let carried = self.source.carried();
        let Some((carried, found)) = carried.iter().find_map(|carried| Some((carried, differs(carried)?)))
        else {
            return Ok(());
        };
        let Position { partition, epoch, next_offset } = carried;
        let found = match found {
            Some((epoch, next_offset)) => format!("the stored offset is {next_offset} in epoch {epoch}"),
            None => "nothing is stored".to_owned(),
        };
        tracing::warn!(
            "{partition}: {found}, and this instance is at {next_offset} in epoch {epoch}; continuing from the stored offsets"
        );
        self.ask_again().await;
        Ok(())
    }
}
