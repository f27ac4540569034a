//! From payloads to `batch`: framing, validation and Arrow together, as a job decodes. Small messages are those of the
//! schema that ships, wide ones have many fields of each primitive type, nested ones every kind of nesting; one is read
//! through the resolution of an older writer. Bytes are those of the payloads.

mod support;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use realtime_processor::avro::{Encoder, Frame};
use realtime_processor::batch::Messages;
use realtime_processor::config::{AvroConfig, Framing, KeyFormat, Tombstones};
use realtime_processor::decode::Decoder;
use serde_json::{Map, Value, json};

use support::{messages, movement, payload_bytes, rows_and_bytes};

const SMALL_MESSAGES: usize = 100_000;
const LARGE_MESSAGES: usize = 10_000;
/// Fields of each primitive type in a wide message.
const WIDE_REPEATS: usize = 9;
const SCHEMA_ID: u32 = 7;

fn write_schema(folder: &Path, name: &str, schema: &Value) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, schema.to_string()).expect("the schema is written");
    path
}

/// The schema that ships with its fields in another order and one more: what was written before must be resolved.
fn newer_schema() -> Value {
    let text = std::fs::read_to_string(support::schema()).expect("the schema that ships");
    let mut schema: Value = serde_json::from_str(&text).expect("JSON");
    let fields = schema["fields"].as_array_mut().expect("fields");
    fields.swap(0, 1);
    fields.push(json!({"name": "channel", "type": ["null", "string"], "default": null}));
    schema
}

fn wide_schema() -> Value {
    let kinds = ["boolean", "int", "long", "float", "double", "bytes", "string"];
    let field = |index: usize| json!({"name": format!("f{index}"), "type": kinds[index % kinds.len()]});
    let fields: Value = (0..kinds.len() * WIDE_REPEATS).map(field).collect();
    json!({"type": "record", "name": "Wide", "fields": fields})
}

fn wide_record() -> impl FnMut() -> Value {
    let mut random = fastrand::Rng::with_seed(7);
    move || {
        let mut record = Map::new();
        for repeat in 0..WIDE_REPEATS {
            let values = [
                json!(random.bool()),
                json!(random.i32(-100_000..100_000)),
                json!(random.i64(0..1 << 40)),
                json!(random.i32(0..1000)),
                json!(random.f64()),
                json!("AAECAwQFBgc="),
                json!(format!("text {}", random.u32(0..10_000))),
            ];
            let first = repeat * values.len();
            record.extend(
                values.into_iter().enumerate().map(|(index, value)| (format!("f{}", first + index), value)),
            );
        }
        Value::Object(record)
    }
}

fn nested_schema() -> Value {
    json!({"type": "record", "name": "Nested", "fields": [
        {"name": "id", "type": "long"},
        {"name": "customer", "type": {"type": "record", "name": "Customer", "fields": [
            {"name": "name", "type": "string"},
            {"name": "address", "type": {"type": "record", "name": "Address", "fields": [
                {"name": "street", "type": "string"}, {"name": "zip", "type": "int"}]}}]}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "items", "type": {"type": "array", "items": {"type": "record", "name": "Item", "fields": [
            {"name": "sku", "type": "string"}, {"name": "quantity", "type": "int"},
            {"name": "price", "type": "double"}]}}},
        {"name": "limits", "type": {"type": "map", "values": "double"}},
        {"name": "note", "type": ["null", "string"]},
        {"name": "reference", "type": ["null", "long", "string"]},
        {"name": "channel", "type": {"type": "enum", "name": "Channel", "symbols": ["APP", "BRANCH", "PHONE"]}},
    ]})
}

fn nested_record() -> impl FnMut() -> Value {
    let mut random = fastrand::Rng::with_seed(7);
    move || {
        let item = |index: u32| json!({"sku": format!("sku-{index}"), "quantity": index, "price": 9.5});
        let items: Vec<Value> = (0..random.u32(1..4)).map(item).collect();
        json!({
            "id": random.i64(0..1 << 40),
            "customer": {"name": "Henrique Pinto", "address": {"street": "Rua das Flores 7", "zip": 12345}},
            "tags": ["new", "premium"],
            "items": items,
            "limits": {"eu": 1000.0, "us": random.f64()},
            "note": if random.bool() { json!("a note") } else { Value::Null },
            "reference": if random.bool() { json!(random.i64(0..1 << 40)) } else { json!("by phone") },
            "channel": "BRANCH",
        })
    }
}

/// Measures messages of one schema, raw and with the Confluent header.
fn by_framing(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    schema: &Path,
    encoded: impl Fn(&Encoder) -> Messages,
) {
    let confluent =
        Framing::Confluent { writer_schemas: BTreeMap::from([(SCHEMA_ID, schema.to_path_buf())]) };
    for (framing_name, framing, frame) in [
        ("raw", Framing::Raw { writer_schema: None }, Frame::Raw),
        ("confluent", confluent, Frame::Confluent(SCHEMA_ID)),
    ] {
        let encoder = Encoder::new(schema, frame).expect("the schema is good");
        measure(group, &format!("{name}/{framing_name}"), schema, framing, &encoded(&encoder));
    }
}

fn measure(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    schema: &Path,
    framing: Framing,
    messages: &Messages,
) {
    let config = AvroConfig {
        schema: schema.to_path_buf(),
        framing,
        tombstones: Tombstones::DeadLetter,
        key: KeyFormat::Bytes,
    };
    let mut decoder = Decoder::new(&config).expect("the schemas agree");
    let decoded = decoder.decode(messages).expect("no fault of the job");
    assert_eq!(decoded.batch.num_rows(), messages.len(), "{name}: {:?}", decoded.dead_letters.first());
    group.throughput(rows_and_bytes(messages.len(), payload_bytes(messages)));
    group.bench_function(name, |bencher| {
        bencher.iter(|| decoder.decode(black_box(messages)).expect("the messages are good"));
    });
}

fn decode(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut group = criterion.benchmark_group("decode");
    group.sample_size(20);

    let shipped = support::schema();
    by_framing(&mut group, "small", &shipped, |encoder| messages(encoder, SMALL_MESSAGES, movement()));
    let newer = write_schema(folder.path(), "newer.avsc", &newer_schema());
    let older = Framing::Raw { writer_schema: Some(shipped) };
    measure(&mut group, "small/older_writer", &newer, older, &support::movements(SMALL_MESSAGES));

    let wide = write_schema(folder.path(), "wide.avsc", &wide_schema());
    by_framing(&mut group, "wide", &wide, |encoder| messages(encoder, LARGE_MESSAGES, wide_record()));
    let nested = write_schema(folder.path(), "nested.avsc", &nested_schema());
    by_framing(&mut group, "nested", &nested, |encoder| messages(encoder, LARGE_MESSAGES, nested_record()));
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
