//! Messages of another schema than the job knows, in a topic whose messages do not name theirs.
//!
//! One broken payload says nothing about the others. If most payloads of a batch are longer or shorter than the schema says,
//! and all end in the same place of it, the sender has another schema.

use std::collections::BTreeMap;

use super::{Decoder, Writers};
use crate::batch::{DeadLetter, LetterKind};

/// What to do about it.
pub const ANOTHER_SCHEMA_HINT: &str = "most messages of the batch end in another place than the schema says, so they were \
    written with another one; a raw topic cannot hold two schemas. If a field was added, set `avro_writer_schema` to the \
    schema that they were written with, or let each message name its schema (`avro_framing: confluent`)";

/// Fewer dead letters of a batch are not taken for messages of another schema.
const MESSAGES_MIN: usize = 3;

impl Decoder {
    /// Says so in the reasons of the dead letters of a batch of `messages`.
    pub fn tell_another_schema(&self, messages: usize, letters: &mut [DeadLetter]) {
        if !matches!(self.payloads.writers, Writers::Raw(_)) {
            return;
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for place in letters.iter().filter_map(end_of) {
            *counts.entry(place).or_default() += 1;
        }
        let Some((place, count)) = counts.into_iter().max_by_key(|(_, count)| *count) else { return };
        if count < MESSAGES_MIN || 2 * count <= messages {
            return;
        }
        let place = place.to_owned();
        for letter in letters.iter_mut().filter(|letter| end_of(letter) == Some(&place)) {
            letter.reason.hint = Some(ANOTHER_SCHEMA_HINT.to_owned());
            letter.kind = LetterKind::OtherSchema;
        }
    }
}

/// Where the payload of a dead letter ends that is longer or shorter than its schema says.
fn end_of(letter: &DeadLetter) -> Option<&str> {
    if let LetterKind::OtherEnd(place) = &letter.kind { Some(place) } else { None }
}
