//! Messages that Kafka no longer has though they were not processed yet: deleted by retention, or gone with a topic
//! that was deleted and created again.

use std::fmt;

use crate::batch::TopicPartition;
use crate::diagnostic::Finding;
use crate::source::{Bounds, Recreated};

/// What is lost of one partition.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LostMessages {
    pub partition: TopicPartition,
    pub kind: LostKind,
    /// The offset that is stored: of the first message that is lost, or behind the end of the partition.
    pub stored: i64,
    /// The offset of the first message that is there.
    pub first_kept: i64,
    /// The offset behind the last message that is there.
    pub end: i64,
}

/// How messages were lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LostKind {
    /// Retention, or somebody, deleted messages that were not read yet.
    Deleted,
    /// The topic was deleted and created again: it holds other messages than those that were processed. `None`: it ends
    /// before the stored offset.
    MadeAnew(Option<Recreated>),
}

/// Compares where a partition was left with what Kafka has of it.
pub(super) fn lost_messages(bounds: &Bounds, stored: i64) -> Option<LostMessages> {
    let Bounds { partition, low, high } = bounds;
    let is_kept = (*low..=*high).contains(&stored);
    let kind = if stored < *low { LostKind::Deleted } else { LostKind::MadeAnew(None) };
    (!is_kept).then(|| LostMessages {
        partition: partition.clone(),
        kind,
        stored,
        first_kept: *low,
        end: *high,
    })
}

impl LostMessages {
    /// What is lost, and what to do about it.
    pub fn found(&self) -> Finding {
        Finding::new(self.to_string()).with_hint(self.hint())
    }

    fn hint(&self) -> String {
        let first = self.first_kept;
        match &self.kind {
            LostKind::Deleted => format!(
                "they were deleted before they were read (retention); `lost_data: continue` continues with {first}"
            ),
            LostKind::MadeAnew(_) => format!(
                "the topic was deleted and created again; `lost_data: continue` reads it from {first}, as another `job` does"
            ),
        }
    }
}

impl fmt::Display for LostMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, kind, stored, first_kept, end } = self;
        match kind {
            LostKind::Deleted => {
                let (count, last) = (first_kept - stored, first_kept - 1);
                write!(
                    f,
                    "{partition}: Kafka no longer has the {count} offsets {stored} to {last}, which were not processed yet"
                )
            }
            LostKind::MadeAnew(None) => {
                write!(f, "{partition}: the stored offset is {stored}, and the partition ends at {end}")
            }
            LostKind::MadeAnew(Some(Recreated::OtherId { before, now })) => {
                write!(
                    f,
                    "{partition}: the id of the topic was {before} and is {now}: it was deleted and created again"
                )
            }
            LostKind::MadeAnew(Some(Recreated::OtherTime)) => {
                let last = stored - 1;
                write!(
                    f,
                    "{partition}: the message at offset {last} has another time than the one that was processed last"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_said_exactly() {
        let partition = TopicPartition { topic: "t".into(), partition: 3 };
        let bounds = Bounds { partition, low: 10, high: 20 };
        assert_eq!(lost_messages(&bounds, 10), None);
        assert_eq!(lost_messages(&bounds, 20), None);
        let text = |stored| lost_messages(&bounds, stored).expect("lost").to_string();
        assert!(text(4).starts_with("t[3]: Kafka no longer has the 6 offsets 4 to 9"), "{}", text(4));
        assert!(text(21).starts_with("t[3]: the stored offset is 21, and the partition ends at 20"));
    }
}
