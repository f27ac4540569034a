use arrow::array::{BinaryArray, Float64Array, NullArray};

use super::*;

fn sample() -> RecordBatch {
    let customers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(20_000), None]));
    let names: ArrayRef = Arc::new(StringArray::from(vec![
        Some("José"),
        None,
        Some("日本 a name that takes its room, \"really\""),
    ]));
    let values: ArrayRef = Arc::new(Float64Array::from(vec![1.5, -2.0, f64::NAN]));
    let keys: ArrayRef = Arc::new(BinaryArray::from(vec![Some(&b"1"[..]), Some(b"\xff"), None]));
    RecordBatch::try_from_iter([
        ("customer", customers),
        ("name", names),
        ("value", values),
        ("kafka_key", keys),
    ])
    .unwrap()
}

fn printed(batches: &[RecordBatch], format: Format, look: Look) -> String {
    let mut out = Vec::new();
    let mut printer = Printer::new(batches[0].schema(), format, look);
    batches.iter().for_each(|batch| printer.write(&mut out, batch).unwrap());
    printer.finish(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn plain(width: Option<usize>) -> Look {
    Look { width, ..Look::default() }
}

#[test]
fn a_table_aligns_numbers_and_shows_nulls() {
    insta::assert_snapshot!(printed(&[sample()], Format::Table, plain(None)), @r#"
     customer | name                                      | value | kafka_key
    ----------+-------------------------------------------+-------+-----------
            1 | José                                      |   1.5 | 1
        20000 | NULL                                      |  -2.0 | b"\xff"
         NULL | 日本 a name that takes its room, "really" |   NaN | NULL
    (3 rows)
    "#);
}

#[test]
fn a_wide_table_is_made_to_fit() {
    let table = printed(&[sample()], Format::Table, plain(Some(50)));
    assert!(table.lines().all(|line| line.width() <= 50), "{table}");
    insta::assert_snapshot!(table, @r#"
     customer | name              | value | kafka_key
    ----------+-------------------+-------+-----------
            1 | José              |   1.5 | 1
        20000 | NULL              |  -2.0 | b"\xff"
         NULL | 日本 a name that… |   NaN | NULL
    (3 rows)
    "#);
}

#[test]
fn where_nothing_fits_each_row_is_a_record() {
    insta::assert_snapshot!(printed(&[sample()], Format::Table, plain(Some(30))), @r#"
    -[ row 1 ]--------------------
    customer  | 1
    name      | José
    value     | 1.5
    kafka_key | 1
    -[ row 2 ]--------------------
    customer  | 20000
    name      | NULL
    value     | -2.0
    kafka_key | b"\xff"
    -[ row 3 ]--------------------
    customer  | NULL
    name      | 日本 a name that takes its room, "really"
    value     | NaN
    kafka_key | NULL
    (3 rows)
    "#);
}

#[test]
fn json_lines_and_csv() {
    insta::assert_snapshot!(printed(&[sample()], Format::Json, plain(None)), @r#"
    {"customer":1,"name":"José","value":1.5,"kafka_key":"1"}
    {"customer":20000,"name":null,"value":-2.0,"kafka_key":{"base64":"/w=="}}
    {"customer":null,"name":"日本 a name that takes its room, \"really\"","value":"NaN","kafka_key":null}
    "#);
    insta::assert_snapshot!(printed(&[sample()], Format::Csv, plain(None)), @r#"
    customer,name,value,kafka_key
    1,José,1.5,1
    20000,,-2.0,base64:/w==
    ,"日本 a name that takes its room, ""really""",NaN,
    "#);
}

#[test]
fn null_is_an_empty_field_of_csv_whatever_its_type() {
    let columns: [(&str, ArrayRef); 3] = [
        ("text", Arc::new(StringArray::from(vec!["NULL"]))),
        ("none", Arc::new(NullArray::new(1))),
        ("number", Arc::new(Int64Array::from(vec![None]))),
    ];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    assert_eq!(printed(&[rows], Format::Csv, plain(None)), "text,none,number\nNULL,,\n");
}

#[test]
fn no_rows_have_their_columns() {
    let none = sample().slice(0, 0);
    insta::assert_snapshot!(printed(std::slice::from_ref(&none), Format::Table, plain(None)), @r"
     customer | name | value | kafka_key
    ----------+------+-------+-----------
    (0 rows)
    ");
    assert_eq!(
        printed(std::slice::from_ref(&none), Format::Csv, plain(None)),
        "customer,name,value,kafka_key\n"
    );
    assert_eq!(printed(&[none], Format::Json, plain(None)), "");
}

#[test]
fn rows_are_printed_before_the_last_has_come() {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..MEASURED_ROWS_MAX as i64));
    let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
    let mut out = Vec::new();
    let mut printer = Printer::new(batch.schema(), Format::Table, plain(None));
    printer.write(&mut out, &batch).unwrap();
    assert!(printer.pending.is_empty());
    drop(printer);
    assert_eq!(out.split(|byte| *byte == b'\n').count(), MEASURED_ROWS_MAX + 3);
}

#[test]
fn colours_for_heads_nulls_and_marks() {
    let marks: ArrayRef = Arc::new(StringArray::from(vec!["-", "+"]));
    let values: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(2)]));
    let batch = RecordBatch::try_from_iter([(" ", marks), ("n", values)]).unwrap();
    let look = Look { colours: true, ..Look::default() };
    let mut out = Vec::new();
    let changes = Changes { marks: true, cells: vec![vec![], vec![1]] };
    let mut printer = Printer::new(batch.schema(), Format::Table, look).marking(changes.clone());
    printer.write(&mut out, &batch).unwrap();
    printer.finish(&mut out).unwrap();
    let table = String::from_utf8(out).unwrap();
    assert!(table.contains("\u{1b}[1m*2\u{1b}[0;32m"), "{table:?}");
    let mut records = Vec::new();
    let look = Look { records: Records::Always, ..Look::default() };
    let mut printer = Printer::new(batch.schema(), Format::Table, look).marking(changes);
    printer.write(&mut records, &batch).unwrap();
    printer.finish(&mut records).unwrap();
    assert!(String::from_utf8(records).unwrap().ends_with("n | *2\n(2 rows)\n"));
    assert!(table.contains("\u{1b}[1mn\u{1b}[0m"), "{table:?}");
    assert!(table.contains("\u{1b}[2mNULL\u{1b}[0m") && table.contains("\u{1b}[32m +"), "{table:?}");
}

#[test]
fn records_are_asked_for_or_refused() {
    let of = |records, width| printed(&[sample()], Format::Table, Look { width, records, ..Look::default() });
    assert!(of(Records::Always, None).starts_with("-[ row 1 ]\ncustomer  | 1\n"));
    assert!(of(Records::Never, Some(30)).starts_with(" customer | name"));
}

#[test]
fn a_table_of_the_program_itself_has_no_count_and_nothing_that_a_terminal_obeys() {
    let columns = || [("n", numbers([Some(7), None])), ("text", texts([Some("a\u{1b}[2Jb"), None]))];
    insta::assert_snapshot!(table(columns(), plain(None)).unwrap(), @r"
        n | text
    ------+-------------
        7 | a\u{1b}[2Jb
     NULL | NULL
    ");
    assert!(table([("a", numbers([])), ("b", numbers([None]))], plain(None)).is_err());
}
