//! What must not be shown of relations that only the prompt has: whole tables of the database, and dead letters.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema};

use super::batch::{DEAD_LETTERS, dead_letters_schema};
use super::whole::WHOLE;
use crate::mask::{Mask, Masks};
use crate::sink::Target;

/// With the masks of the tables of the database that are written: those of the views that are written to them.
pub(super) fn with_tables(mut masks: Masks, targets: &[Target]) -> Masks {
    for Target { name, table, schema, .. } in targets {
        let relation = format!("{WHOLE}.{table}");
        let is_known = masks.has(&relation);
        let of = |column: &str| match is_known {
            true => masks.of_column(name, column).and(masks.of_column(&relation, column)),
            false => masks.of_column(name, column),
        };
        let columns = schema.fields().iter().map(|field| of(field.name())).collect();
        masks.set(&relation, schema, columns);
    }
    masks
}

/// What of `dead_letters` must not be shown, and of the table of this name in the database. Payloads, keys and headers
/// hold whatever the messages hold; a reason that is stored may be from a time when nothing was sensitive.
pub(super) fn of_dead_letters(masks: &mut Masks) {
    let hidden = |hidden: &'static [&'static str]| {
        move |column: &str| match hidden.contains(&column) {
            true => Mask::Whole,
            false => Mask::Clear,
        }
    };
    let schema = dead_letters_schema();
    let of = hidden(&["payload", "kafka_key", "kafka_headers"]);
    masks.set(DEAD_LETTERS, &schema, schema.fields().iter().map(|field| of(field.name())).collect());
    let own = ["id", "job", "created_at", "replayed_at"].map(|name| Field::new(name, DataType::Null, true));
    let stored = Schema::new(schema.fields().iter().cloned().chain(own.map(Arc::new)).collect::<Fields>());
    let of = hidden(&["payload", "kafka_key", "kafka_headers", "reason"]);
    masks.set(
        &format!("{WHOLE}.{DEAD_LETTERS}"),
        &stored,
        stored.fields().iter().map(|field| of(field.name())).collect(),
    );
}
