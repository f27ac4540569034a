use arrow::array::BinaryArray;

use super::super::refusal::Refusal;
use super::*;
use crate::batch::Messages;
use crate::config::{Framing, Tombstones};

const SCHEMA: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"n","type":"long"},
    {"name":"ratio","type":["null","double"]},
    {"name":"raw","type":"bytes"},
    {"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":30,"scale":4}},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},
    {"name":"kind","type":{"type":"enum","name":"K","symbols":["A","B"]}},
    {"name":"tags","type":{"type":"array","items":"string"}},
    {"name":"limits","type":{"type":"map","values":"int"}}]}"#;

struct Sample {
    folder: tempfile::TempDir,
    avro: AvroConfig,
    batch: Batch,
    schema: SchemaRef,
}

fn sample(ratio: &str) -> Sample {
    sample_with(ratio, &KeyFormat::Bytes)
}

fn sample_with(ratio: &str, key: &KeyFormat) -> Sample {
    let folder = tempfile::tempdir().unwrap();
    let schema = folder.path().join("r.avsc");
    std::fs::write(&schema, SCHEMA).unwrap();
    let (framing, tombstones) = (Framing::NONE, Tombstones::DeadLetter);
    let avro = AvroConfig { schema, framing, tombstones, key: key.clone() };
    let mut decoder = Decoder::new(&avro).unwrap();
    let messages = messages(&avro, ratio);
    let rows = decoder.decode(&messages).unwrap().batch;
    assert_eq!(rows.num_rows(), 3);
    let dead_letters = dead_letters_table(&[]).unwrap();
    let batch = Batch { origin: Origin::Topic, ranges: ranges_of(&messages), rows, dead_letters };
    Sample { schema: decoder.schema(), folder, avro, batch }
}

fn messages(avro: &AvroConfig, ratio: &str) -> Messages {
    let encoder = Encoder::for_config(avro).unwrap();
    let key = match &avro.key {
        KeyFormat::Bytes => vec![0xff, 0x00],
        KeyFormat::Text => "é\n".into(),
        KeyFormat::Int => (-7_i32).to_be_bytes().to_vec(),
        KeyFormat::Long => i64::MIN.to_be_bytes().to_vec(),
        KeyFormat::Avro { .. } => vec![2, 0xff, 2, 2],
    };
    let mut builder = MessagesBuilder::default();
    for offset in 0..3 {
        let record = format!(
            r#"{{"n":{offset},"ratio":{ratio},"raw":"/wA=","amount":"12345678901234567890.1234",
                "at":"2026-01-31T12:00:00.000001Z","kind":"B","tags":["a","é"],"limits":{{"x":1}}}}"#
        );
        let mut payload = Vec::new();
        encoder.encode(&serde_json::from_str(&record).unwrap(), &mut payload).unwrap();
        let headers: Headers = match offset {
            0 => Vec::new(),
            1 => vec![("trace".into(), Some(vec![0, 255])), ("none".into(), None)],
            _ => vec![("twice".into(), Some(b"1".to_vec())), ("twice".into(), Some(b"2".to_vec()))],
        };
        builder.push(Message {
            topic: &"t".into(),
            partition: 2,
            offset: 10 + offset * 5,
            timestamp_ms: (offset > 0).then_some(1_700_000_000_001),
            key: (offset > 0).then_some(key.as_slice()),
            payload: Some(&payload),
            headers: &headers,
        });
    }
    builder.finish()
}

#[test]
fn types_keys_and_headers_come_back_exactly() {
    let Sample { folder, avro, batch, schema } = sample("0.1");
    for name in ["b.arrow", "b.jsonl"] {
        let file = folder.path().join(name);
        save(&batch.rows, &file, &avro).unwrap();
        let loaded = load(&file, &avro, &schema).unwrap();
        assert_eq!(loaded.rows, batch.rows, "{name}");
        assert_eq!(loaded.ranges, batch.ranges, "{name}");
        assert_eq!(loaded.origin, Origin::File(file));
    }
    let keys = batch.rows["kafka_key"].as_any().downcast_ref::<BinaryArray>().unwrap().clone();
    assert!(keys.is_null(0) && keys.value(1) == [0xff, 0]);
}

