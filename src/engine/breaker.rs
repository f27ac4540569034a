//! The breaker: a job whose messages mostly become dead letters is broken, not its messages. It counts how many of the
//! last messages became dead letters and stops the job above a ratio, with the most frequent reasons.
//!
//! Invariant: what is counted is stored with the offsets that it belongs to, and at a stop with the batch that went over
//! and is not committed. So a job that is started again stops at its next dead letter, and does not eat its topic.

use std::collections::BTreeMap;

use super::error::EngineError;
use super::reasons::Reasons;
use crate::batch::{Advance, Claim, Commit, DeadLetter, LetterKind, Polled, Tally, TopicPartition};
use crate::config::DeadLettersConfig;
use crate::decode::ANOTHER_SCHEMA_HINT;
use crate::diagnostic::Finding;

/// There is no verdict before this many messages are counted.
const MESSAGES_MIN: i64 = 1_000;

/// Counts dead letters and says when there are too many.
#[derive(Debug)]
pub(super) struct Breaker {
    config: DeadLettersConfig,
    /// Of the partitions of this instance, as they are committed.
    tallies: BTreeMap<TopicPartition, Tally>,
    /// Of the dead letters that this process has stored.
    reasons: Reasons,
}

impl Breaker {
    pub fn new(config: DeadLettersConfig) -> Self {
        Self { config, tallies: BTreeMap::new(), reasons: Reasons::default() }
    }

    /// Judges by other thresholds from now on.
    pub fn change(&mut self, config: DeadLettersConfig) {
        self.config = config;
    }

    /// Goes on counting where the partitions were left.
    pub fn claimed(&mut self, claims: &[Claim]) {
        for claim in claims {
            self.tallies.insert(claim.partition.clone(), claim.tally);
        }
    }

    /// Stops counting for partitions that another instance gets.
    pub fn revoked(&mut self, partitions: &[TopicPartition]) {
        self.tallies.retain(|partition, _| !partitions.contains(partition));
    }

    /// Whether no message within the window became a dead letter: a batch without any changes no tally then.
    pub fn has_counted_none(&self) -> bool {
        self.tallies.values().all(|tally| tally.dead_letters == 0)
    }

    /// The tallies with this batch, one for each of its advances; none where no message ever became a dead letter.
    pub fn weigh(&self, polled: &Polled, dead_letters: &[DeadLetter]) -> Vec<Tally> {
        if dead_letters.is_empty() && self.has_counted_none() {
            return Vec::new();
        }
        let mut added: BTreeMap<&TopicPartition, i64> = BTreeMap::new();
        for letter in dead_letters {
            *added.entry(&letter.partition).or_default() += 1;
        }
        let keep = self.kept(polled.messages.len());
        let tally = |advance: &Advance| {
            let before = self.tallies.get(&advance.partition).copied().unwrap_or_default().scaled(keep);
            let messages = polled.messages.count_of(&advance.partition) as i64;
            let dead_letters = added.get(&advance.partition).copied().unwrap_or_default();
            Tally { messages: before.messages + messages, dead_letters: before.dead_letters + dead_letters }
        };
        polled.advances.iter().map(tally).collect()
    }

    /// Says what is wrong where a batch makes the last messages too many dead letters.
    ///
    /// # Errors
    /// [`EngineError::TooManyDeadLetters`]; the batch is not to be committed.
    pub fn judge(&mut self, polled: &Polled, commit: &Commit) -> Result<(), EngineError> {
        if commit.dead_letters.is_empty() {
            return Ok(());
        }
        let keep = self.kept(polled.messages.len());
        let with_batch = |(partition, before): (&TopicPartition, &Tally)| {
            let place = commit.advances.iter().position(|advance| advance.partition == *partition);
            place.and_then(|place| commit.tallies.get(place).copied()).unwrap_or(before.scaled(keep))
        };
        let all = self.tallies.iter().map(with_batch).fold(Tally::default(), |a, b| Tally {
            messages: a.messages + b.messages,
            dead_letters: a.dead_letters + b.dead_letters,
        });
        let is_early = all.messages < MESSAGES_MIN.min(self.config.window as i64);
        if is_early || all.ratio() <= self.config.ratio_max {
            return Ok(());
        }
        Err(EngineError::TooManyDeadLetters(self.verdict(all, &commit.dead_letters)))
    }

