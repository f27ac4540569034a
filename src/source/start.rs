//! Where to start in a topic: one set of words for every command that reads from somewhere, or stores where to.

use std::str::FromStr;

use super::{Bounds, SourceError, TopicLookup};
use crate::moment::moment;

/// A place in every partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// The first message that Kafka has.
    Beginning,
    /// After the last message.
    End,
    Offset(i64),
    /// The first message at or after it, in milliseconds since the epoch.
    Moment(i64),
}

impl StartAt {
    /// What [`StartAt::parse`] reads.
    pub const FORMS: &str =
        "`beginning`, `end`, an offset, a date (2026-03-01) or a time (2026-03-01T06:00:00Z)";

    /// The place that a person means; `None` if the text is none of [`StartAt::FORMS`]. Kafka's words for the two ends,
    /// `earliest` and `latest`, are read too.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "beginning" | "earliest" => Some(Self::Beginning),
            "end" | "latest" => Some(Self::End),
            text => match text.parse::<i64>() {
                Ok(offset) => (offset >= 0).then_some(Self::Offset(offset)),
                Err(_) => moment(text).map(|moment| Self::Moment(moment.timestamp_millis())),
            },
        }
    }

    /// The offset in each of these partitions. One that a person names is not checked against what Kafka has.
    ///
    /// # Errors
    /// No broker answers when the offsets of a moment are looked up.
    pub(crate) fn offsets(self, lookup: &TopicLookup, bounds: &[Bounds]) -> Result<Vec<i64>, SourceError> {
        Ok(match self {
            Self::Beginning => bounds.iter().map(|bounds| bounds.low).collect(),
            Self::End => bounds.iter().map(|bounds| bounds.high).collect(),
            Self::Offset(offset) => vec![offset; bounds.len()],
            Self::Moment(moment_ms) => lookup.offsets_at(bounds, moment_ms)?,
        })
    }
}

impl FromStr for StartAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| format!("expected {}", Self::FORMS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_offsets_and_moments() {
        for (text, place) in [
            ("beginning", StartAt::Beginning),
            ("earliest", StartAt::Beginning),
            ("end", StartAt::End),
            ("latest", StartAt::End),
            ("1200", StartAt::Offset(1200)),
            ("1970-01-02", StartAt::Moment(86_400_000)),
            ("1970-01-01T01:00:00.5+01:00", StartAt::Moment(500)),
            ("1970-01-01 00:00:01", StartAt::Moment(1000)),
        ] {
            assert_eq!(StartAt::parse(text), Some(place), "{text}");
        }
        for text in ["-1", "yesterday", "", "Beginning"] {
            assert_eq!(
                text.parse::<StartAt>().expect_err("no place"),
                "expected `beginning`, `end`, an offset, a date (2026-03-01) or a time (2026-03-01T06:00:00Z)"
            );
        }
    }
}
