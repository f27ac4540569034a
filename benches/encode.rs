//! Rows of views on their way to MySQL: checked against the columns of their table, as the parameters of INSERT, and as
//! the text of LOAD DATA. This is what a writer does before the database has anything to do. Bytes are those of the rows in
//! Arrow, for LOAD DATA those of the text.

mod support;

use std::hint::black_box;
use std::ops::Range;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use realtime_processor::database::{ColumnType, Dialect, Fit, LoadText, Value};

use support::{Shipped, arrow_bytes, rows_and_bytes};

const MESSAGES: usize = 16_384;
/// Rows of one statement, and of one part of the text.
const PART_ROWS: usize = 1_000;

/// A column of a view, and how its values are written.
struct Column {
    fit: Fit,
    array: ArrayRef,
}

/// The columns as they are written to a table that the program creates.
fn columns(batch: &RecordBatch) -> Vec<Column> {
    let fields = batch.schema_ref().fields().iter();
    let column = |(field, array): (&arrow::datatypes::FieldRef, &ArrayRef)| {
        let place = ColumnType::for_arrow(field.data_type(), Dialect::MySql, None).expect("a column");
        let fit = Fit::new(field.data_type(), &place, true, Dialect::MySql).expect("a way into it");
        Column { array: fit.prepare(array).expect("its type"), fit }
    };
    fields.zip(batch.columns()).map(column).collect()
}

/// Gives `put` each value of some rows, with the place of its row among these and of its column.
fn each<'a>(columns: &'a [Column], rows: &Range<usize>, put: &mut dyn FnMut(usize, usize, Value<'a>)) {
    for (index, Column { fit, array }) in columns.iter().enumerate() {
        let mut put = |row: usize, value: Value<'a>| put(row - rows.start, index, value);
        fit.each(array, rows.clone(), &mut put).expect("values that fit");
    }
}

fn parts(rows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows).step_by(PART_ROWS).map(move |start| start..rows.min(start + PART_ROWS))
}

/// The bytes of each row in a statement.
fn sizes(batch: &RecordBatch) -> Vec<usize> {
    let mut sizes = vec![0; batch.num_rows()];
    each(&columns(batch), &(0..batch.num_rows()), &mut |row, _, value| sizes[row] += value.size());
    sizes
}

/// The values of a statement, row by row.
fn parameters<'a>(columns: &'a [Column], rows: &Range<usize>) -> Vec<Value<'a>> {
    let width = columns.len();
    let mut parameters = vec![Value::Null; rows.len() * width];
    each(columns, rows, &mut |row, column, value| parameters[row * width + column] = value);
    parameters
}

/// What LOAD DATA sends; gives its length.
fn load_text(columns: &[Column], rows: usize) -> usize {
    let mut text = LoadText::new(columns.iter().map(|column| column.fit.is_binary()));
    let mut part = |part: Range<usize>| {
        each(columns, &part, &mut |_, column, value| text.put(column, &value));
        black_box(text.take_lines()).len()
    };
    parts(rows).map(&mut part).sum()
}

fn of_view(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, batches: &[RecordBatch]) {
    let batch = concat_batches(batches[0].schema_ref(), batches).expect("batches of one view");
    let rows = batch.num_rows();
    group.throughput(rows_and_bytes(rows, arrow_bytes(batches)));
    group.bench_function(BenchmarkId::new("checked", name), |bencher| bencher.iter(|| sizes(&batch)));

    let columns = columns(&batch);
    group.bench_function(BenchmarkId::new("parameters", name), |bencher| {
        bencher.iter(|| parts(rows).for_each(|part| drop(black_box(parameters(&columns, &part)))));
    });
    group.throughput(rows_and_bytes(rows, load_text(&columns, rows)));
    group.bench_function(BenchmarkId::new("load_data", name), |bencher| {
        bencher.iter(|| load_text(&columns, rows));
    });
}

fn encode(criterion: &mut Criterion) {
    let runtime = support::runtime();
    let mut shipped = runtime.block_on(Shipped::over(MESSAGES));
    let results = runtime.block_on(shipped.compute());
    let mut group = criterion.benchmark_group("encode");
    group.sample_size(20);
    for ((name, _), rows) in shipped.pipeline.outputs().iter().zip(&results.outputs) {
        of_view(&mut group, name, rows);
    }
    // Few rows, and the only ones with decimals.
    of_view(&mut group, "next_account_state", &results.states[0]);
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
