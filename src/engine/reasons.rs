//! Why messages become dead letters, counted: the most frequent reasons with an example each, for people.

use std::collections::BTreeMap;

use crate::batch::DeadLetter;

/// Different reasons that are kept to be told.
const REASONS_MAX: usize = 100;
/// Reasons that are told.
const REASONS_TOLD: usize = 3;

/// The reasons of dead letters.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    counted: BTreeMap<String, Reason>,
}

/// What several dead letters have in common.
#[derive(Debug)]
struct Reason {
    count: u64,
    example: String,
}

impl Reasons {
    pub fn count<'l>(&mut self, dead_letters: impl IntoIterator<Item = &'l DeadLetter>) {
        for letter in dead_letters {
            let text =
                format!("{}: {}", letter.stage.name(), letter.reason.lines().next().unwrap_or_default());
            // Texts that differ in their numbers only are one reason.
            let reason = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
            if self.counted.len() >= REASONS_MAX && !self.counted.contains_key(&reason) {
                continue;
            }
            let example = || {
                let place =
                    if letter.place.is_empty() { String::new() } else { format!(", {}", letter.place) };
                format!("{text} ({} at offset {}{place})", letter.partition, letter.offset)
            };
            self.counted.entry(reason).or_insert_with(|| Reason { count: 0, example: example() }).count += 1;
        }
    }

    /// The most frequent ones, a line each.
    pub fn told(&self) -> Vec<String> {
        let mut reasons: Vec<&Reason> = self.counted.values().collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count));
        let told = reasons.iter().take(REASONS_TOLD);
        told.map(|reason| format!("{} times, for example {}", reason.count, reason.example)).collect()
    }
}