#[test]
fn typed_keys_come_back_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let schema = folder.path().join("key.avsc");
    let text = r#"{"type":"record","name":"K","fields":[
        {"name":"raw","type":"bytes"},{"name":"day","type":["null",{"type":"int","logicalType":"date"}]}]}"#;
    std::fs::write(&schema, text).unwrap();
    let avro = KeyFormat::Avro { schema, framing: Framing::NONE };
    for key in [KeyFormat::Text, KeyFormat::Int, KeyFormat::Long, avro] {
        let Sample { folder, avro, batch, schema } = sample_with("0.1", &key);
        for name in ["b.arrow", "b.jsonl"] {
            let file = folder.path().join(name);
            save(&batch.rows, &file, &avro).unwrap();
            assert_eq!(load(&file, &avro, &schema).unwrap().rows, batch.rows, "{key:?} {name}");
        }
        // Of another format it is not the same column.
        let bytes = AvroConfig { key: KeyFormat::Bytes, ..avro };
        let schema = Decoder::new(&bytes).unwrap().schema();
        let said = load(&folder.path().join("b.arrow"), &bytes, &schema).unwrap_err().to_string();
        assert!(said.contains("`kafka_key` is ") && said.ends_with("Binary by key_format"), "{said}");
    }
}

#[test]
fn json_that_would_lose_something_is_refused() {
    let Sample { folder, avro, batch, schema } = sample("\"NaN\"");
    let file = folder.path().join("b.jsonl");
    let said = save(&batch.rows, &file, &avro).unwrap_err().to_string();
    assert!(said.ends_with("hint: keep them as Arrow: NAME.arrow"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    let file = folder.path().join("b.arrow");
    save(&batch.rows, &file, &avro).unwrap();
    assert_eq!(load(&file, &avro, &schema).unwrap().rows.num_rows(), 3);
}

#[test]
fn lines_of_people_need_no_place_in_kafka() {
    let Sample { folder, avro, schema, .. } = sample("1");
    let file = folder.path().join("typed.jsonl");
    let line = r#"{"n":1,"ratio":null,"raw":"","amount":1.5,"at":0,"kind":"A","tags":[],"limits":{}}"#;
    std::fs::write(&file, format!("{line}\n\n{line}\n")).unwrap();
    let batch = load(&file, &avro, &schema).unwrap();
    assert_eq!(batch.rows.num_rows(), 2);
    assert_eq!(batch.ranges.len(), 1);
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let Sample { folder, avro, batch, schema } = sample("1");
    let said = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let said = Refusal::from(load(&file, &avro, &schema).unwrap_err()).to_string();
        said.replace(&folder.path().display().to_string(), "DIR")
    };
    assert_eq!(
        said("x.csv", ""),
        "error: DIR/x.csv: CSV has no types, keys and headers, so it is no batch\n\
         hint: keep the batch as NAME.arrow or NAME.jsonl"
    );
    assert_eq!(
        said("x.xlsx", ""),
        "error: DIR/x.xlsx: the ending of the name says what the file holds\n\
         hint: call it NAME.arrow, NAME.jsonl or NAME.csv"
    );
    assert!(said("x.arrow", "nonsense").starts_with("error: DIR/x.arrow: is no Arrow file"));
    assert!(
        said("x.jsonl", "{\"n\":1}").starts_with("error: DIR/x.jsonl: line 1: field `ratio`: found nothing")
    );
    let other = batch.rows.project(&[0, 1]).unwrap();
    let file = folder.path().join("other.arrow");
    save(&other, &file, &avro).unwrap();
    let said = load(&file, &avro, &schema).unwrap_err().to_string();
    assert!(said.ends_with("lacks the column `raw` of avro_schema"), "{said}");
}
