//! Where a batch of the prompt starts, for `\seek` and `sql --from`.

use std::str::FromStr;

use crate::source::StartAt;

/// Where a batch starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seek {
    /// There, in every partition; `end`: so that the batch ends at the end.
    To(StartAt),
    /// Where the job continues.
    Stored,
    /// At these offsets, by partition; the other partitions are left out.
    Partitions(Vec<(i32, i64)>),
}

impl Seek {
    /// The place that a person means, if it is one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "stored" {
            return Some(Self::Stored);
        }
        if !text.contains('=') {
            return StartAt::parse(text).map(Self::To);
        }
        let pairs = text.split_whitespace().map(|pair| {
            let (partition, offset) = pair.split_once('=')?;
            let partition = partition.parse::<i32>().ok().filter(|partition| *partition >= 0)?;
            Some((partition, offset.parse::<i64>().ok().filter(|offset| *offset >= 0)?))
        });
        pairs.collect::<Option<Vec<_>>>().map(Self::Partitions)
    }

    /// What [`Seek::parse`] reads.
    pub(super) fn forms() -> String {
        format!("{}, `stored`, or offsets by partition (`0=1200 1=900`)", StartAt::FORMS)
    }
}

impl FromStr for Seek {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| format!("expected {}", Self::forms()))
    }
}
