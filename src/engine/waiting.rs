//! Messages whose schema is not known yet. Their partition is put back to the first of them and read again when the
//! schema is there; the other partitions go on. So nothing is kept in memory, the order of a partition stays, and its
//! position says what is not processed.

use std::collections::{BTreeMap, HashSet};

use super::Engine;
use super::error::EngineError;
use super::schemas::{IDS_ASKED_MAX, Schemas};
use crate::avro::SchemaId;
use crate::batch::{Polled, TopicPartition};
use crate::source::Source;

/// The partitions that wait, each with the id of its next message.
pub(super) type WaitingFor = BTreeMap<TopicPartition, SchemaId>;

impl<S: Source> Engine<S> {
    /// What can be decoded of messages that were taken; the rest is put back.
    pub(super) fn without_unknown(&mut self, polled: Polled) -> Polled {
        let Some(schemas) = &self.stages.schemas else { return polled };
        let decoder = &mut self.stages.decoder;
        let mut unknown = Vec::new();
        for (_, id) in decoder.unknown_ids(&polled.messages, Schemas::asked_before()) {
            match schemas.answer(id) {
                Some(schema) => decoder.learn(id, &schema),
                None => unknown.push(id),
            }
        }
        if unknown.is_empty() {
            return polled;
        }
        unknown.iter().take(IDS_ASKED_MAX).for_each(|id| schemas.ask(*id));
        let first = decoder.first_of(&polled.messages, &unknown.into_iter().collect::<HashSet<_>>());
        let places: Vec<usize> = first.iter().map(|(place, _)| *place).collect();
        let (rest, put_back) = polled.before(&places);
        for (position, (_, id)) in put_back.into_iter().zip(first) {
            schemas.ask(id);
            self.waiting_for.insert(position.partition.clone(), id);
            self.source.put_back(&position);
        }
        rest
    }

    /// Reads the partitions again whose schemas are known by now.
    ///
    /// # Errors
    /// No schema can be had any more.
    pub(super) fn go_on(&mut self) -> Result<(), EngineError> {
        let Some(schemas) = &self.stages.schemas else { return Ok(()) };
        schemas.check()?;
        let is_ready = |_: &TopicPartition, id: &mut SchemaId| schemas.answer(*id).is_some();
        let ready: Vec<TopicPartition> =
            self.waiting_for.extract_if(.., is_ready).map(|(partition, _)| partition).collect();
        if !ready.is_empty() {
            self.source.go_on(&ready);
        }
        Ok(())
    }
}

/// The next change of what is known of schemas; never, if there is no registry.
pub(super) async fn next_schema(schemas: Option<&mut Schemas>) {
    match schemas {
        Some(schemas) => schemas.changed().await,
        None => std::future::pending().await,
    }
}
