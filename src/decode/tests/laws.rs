//! The decoder against `apache-avro`, an independent implementation, on random schemas, values and broken payloads.
//!
//! The verdicts agree but for these differences, each by design:
//! - `apache-avro` leaves bytes over to its caller, and reads missing ones as null: the test refuses both for it;
//! - it drops the bits beyond 64 of a varint of ten bytes, which is a number that was never written;
//! - it ignores the byte count of a block, which tells a damaged payload where it disagrees with the items;
//! - it has no limit for items without bytes, so a count of 2^60 nulls keeps it busy;
//! - it does not check what logical types promise: digits of a decimal, times within a day. It reads sixteen bytes
//!   and other spellings as a uuid in a string, where the specification has RFC 4122.

use std::io;

use apache_avro::types::Value as Avro;
use arrow::array::{ArrayRef, StructArray};
use proptest::prelude::*;

use super::model::{Cell, Field, Ty, any_record, expected, found, nullable, schema_of, value_of};
use super::*;
use crate::avro::tests::read_with_apache;
use crate::database::json::write_row;

pub(super) fn schemas(ty: &Ty) -> (Schema, apache_avro::Schema) {
    let ours = schema(&schema_of(ty, true, &mut 0));
    let theirs = apache_avro::Schema::parse(&schema_of(ty, false, &mut 0)).unwrap();
    (ours, theirs)
}

fn cells(ty: &Ty, batch: &RecordBatch) -> Vec<Cell> {
    let own: Vec<usize> = (0..batch.num_columns() - kafka::NAMES.len()).collect();
    let record: ArrayRef = Arc::new(StructArray::from(batch.project(&own).unwrap()));
    (0..batch.num_rows()).map(|row| found(ty, &record, row)).collect()
}

pub(super) fn record_and_values() -> impl Strategy<Value = (Ty, Vec<Avro>)> {
    any_record(false).prop_flat_map(|ty| {
        let values = proptest::collection::vec(value_of(&ty), 1..4);
        (Just(ty), values)
    })
}

pub(super) fn written(schema: &apache_avro::Schema, values: &[Avro]) -> Vec<Vec<u8>> {
    values.iter().map(|value| apache_avro::to_avro_datum(schema, value.clone()).unwrap()).collect()
}

/// A reader that fails at its end instead of reporting it, since `apache-avro` takes the end for a null.
struct Exact<'a>(&'a [u8]);

impl io::Read for Exact<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.len() > self.0.len() {
            return Err(io::Error::other("end"));
        }
        self.0.read(buffer)
    }
}

fn theirs(schema: &apache_avro::Schema, payload: &[u8]) -> Option<Avro> {
    let mut reader = Exact(payload);
    let value = read_with_apache(schema, &mut reader).ok()?;
    reader.0.is_empty().then_some(value)
}

/// Whether a value of the type may be written in several ways: a decimal with zeros before it, a uuid in capitals.
fn has_spellings(ty: &Ty) -> bool {
    match ty {
        Ty::Decimal(..) | Ty::UuidText => true,
        Ty::Array(inner) | Ty::Map(inner) | Ty::Nullable(_, inner) => has_spellings(inner),
        Ty::Record(fields) => fields.iter().any(|field| has_spellings(&field.ty)),
        _ => false,
    }
}

/// Changes, removes or adds a few bytes.
fn broken(mut payload: Vec<u8>, changes: &[(u8, prop::sample::Index, u8)]) -> Vec<u8> {
    for (change, place, byte) in changes {
        let place = place.index(payload.len() + 1);
        match change % 4 {
            0 if place < payload.len() => payload[place] = *byte,
            1 if place < payload.len() => drop(payload.remove(place)),
            2 => payload.insert(place, *byte),
            3 => payload.truncate(place),
            _ => {}
        }
    }
    payload
}

/// A reader's type for a writer's, and what its values become.
struct Evolved {
    ty: Ty,
    cell: Box<dyn Fn(Cell) -> Cell>,
}