    /// A batch is committed, with the tallies that [`Breaker::weigh`] gave for it, and the reasons of its dead letters.
    pub fn committed(&mut self, polled: &Polled, tallies: &[Tally], reasons: Reasons) {
        self.reasons.add(reasons);
        let keep = self.kept(polled.messages.len());
        if keep < 1.0 {
            self.tallies.values_mut().for_each(|tally| *tally = tally.scaled(keep));
        }
        for (index, advance) in polled.advances.iter().enumerate() {
            let Some(known) = self.tallies.get_mut(&advance.partition) else { continue };
            match tallies.get(index) {
                Some(tally) => *known = *tally,
                None => known.messages += polled.messages.count_of(&advance.partition) as i64,
            }
        }
    }

    /// The part of what is counted that stays in the window beside `added` messages more.
    fn kept(&self, added: usize) -> f64 {
        let counted: i64 = self.tallies.values().map(|tally| tally.messages).sum();
        let room = self.config.window.saturating_sub(added) as f64;
        if counted as f64 <= room { 1.0 } else { room / counted as f64 }
    }

    /// `letters`: the dead letters of the batch that went over.
    fn verdict(&self, all: Tally, letters: &[DeadLetter]) -> Finding {
        let Tally { messages, dead_letters } = all;
        let stored = self.reasons.all();
        let mut reasons = self.reasons.clone();
        reasons.count(letters);
        let left_out = letters.len();
        let (found, allowed) = (100.0 * all.ratio(), 100.0 * self.config.ratio_max);
        let told: String = reasons.told().iter().map(|reason| format!("\n  {reason}")).collect();
        let is_of_another = letters.iter().any(|letter| letter.kind == LetterKind::OtherSchema);
        let cause =
            if is_of_another { ANOTHER_SCHEMA_HINT } else { "correct the schema, the SQL or the sender" };
        let message = format!(
            "{dead_letters} of the last {messages} messages ({found:.1} %) became dead letters, more than \
             dead_letters_max_ratio allows ({allowed:.1} %); the batch that went over is not committed\n\
             the most frequent reasons, of {stored} dead letters that this process has stored in dead_letters and \
             {left_out} of the batch that is not stored:{told}"
        );
        Finding::new(message).with_hint(format!(
            "{cause}; or raise dead_letters_max_ratio (1 never stops the job). \
             Started again, the job stops at its next dead letter until enough good messages were processed; \
             `run --acknowledge` or `dead-letters acknowledge` starts the count again"
        ))
    }
}

impl Tally {
    fn ratio(self) -> f64 {
        self.dead_letters as f64 / (self.messages as f64).max(1.0)
    }

