//! Messages a second from payloads to `batch`: the shipped schema, read as it was written and through the
//! resolution of an older writer.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use realtime_processor::avro::{Encoder, Frame};
use realtime_processor::batch::{Message, Messages, MessagesBuilder};
use realtime_processor::config::{AvroConfig, Framing, Tombstones};
use realtime_processor::decode::Decoder;
use serde_json::{Value, json};

const MESSAGES: i64 = 100_000;

fn movement(index: i64) -> Value {
    json!({
        "customer": index % 500,
        "agency": format!("{:04}", index % 97),
        "operation_value": index as f64 * 0.37,
        "operation_type": index % 2,
        "date": "2024-01-31 12:34:56",
        "account_balance": 1000.5,
    })
}

fn fields() -> Vec<Value> {
    let names = ["customer", "agency", "operation_value", "operation_type", "date", "account_balance"];
    let types = ["int", "string", "double", "int", "string", "double"];
    names.iter().zip(types).map(|(name, ty)| json!({"name": name, "type": ty})).collect()
}

fn write_schema(folder: &Path, name: &str, fields: &[Value]) -> PathBuf {
    let path = folder.join(name);
    let schema = json!({"type": "record", "name": "Movement", "fields": fields});
    std::fs::write(&path, schema.to_string()).expect("the schema is written");
    path
}

fn messages(schema: &Path) -> Messages {
    let encoder = Encoder::new(schema, Frame::Raw).expect("the schema is good");
    let topic = Arc::from("customer_movements");
    let mut builder = MessagesBuilder::default();
    let mut payload = Vec::new();
    for offset in 0..MESSAGES {
        payload.clear();
        encoder.encode(&movement(offset), &mut payload).expect("the record fits");
        builder.push(Message {
            topic: &topic,
            partition: 0,
            offset,
            timestamp_ms: Some(offset),
            key: Some(b"123"),
            payload: Some(&payload),
            headers: &[],
        });
    }
    builder.finish()
}

fn decode(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let same = write_schema(folder.path(), "same.avsc", &fields());
    let mut newer = fields();
    newer.swap(0, 1);
    newer.push(json!({"name": "channel", "type": ["null", "string"], "default": null}));
    let newer = write_schema(folder.path(), "newer.avsc", &newer);
    let messages = messages(&same);

    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(MESSAGES as u64)).sample_size(20);
    for (name, schema, writer_schema) in
        [("as_written", &same, None), ("older_writer", &newer, Some(same.clone()))]
    {
        let config = AvroConfig {
            schema: schema.clone(),
            framing: Framing::Raw { writer_schema },
            tombstones: Tombstones::DeadLetter,
        };
        let mut decoder = Decoder::new(&config).expect("the schemas agree");
        group.bench_function(name, |bencher| {
            bencher.iter(|| decoder.decode(black_box(&messages)).expect("the messages are good"));
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
