//! Why messages become dead letters, counted: the most frequent reasons with an example each, for people.

use std::collections::BTreeMap;

use crate::batch::{DeadLetter, LetterKind};
use crate::mask::words_alone;

/// Different reasons that are kept to be reported.
const REASONS_MAX: usize = 100;
/// Reasons that are reported.
const REASONS_TOLD: usize = 3;

/// The reasons of dead letters.
#[derive(Clone, Debug, Default)]
pub(super) struct Reasons {
    counted: BTreeMap<String, Reason>,
    /// All dead letters, also those whose reason is not kept.
    all: u64,
}

/// What several dead letters have in common.
#[derive(Clone, Debug)]
struct Reason {
    count: u64,
    example: String,
}

impl Reasons {
    pub fn of(dead_letters: &[DeadLetter]) -> Self {
        let mut reasons = Self::default();
        reasons.count(dead_letters);
        reasons
    }

    pub fn count<'l>(&mut self, dead_letters: impl IntoIterator<Item = &'l DeadLetter>) {
        for letter in dead_letters {
            self.add_reason(kind(letter), 1, || example(letter));
            self.all += 1;
        }
    }

    /// Counts what was counted elsewhere.
    pub fn add(&mut self, others: Self) {
        for (kind, Reason { count, example }) in others.counted {
            self.add_reason(kind, count, || example);
        }
        self.all += others.all;
    }

    fn add_reason(&mut self, kind: String, count: u64, example: impl FnOnce() -> String) {
        if self.counted.len() < REASONS_MAX || self.counted.contains_key(&kind) {
            let reason = self.counted.entry(kind).or_insert_with(|| Reason { count: 0, example: example() });
            reason.count += count;
        }
    }

    /// How many dead letters were counted.
    pub fn all(&self) -> u64 {
        self.all
    }

    /// The most frequent ones, a line each.
    pub fn told(&self) -> Vec<String> {
        let mut reasons: Vec<&Reason> = self.counted.values().collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count));
        let told = reasons.iter().take(REASONS_TOLD);
        told.map(|reason| format!("{} times, for example {}", reason.count, reason.example)).collect()
    }
}

/// What dead letters of one kind have in common: stage and place, and the database's code. Without a code, the text
/// without the values in it.
fn kind(letter: &DeadLetter) -> String {
    let stage = letter.stage.name();
    match letter.kind {
        LetterKind::Refused(code) => format!("{stage} {}: {code}", letter.place),
        _ => format!("{stage} {}: {}", without_values(&letter.place), without_values(first_line(letter))),
    }
}

fn example(letter: &DeadLetter) -> String {
    let place = if letter.place.is_empty() { String::new() } else { format!(", {}", letter.place) };
    let (stage, text) = (letter.stage.name(), first_line(letter));
    format!("{stage}: {text} ({} at offset {}{place})", letter.partition, letter.offset)
}

fn first_line(letter: &DeadLetter) -> &str {
    letter.reason.message.lines().next().unwrap_or_default()
}

fn without_values(text: &str) -> String {
    words_alone(text, &['"', '\''])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Headers, Stage, TopicPartition};

    fn letter(offset: i64, place: &str, reason: &str, code: Option<i64>) -> DeadLetter {
        DeadLetter {
            partition: TopicPartition { topic: "t".into(), partition: 0 },
            offset,
            timestamp_ms: None,
            key: None,
            headers: Headers::new(),
            payload: None,
            stage: Stage::Write,
            place: place.into(),
            reason: reason.into(),
            kind: code.map_or(LetterKind::Other, LetterKind::Refused),
        }
    }

    #[test]
    fn reasons_are_one_by_place_and_code_whatever_values_are_in_the_text() {
        let duplicate = |n: i64| {
            let reason = format!(
                "mysql error 1062 (23000): Duplicate entry 'customer-{}' for key 'PRIMARY'",
                "x".repeat(n as usize)
            );
            letter(n, "orders", &reason, Some(1062))
        };
        let mut letters: Vec<DeadLetter> = (0..111).map(duplicate).collect();
        letters.extend((0..18).map(|n| letter(n, "orders.name", &format!("{n} characters: \"{n}\""), None)));
        let told = Reasons::of(&letters).told();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("111 times, for example write: mysql error 1062"), "{told:?}");
        assert!(told[1].starts_with("18 times, for example write: 0 characters"), "{told:?}");
    }

    #[test]
    fn what_was_counted_elsewhere_is_added() {
        let mut reasons = Reasons::of(&[letter(1, "a", "x 1", None)]);
        reasons.add(Reasons::of(&[letter(2, "a", "x 20", None), letter(3, "b", "y", None)]));
        assert_eq!(reasons.all(), 3);
        assert!(reasons.told()[0].starts_with("2 times"), "{:?}", reasons.told());
    }
}