    /// A part of it, in whole messages.
    fn scaled(self, factor: f64) -> Self {
        if factor >= 1.0 {
            return self;
        }
        let messages = (self.messages as f64 * factor).round() as i64;
        let dead_letters = (self.dead_letters as f64 * factor).round() as i64;
        Self { messages, dead_letters: dead_letters.min(messages) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Message, Messages, MessagesBuilder, Stage};

    fn partition() -> TopicPartition {
        TopicPartition { topic: "t".into(), partition: 0 }
    }

    fn messages(from: i64, count: i64) -> Messages {
        let mut builder = MessagesBuilder::default();
        let topic = partition().topic;
        (from..from + count).for_each(|offset| builder.push(Message::tombstone(&topic, 0, offset)));
        builder.finish()
    }

    /// A batch of `count` messages of which the first `dead` are dead letters.
    fn batch(from: i64, count: i64, dead: i64) -> (Polled, Commit) {
        let messages = messages(from, count);
        let letters = messages.iter().take(dead as usize).enumerate();
        let reason = |number: usize| format!("{} bytes are left over", number % 7);
        let dead_letters = letters
            .map(|(number, m)| DeadLetter::new(m, Stage::Decode, format!("byte {number}"), reason(number)))
            .collect();
        let advance =
            Advance { partition: partition(), epoch: 1, from, to: from + count, message_time_ms: None };
        let advances = vec![advance];
        let commit = Commit { advances: advances.clone(), dead_letters, ..Commit::default() };
        (Polled { messages, advances }, commit)
    }

    fn claimed(tally: Tally) -> Breaker {
        let mut breaker = Breaker::new(DeadLettersConfig { ratio_max: 0.1, window: 2_000 });
        let claim = Claim { partition: partition(), epoch: 1, next_offset: 0, message_time_ms: None, tally };
        breaker.claimed(&[claim]);
        breaker
    }

    /// Commits a batch, or says why it must not be.
    fn commit(breaker: &mut Breaker, count: i64, dead: i64) -> Result<Vec<Tally>, String> {
        let (polled, mut commit) = batch(0, count, dead);
        commit.tallies = breaker.weigh(&polled, &commit.dead_letters);
        breaker.judge(&polled, &commit).map_err(|error| error.to_string())?;
        breaker.committed(&polled, &commit.tallies, Reasons::of(&commit.dead_letters));
        Ok(commit.tallies)
    }

    #[test]
    fn there_is_no_verdict_before_a_thousand_messages() {
        let mut breaker = claimed(Tally::default());
        commit(&mut breaker, 999, 999).expect("no verdict yet");
        let error = commit(&mut breaker, 1, 1).expect_err("all of a thousand");
        assert!(error.starts_with("1000 of the last 1000 messages (100.0 %) became dead letters"), "{error}");
        assert!(
            error
                .contains("1000 times, for example decode: 0 bytes are left over (t[0] at offset 0, byte 0)")
        );
    }

    #[test]
    fn the_verdict_tells_what_is_stored_from_what_is_not() {
        let mut breaker = claimed(Tally::default());
        commit(&mut breaker, 999, 2).expect("below the ratio");
        let error = commit(&mut breaker, 1_000, 300).expect_err("above it");
        assert!(error.contains("of 2 dead letters that this process has stored"), "{error}");
        assert!(error.contains("and 300 of the batch that is not stored"), "{error}");
        let again = commit(&mut breaker, 1_000, 300).expect_err("still");
        assert_eq!(error, again, "a batch that is judged again is not counted twice");
    }

    #[test]
    fn old_messages_leave_the_window() {
        let mut breaker = claimed(Tally { messages: 1_000, dead_letters: 90 });
        for _ in 0..5 {
            commit(&mut breaker, 1_000, 0).expect("good messages");
        }
        let tallies = commit(&mut breaker, 1_000, 95).expect("below the ratio");
        assert!(tallies[0].messages <= 2_000 && (95..=110).contains(&tallies[0].dead_letters), "{tallies:?}");
        commit(&mut breaker, 1_000, 160).expect_err("above it: 160 and half of 95 in 2,000");
    }

    #[test]
    fn a_restart_goes_on_counting_and_good_messages_pass() {
        let mut breaker = claimed(Tally { messages: 2_000, dead_letters: 600 });
        commit(&mut breaker, 10, 0).expect("good messages");
        commit(&mut breaker, 1, 1).expect_err("the next dead letter");
    }

    #[test]
    fn without_dead_letters_nothing_is_stored() {
        let mut breaker = claimed(Tally::default());
        assert!(commit(&mut breaker, 500, 0).expect("good messages").is_empty());
        let tallies = commit(&mut breaker, 500, 1).expect("below the ratio");
        assert_eq!(tallies, [Tally { messages: 1_000, dead_letters: 1 }]);
    }
}
