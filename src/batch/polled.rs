//! What one poll gave, and its parts: cut in two, or up to where partitions are put back to.

use std::collections::BTreeMap;

use super::{Advance, Message, Messages, MessagesBuilder, TopicPartition};

/// How much is read at once; of rows, at least one, whatever its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub rows_max: usize,
    pub bytes_max: usize,
}

/// What one poll gave: messages, and how far they move each partition. The unit of a trigger.
#[derive(Clone, Debug)]
pub struct Polled {
    pub messages: Messages,
    /// In topic, partition order, one for each partition that moves.
    pub advances: Vec<Advance>,
}

impl Polled {
    /// Cuts in two parts of about the same number of messages, to be committed one after the other.
    ///
    /// Partitions without a message in the first half move with the second.
    ///
    /// # Panics
    /// Where there are fewer than two messages.
    pub fn halves(&self) -> (Self, Self) {
        assert!(self.messages.len() > 1, "one message cannot be cut");
        let middle = self.messages.len() / 2;
        let first = self.messages.slice(0..middle);
        let second = self.messages.slice(middle..self.messages.len());
        let mut ends = BTreeMap::new();
        for message in first.iter() {
            ends.insert((message.topic, message.partition), (message.offset + 1, message.timestamp_ms));
        }
        let boundary = second.get(0);
        let mut first_advances = Vec::new();
        let mut second_advances = Vec::new();
        for advance in &self.advances {
            let tp = &advance.partition;
            let is_cut = *boundary.topic == tp.topic && boundary.partition == tp.partition;
            match ends.get(&(&tp.topic, tp.partition)) {
                None => second_advances.push(advance.clone()),
                Some(_) if !is_cut => first_advances.push(advance.clone()),
                Some(&(to, message_time_ms)) => {
                    first_advances.push(Advance { to, message_time_ms, ..advance.clone() });
                    second_advances.push(Advance { from: to, ..advance.clone() });
                }
            }
        }
        drop(ends);
        (
            Self { messages: first.clone(), advances: first_advances },
            Self { messages: second.clone(), advances: second_advances },
        )
    }

    /// What is before these places, one for each partition that is to be put back, in their order: the messages with how
    /// far they move the partitions, and where each of those partitions goes on.
    pub fn before(&self, places: &[usize]) -> (Self, Vec<PutBack>) {
        let mut builder = MessagesBuilder::default();
        let mut put_back = Vec::with_capacity(places.len());
        let mut advances = Vec::with_capacity(self.advances.len());
        let is_of = |message: &Message<'_>, partition: &TopicPartition| {
            message.partition == partition.partition && *message.topic == partition.topic
        };
        let mut next = 0;
        for advance in &self.advances {
            let mut last = None;
            let mut is_cut = false;
            while next < self.messages.len() && is_of(&self.messages.get(next), &advance.partition) {
                is_cut |= places.contains(&next);
                if !is_cut {
                    let message = self.messages.get(next);
                    builder.push(message);
                    if let Some(damage) = self.messages.damage(next) {
                        builder.note_damage(damage.to_owned());
                    }
                    last = Some((message.offset + 1, message.timestamp_ms));
                }
                next += 1;
            }
            if !is_cut {
                advances.push(advance.clone());
                continue;
            }
            let (to, message_time_ms) = last.unwrap_or((advance.from, None));
            if to > advance.from {
                advances.push(Advance { to, message_time_ms, ..advance.clone() });
            }
            put_back.push(PutBack { partition: advance.partition.clone(), next_offset: to, message_time_ms });
        }
        (Self { messages: builder.finish(), advances }, put_back)
    }
}

/// Where a partition is read again, because what was taken from there on is not processed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutBack {
    pub partition: TopicPartition,
    /// The offset to read next.
    pub next_offset: i64,
    /// Time of the last message before it that was taken with it, milliseconds since the epoch.
    pub message_time_ms: Option<i64>,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_is_before_a_message_keeps_its_order_and_moves_no_further() {
        let topic: Arc<str> = "t".into();
        let partition = |partition| TopicPartition { topic: Arc::clone(&topic), partition };
        let mut builder = MessagesBuilder::default();
        for (partition, offset) in [(0, 5), (0, 8), (1, 2), (1, 3), (2, 0)] {
            let timestamp_ms = Some(100 + offset);
            builder.push(Message { timestamp_ms, ..Message::tombstone(&topic, partition, offset) });
            if offset == 5 {
                builder.note_damage("torn".to_owned());
            }
        }
        let advance = |number, from, to| Advance {
            partition: partition(number),
            epoch: 1,
            from,
            to,
            message_time_ms: Some(999),
        };
        let advances = vec![advance(0, 4, 11), advance(1, 2, 4), advance(2, 0, 1), advance(3, 7, 9)];
        let polled = Polled { messages: builder.finish(), advances };
        let (rest, put_back) = polled.before(&[1, 2]);
        let offsets: Vec<(i32, i64)> =
            rest.messages.iter().map(|message| (message.partition, message.offset)).collect();
        assert_eq!(offsets, [(0, 5), (2, 0)]);
        assert_eq!(rest.messages.damage(0), Some("torn"));
        let moved: Vec<(i32, i64, i64, Option<i64>)> = rest
            .advances
            .iter()
            .map(|advance| (advance.partition.partition, advance.from, advance.to, advance.message_time_ms))
            .collect();
        // A partition that moves over no message moves on; one whose first message waits does not move.
        assert_eq!(moved, [(0, 4, 6, Some(105)), (2, 0, 1, Some(999)), (3, 7, 9, Some(999))]);
        let expected = [
            PutBack { partition: partition(0), next_offset: 6, message_time_ms: Some(105) },
            PutBack { partition: partition(1), next_offset: 2, message_time_ms: None },
        ];
        assert_eq!(put_back, expected);
    }
}