/// One of the changes a reader's schema may make, chosen by `dice`.
fn evolve(ty: &Ty, dice: &mut dyn FnMut(usize) -> usize) -> Evolved {
    let same = |ty: Ty| Evolved { ty, cell: Box::new(|cell| cell) };
    let number = |ty: Ty, to: fn(i64) -> u64| Evolved {
        ty,
        cell: Box::new(move |cell| match cell {
            Cell::Int(value) => Cell::Bits(to(value)),
            other => other,
        }),
    };
    let to_float = |value: i64| u64::from((value as f32).to_bits());
    let to_double = |value: i64| (value as f64).to_bits();
    let evolved = match ty {
        Ty::Int if dice(2) == 0 => same(Ty::Long),
        Ty::Int | Ty::Long if dice(3) == 0 => number(Ty::Float, to_float),
        Ty::Int | Ty::Long if dice(3) == 0 => number(Ty::Double, to_double),
        Ty::Float if dice(2) == 0 => Evolved {
            ty: Ty::Double,
            cell: Box::new(|cell| match cell {
                Cell::Bits(bits) => Cell::Bits(f64::from(f32::from_bits(bits as u32)).to_bits()),
                other => other,
            }),
        },
        Ty::String if dice(2) == 0 => Evolved {
            ty: Ty::Bytes,
            cell: Box::new(|cell| match cell {
                Cell::Text(text) => Cell::Bytes(text.into_bytes()),
                other => other,
            }),
        },
        Ty::Array(item) => {
            let item = evolve(item, dice);
            Evolved {
                ty: Ty::Array(Box::new(item.ty)),
                cell: Box::new(move |cell| match cell {
                    Cell::List(cells) => Cell::List(cells.into_iter().map(&item.cell).collect()),
                    other => other,
                }),
            }
        }
        Ty::Map(value) => {
            let value = evolve(value, dice);
            Evolved {
                ty: Ty::Map(Box::new(value.ty)),
                cell: Box::new(move |cell| match cell {
                    Cell::Map(cells) => {
                        Cell::Map(cells.into_iter().map(|(key, cell)| (key, (value.cell)(cell))).collect())
                    }
                    other => other,
                }),
            }
        }
        Ty::Nullable(first, inner) => {
            let inner = evolve(inner, dice);
            let ty = match inner.ty {
                nullable @ Ty::Nullable(..) => nullable,
                ty => Ty::Nullable(*first ^ (dice(2) == 0), Box::new(ty)),
            };
            Evolved { ty, cell: inner.cell }
        }
        Ty::Record(fields) => evolve_record(fields, dice),
        other => same(other.clone()),
    };
    if dice(4) == 0 { Evolved { ty: nullable(dice(2) == 0, evolved.ty), ..evolved } } else { evolved }
}

fn evolve_record(fields: &[Field], dice: &mut dyn FnMut(usize) -> usize) -> Evolved {
    type Source = Box<dyn Fn(&[Cell]) -> Cell>;
    let mut out: Vec<(Field, Source)> = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        if dice(4) == 0 {
            continue;
        }
        let evolved = evolve(&field.ty, dice);
        let cell = evolved.cell;
        out.push((
            Field { ty: evolved.ty, ..field.clone() },
            Box::new(move |cells| cell(cells[index].clone())),
        ));
    }
    let defaults = [
        (Ty::Int, json!(-7), Cell::Int(-7)),
        (Ty::String, json!("é"), Cell::Text("é".to_owned())),
        (Ty::Nullable(true, Box::new(Ty::Long)), json!(null), Cell::Null),
        (Ty::Array(Box::new(Ty::Double)), json!([0.5]), Cell::List(vec![Cell::Bits(0.5_f64.to_bits())])),
    ];
    for added in 0..dice(3).max(usize::from(out.is_empty())) {
        let (ty, default, cell) = defaults[dice(defaults.len())].clone();
        let field = Field { name: format!("added{added}"), ty, default: Some(default) };
        let place = dice(out.len() + 1);
        out.insert(place, (field, Box::new(move |_| cell.clone())));
    }
    if dice(2) == 0 {
        for index in 0..out.len() {
            let other = dice(out.len());
            out.swap(index, other);
        }
    }
    let (fields, sources): (Vec<_>, Vec<_>) = out.into_iter().unzip();
    Evolved {
        ty: Ty::Record(fields),
        cell: Box::new(move |cell| match cell {
            Cell::Record(cells) => Cell::Record(sources.iter().map(|source| source(&cells)).collect()),
            other => other,
        }),
    }
}

