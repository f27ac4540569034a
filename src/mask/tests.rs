//! What is masked, and what is shown in its place.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, ListArray, RecordBatch, StringArray, StringDictionaryBuilder,
    StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Int32Type, Schema};

use super::*;
use crate::diagnostic::Finding;

/// An id, a record with a name and an address, and a list of such records.
fn rows() -> RecordBatch {
    let texts = |texts: &[Option<&str>]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
    let record = StructArray::from(vec![
        (Arc::new(Field::new("name", DataType::Utf8, true)), texts(&[Some("Ana"), None])),
        (Arc::new(Field::new("city", DataType::Utf8, true)), texts(&[Some("Faro"), Some("Rio")])),
    ]);
    let item = Arc::new(Field::new("item", record.data_type().clone(), true));
    let records = Arc::new(record.clone());
    let list = ListArray::new(item, OffsetBuffer::new(vec![0, 2, 2].into()), records, None);
    let mut kinds = StringDictionaryBuilder::<Int32Type>::new();
    kinds.append_value("basic");
    kinds.append_value("plus");
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int32, false),
        Field::new("who", record.data_type().clone(), false),
        Field::new("others", list.data_type().clone(), false),
        Field::new("kind", DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)), false),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![7, 8])),
        Arc::new(record),
        Arc::new(list),
        Arc::new(kinds.finish()),
    ];
    RecordBatch::try_new(Arc::new(schema), columns).expect("rows")
}

fn masks(names: &[&str]) -> Vec<Mask> {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Sensitive::new(names).of_batch(&rows().schema())
}

fn lines(rows: &RecordBatch) -> Vec<String> {
    let mut text = String::new();
    (0..rows.num_rows()).for_each(|row| crate::database::json::write_row(&mut text, rows, row));
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_masked_value_is_one_text_whatever_it_was() {
    let shown = masked(&rows(), &masks(&["id", "kind", "who"])).expect("masked");
    let same = r#"{"id":"***","who":"***","others":[{"name":"Ana","city":"Faro"},{"name":null,"city":"Rio"}],"kind":"***"}"#;
    assert_eq!(lines(&shown)[0], same);
    assert!(lines(&shown)[1].starts_with(r#"{"id":"***","who":"***","others":[],"#), "{:?}", lines(&shown));
    assert_eq!(masked(&rows(), &masks(&[])).expect("clear"), rows());
    let unknown = masked(&rows(), &[]).expect("a column without a mask is not known to be clear");
    assert!(
        unknown
            .columns()
            .iter()
            .all(|column| column.as_string::<i32>().iter().all(|text| text == Some(SHOWN)))
    );
}

#[test]
fn a_field_of_a_record_is_masked_in_its_record_and_in_lists() {
    let shown = masked(&rows(), &masks(&["who.name", "others.name"])).expect("masked");
    let shown = shown.project(&[0, 1, 2]).expect("there");
    assert_eq!(
        lines(&shown),
        [
            r#"{"id":7,"who":{"name":"***","city":"Faro"},"others":[{"name":"***","city":"Faro"},{"name":"***","city":"Rio"}]}"#,
            r#"{"id":8,"who":{"name":"***","city":"Rio"},"others":[]}"#,
        ]
    );
}

#[test]
fn emptied_rows_have_the_types_that_they_had() {
    let all = masks(&["id", "who", "others.name", "kind"]);
    let empty = emptied(&rows(), &all).expect("emptied");
    assert_eq!(empty.schema(), rows().schema());
    assert_eq!(
        lines(&empty)[0],
        r#"{"id":0,"who":{"name":null,"city":null},"others":[{"name":null,"city":"Faro"},{"name":null,"city":"Rio"}],"kind":""}"#
    );
}

#[test]
fn nested_fields_have_names_and_others_are_not_known() {
    let names = field_names(&rows().schema());
    let all = ["who.name", "who.city", "who", "others.name", "others.city", "others"];
    assert_eq!(names, [&["id"], all.as_slice(), &["kind"]].concat());
}

#[test]
fn masks_join_and_narrow() {
    let parts = masks(&["who.name"]).swap_remove(1);
    assert_eq!(parts.field("name"), Mask::Whole);
    assert_eq!(parts.field("city"), Mask::Clear);
    assert_eq!(parts.computed(), Mask::Whole);
    assert_eq!(Mask::Clear.and(parts.clone()), parts);
    assert_eq!(parts.and(Mask::Whole), Mask::Whole);
    let both = masks(&["who.name", "who.city"]).swap_remove(1);
    assert_eq!((both.field("name"), both.field("city")), (Mask::Whole, Mask::Whole));
}

#[test]
fn reasons_keep_what_is_known_to_be_no_value() {
    let decode = of_decode(&"field `lines[2].sku`: a string of 90 bytes, and 3 are left".into());
    assert_eq!(decode.message, "field `lines[#].sku`: a string of # bytes, and # are left");
    let write = |said: &str| of_write(&said.into()).message;
    let mysql = write("mysql error 1062 (23000): Duplicate entry 'MARKER' for key 'PRIMARY'");
    assert!(mysql.starts_with("mysql error 1062 (23000): a value of this message is refused"), "{mysql}");
    let sqlite = write("sqlite error 275: CHECK constraint failed: MARKER");
    assert!(sqlite.starts_with("sqlite error 275: a value"), "{sqlite}");
    for hostile in [
        "mysql error 1 (MARKER): x",
        "mysql error MARKER",
        "MARKER is out of range",
        "mysql error 1 MARKER",
        "sqlite error 1MARKER",
    ] {
        assert!(!write(hostile).contains("MARKER"), "{}", write(hostile));
    }
    let sql =
        Finding::new("`CAST(name AS INT)`: cannot cast string 'MARKER'").with_hint("`TRY_CAST(x AS type)`");
    let shown = of_sql(&sql).to_string();
    assert!(!shown.contains("MARKER") && shown.ends_with("\nhint: `TRY_CAST(x AS type)`"), "{shown}");
}

/// What is stored is read as one text, and cleared again by who shows it.
#[test]
fn a_reason_without_values_stays_as_it_is() {
    type Clear = fn(&Finding) -> Finding;
    for (clear, said) in [
        (of_decode as Clear, Finding::new("field `a`: 7 bytes").with_hint("look")),
        (of_sql, Finding::new("divide by zero")),
        (of_write, Finding::new("mysql error 1406 (22001): Data too long")),
        (of_write, Finding::new("'MARKER' has 6 characters")),
    ] {
        let once = clear(&said).to_string();
        assert_eq!(clear(&once.as_str().into()).to_string(), once);
    }
}