/// A reader's record for a writer's, with one more field, so that one always takes a byte.
fn evolved(ty: &Ty, rolls: Vec<usize>) -> Evolved {
    let mut rolls = rolls.into_iter().cycle();
    let Ty::Record(fields) = ty else { unreachable!() };
    let mut evolved = evolve_record(fields, &mut |sides| rolls.next().unwrap() % sides);
    if let Ty::Record(fields) = &mut evolved.ty {
        fields.push(Field { name: "end".to_owned(), ty: Ty::Int, default: Some(json!(1)) });
    }
    evolved
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// What another implementation wrote is accepted and arrives with its values.
    #[test]
    fn written_values_arrive((ty, values) in record_and_values()) {
        let (ours, theirs) = schemas(&ty);
        let payloads = written(&theirs, &values);
        let payloads: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        let decoded = decoder(&ours, &ours).unwrap().decode(&messages(&payloads)).unwrap();
        prop_assert_eq!(&decoded.dead_letters, &[]);
        let expected: Vec<Cell> = values.iter().map(|value| expected(&ty, value)).collect();
        prop_assert_eq!(cells(&ty, &decoded.batch), expected);
    }

    /// What was written with an older schema arrives as the reader's schema has it.
    #[test]
    fn older_writers_are_read((ty, values) in record_and_values(), rolls in proptest::collection::vec(any::<usize>(), 64)) {
        let evolved = evolved(&ty, rolls);
        let (writer, theirs) = schemas(&ty);
        let reader = schema(&schema_of(&evolved.ty, true, &mut 0));
        let payloads = written(&theirs, &values);
        let payloads: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        let decoded = decoder(&writer, &reader).unwrap().decode(&messages(&payloads)).unwrap();
        prop_assert_eq!(&decoded.dead_letters, &[]);
        let expected: Vec<Cell> = values
            .iter()
            .map(|value| match (evolved.cell)(expected(&ty, value)) {
                Cell::Record(mut cells) => { cells.push(Cell::Int(1)); Cell::Record(cells) }
                other => other,
            })
            .collect();
        prop_assert_eq!(cells(&evolved.ty, &decoded.batch), expected);
    }

    /// What `consume` prints, `produce` writes again: the same bytes, or the same value where it has several encodings.
    #[test]
    fn what_is_printed_can_be_written_again((ty, values) in record_and_values()) {
        let (ours, theirs) = schemas(&ty);
        let encoder = Encoder::with_schema(ours.clone(), Frame::Raw).unwrap();
        let payloads = written(&theirs, &values);
        let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        let mut decoder = decoder(&ours, &ours).unwrap();
        let decoded = decoder.decode(&messages(&slices)).unwrap();
        let again: Vec<Vec<u8>> = (0..slices.len())
            .map(|row| {
                let mut line = String::new();
                write_row(&mut line, &decoded.batch, row);
                let mut record = crate::avro::json::Value::parse(line.trim_end()).unwrap();
                let crate::avro::json::Value::Object(fields) = &mut record else { unreachable!() };
                fields.retain(|name| !kafka::NAMES.contains(&name));
                let mut payload = Vec::new();
                let written = encoder.encode_exact(&record, &mut payload);
                assert_eq!(written, Ok(()), "{line}");
                payload
            })
            .collect();
        if !has_spellings(&ty) {
            prop_assert_eq!(&again, &payloads);
        }
        let slices: Vec<&[u8]> = again.iter().map(Vec::as_slice).collect();
        let read = decoder.decode(&messages(&slices)).unwrap();
        prop_assert_eq!(cells(&ty, &read.batch), cells(&ty, &decoded.batch));
    }

    /// Broken payloads get the verdict the other implementation gives, and the rows around them stay whole.
    #[test]
    fn verdicts_agree(
        (ty, value) in any_record(true).prop_flat_map(|ty| { let value = value_of(&ty); (Just(ty), value) }),
        changes in proptest::collection::vec(
            (any::<u8>(), any::<prop::sample::Index>(), prop_oneof![any::<u8>(), 0..4_u8, Just(0x80), Just(0xff)]),
            1..4,
        ),
    ) {
        let (ours, apache) = schemas(&ty);
        let good = apache_avro::to_avro_datum(&apache, value.clone()).unwrap();
        let payload = broken(good.clone(), &changes);
        // Not `decode`, which would find a way around a disagreement of validator and decoder.
        let messages = messages(&[&good, &payload, &good]);
        let decoded = decoder(&ours, &ours).unwrap().decode_together(&messages).unwrap();
        let whole = expected(&ty, &value);
        let cells = cells(&ty, &decoded.batch);
        prop_assert_eq!((cells.first(), cells.last()), (Some(&whole), Some(&whole)));
        let verdict = theirs(&apache, &payload);
        match decoded.dead_letters.as_slice() {
            [] => {
                let Some(value) = verdict else { return Err(TestCaseError::fail("accepted, apache-avro refuses")) };
                prop_assert_eq!(&cells[1], &expected(&ty, &value));
            }
            [dead] => {
                let by_design = ["more than 64 bits", "a block ", "items without bytes", "payload is empty"];
                if !by_design.iter().any(|reason| dead.reason.message.contains(reason)) {
                    prop_assert_eq!(verdict, None, "refused: {}", &dead.reason);
                }
            }
            more => prop_assert!(false, "{more:?}"),
        }
    }

    /// Random bytes are decoded or refused, at once and without harm.
    #[test]
    fn random_bytes_do_no_harm(
        ty in any_record(false),
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..8),
        rolls in proptest::collection::vec(any::<usize>(), 64),
    ) {
        let ours = schema(&schema_of(&ty, true, &mut 0));
        let reader = schema(&schema_of(&evolved(&ty, rolls).ty, true, &mut 0));
        let payloads: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        for reader in [&ours, &reader] {
            let messages = messages(&payloads);
            let mut decoder = decoder(&ours, reader).unwrap();
            let decoded = decoder.decode_together(&messages).unwrap();
            prop_assert_eq!(decoded.batch.num_rows() + decoded.dead_letters.len(), payloads.len());
        }
    }
}
