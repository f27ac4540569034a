//! What the demo says at the end: what came out, as tables a newcomer understands, where it is, and what to try next.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

use super::project::{self, DATABASE, DATABASE_BEFORE, TOPIC_PREFIX};
use super::{Arguments, SAMPLE};
use crate::cli::failure::Failure;
use crate::config::Config;
use crate::database::{Address, Origin, Reader, json};
use crate::diagnostic::Finding;
use crate::print::{Format, Printer, Screen};

/// More than any of the tables below holds.
const SHOWN_BYTES_MAX: usize = 1 << 20;

/// Tables of this run: its database has no other rows.
const TABLES: [(&str, &str); 3] = [
    (
        "The last movements and what they were classified as (table `classified_movements`)",
        "SELECT customer, name, CASE operation_type WHEN 1 THEN 'withdraw' ELSE 'deposit' END AS operation, \
         operation_value AS value, account_balance AS balance, reaction FROM classified_movements \
         WHERE reaction IS NOT NULL ORDER BY date DESC LIMIT 8",
    ),
    (
        "Messages that could not be processed (table `dead_letters`): kept, with the reason",
        "SELECT stage, place, reason, count(*) AS messages FROM dead_letters \
         GROUP BY stage, place, reason ORDER BY messages DESC LIMIT 5",
    ),
    (
        "How far each partition is (table `realtime_offsets`): committed together with the rows",
        "SELECT kafka_topic, kafka_partition, next_offset FROM realtime_offsets \
         ORDER BY kafka_partition",
    ),
];

/// The reactions of one run.
#[derive(Clone, Debug, Default)]
struct Reactions {
    /// All movements, those without a reaction too.
    movements: i64,
    /// By reaction: movements and customers.
    by_name: BTreeMap<String, (i64, i64)>,
}

impl Reactions {
    /// Which part of the movements has this reaction: `20.4 %`.
    fn share(&self, reaction: &str) -> String {
        let movements = self.by_name.get(reaction).map_or(0, |(movements, _)| *movements);
        let share = 100.0 * movements as f64 / self.movements.max(1) as f64;
        format!("{share:.1} %")
    }

    /// A row for each reaction, most frequent first, beside the share of the run before.
    fn table(&self, before: Option<&Self>) -> Result<RecordBatch, Failure> {
        let mut names: Vec<&String> =
            self.by_name.keys().chain(before.iter().flat_map(|before| before.by_name.keys())).collect();
        names.sort_by_key(|name| (-self.by_name.get(*name).map_or(0, |(movements, _)| *movements), *name));
        names.dedup();
        let count = |of: fn(&(i64, i64)) -> i64| -> ArrayRef {
            let counts = names.iter().map(|name| self.by_name.get(*name).map_or(0, of));
            Arc::new(Int64Array::from_iter_values(counts))
        };
        let share = |name: &&String| match before {
            Some(before) => format!("{} -> {}", before.share(name), self.share(name)),
            None => self.share(name),
        };
        let columns: [(&str, ArrayRef); 4] = [
            ("reaction", Arc::new(StringArray::from_iter_values(names.iter()))),
            ("movements", count(|(movements, _)| *movements)),
            ("customers", count(|(_, customers)| *customers)),
            ("share of movements", Arc::new(StringArray::from_iter_values(names.iter().map(share)))),
        ];
        RecordBatch::try_from_iter(columns).map_err(|error| Failure::failed(error.to_string()))
    }
}

/// Puts the database of the run before aside, so that state and tables of this one begin empty. A run that was ended before
/// it had rows is forgotten.
///
/// # Errors
/// It has rows of another job than a demo.
pub(super) async fn set_aside(dir: &Path) -> Result<(), Failure> {
    let path = dir.join(DATABASE);
    let mut has_rows = false;
    if path.exists() {
        let mut reader = Reader::new(Address::Sqlite { path: path.clone() });
        // Without the table no job was here.
        let topics =
            rows(&mut reader, "SELECT DISTINCT kafka_topic FROM realtime_offsets").await.unwrap_or_default();
        let is_other = |topic: &String| !topic.starts_with(TOPIC_PREFIX);
        if let Some(topic) = texts(&topics).into_iter().flatten().find(is_other) {
            let found =
                Finding::new(format!("{} has rows of a job that read the topic {topic}", path.display()));
            return Err(Failure::failed(found.with_hint("give the demo another folder with --dir")));
        }
        // Outputs may have other names meanwhile.
        has_rows =
            reactions_of(&mut reader).await.map_or(!topics.is_empty(), |reactions| reactions.movements > 0);
    }
    project::set_database_aside(dir, has_rows)
        .map_err(|error| Failure::failed(format!("{} cannot be put aside: {error}", path.display())))
}

/// Prints the tables of the run on stdout.
pub(super) async fn show(config: &Config, dir: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let mut reader = Reader::new(config.database.clone());
    let reactions = reactions_of(&mut reader).await?;
    let (title, before) = match reactions_before(dir).await {
        Some(before) => (
            "How the bank reacts (table `reactions`), and its share in the run before -> in this one",
            Some(before),
        ),
        None => ("How the bank reacts (table `reactions`)", None),
    };
    print(title, &[reactions.table(before.as_ref())?])?;
    for (title, query) in TABLES {
        print(title, &rows(&mut reader, query).await?)?;
    }
    let dir = dir.display();
    // The same messages: else the shares move without a change.
    let again = match arguments.messages {
        Some(messages) => format!("--messages {messages} "),
        None => format!("--for {:?} ", arguments.time),
    };
    println!(
        "\nThe project is in {dir}, and its database in data/realtime.db there.\n\
         Ask questions, without a broker:\n\
         \x20 realtime-processor --config {dir}/config.yaml sql -c '\\load {dir}/{SAMPLE}' \\\n\
         \x20   -c 'SELECT reaction, count(*) AS n FROM reactions GROUP BY reaction'\n\
         Change a rule, and see how the shares move: edit {dir}/sql/assessed_movements.sql, then\n\
         \x20 realtime-processor demo {again}--dir {dir}\n\
         With your own broker: set kafka_server and database in {dir}/config.yaml, then\n\
         \x20 realtime-processor --config {dir}/config.yaml run"
    );
    Ok(())
}

/// Those of the run before, if there was one.
async fn reactions_before(dir: &Path) -> Option<Reactions> {
    let path = dir.join(DATABASE_BEFORE);
    if !path.exists() {
        return None;
    }
    // Why no error: a run that was ended at once may have left no tables.
    reactions_of(&mut Reader::new(Address::Sqlite { path })).await.ok()
}

async fn reactions_of(reader: &mut Reader) -> Result<Reactions, Failure> {
    let movements = texts(&rows(reader, "SELECT count(*) AS n FROM classified_movements").await?);
    let by_name = "SELECT reaction, count(*) AS movements, count(DISTINCT customer) AS customers FROM reactions \
                   GROUP BY reaction";
    let number = |text: &String| text.parse().unwrap_or(0);
    let by_name = texts(&rows(reader, by_name).await?);
    let by_name = by_name.iter().filter_map(|row| match &row[..] {
        [name, movements, customers] => Some((name.clone(), (number(movements), number(customers)))),
        _ => None,
    });
    Ok(Reactions {
        movements: movements.first().and_then(|row| row.first()).map_or(0, number),
        by_name: by_name.collect(),
    })
}

async fn rows(reader: &mut Reader, query: &str) -> Result<Vec<RecordBatch>, Failure> {
    let failed = |error| Failure::failed(format!("the demo's database cannot be read: {error}"));
    let relation = reader.open(Origin::Query(query)).await.map_err(failed)?;
    reader.fetch_all(&relation, SHOWN_BYTES_MAX).await.map_err(failed)
}

/// The values of each row.
fn texts(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let value = |column: &ArrayRef, row: usize| {
        let mut text = String::new();
        // Why: texts and counts, which JSON has.
        let _ = json::write(&mut text, column, row);
        text.trim_matches('"').to_owned()
    };
    let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
    rows.map(|(batch, row)| batch.columns().iter().map(|column| value(column, row)).collect()).collect()
}

fn print(title: &str, rows: &[RecordBatch]) -> Result<(), Failure> {
    println!("\n{title}");
    let Some(first) = rows.first() else {
        println!("(none)");
        return Ok(());
    };
    let failed = |error: io::Error| Failure::failed(format!("the demo's tables cannot be printed: {error}"));
    let mut out = io::stdout().lock();
    let mut printer = Printer::new(first.schema(), Format::Table, Screen::of_stdout(false).look());
    rows.iter().try_for_each(|batch| printer.write(&mut out, batch)).map_err(failed)?;
    printer.finish(&mut out).map(drop).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reactions(movements: i64, of: &[(&str, i64)]) -> Reactions {
        let by_name = of.iter().map(|(name, count)| ((*name).to_owned(), (*count, 1))).collect();
        Reactions { movements, by_name }
    }

    #[test]
    fn shares_are_beside_those_of_the_run_before() {
        let before = reactions(1000, &[("loan", 204), ("gone", 10)]);
        let now = reactions(2000, &[("loan", 358), ("debt", 500)]);
        let shown = texts(&[now.table(Some(&before)).unwrap()]);
        assert_eq!(shown[0], ["debt", "500", "1", "0.0 % -> 25.0 %"]);
        assert_eq!(shown[1], ["loan", "358", "1", "20.4 % -> 17.9 %"]);
        assert_eq!(shown[2], ["gone", "0", "0", "1.0 % -> 0.0 %"]);
        assert_eq!(texts(&[now.table(None).unwrap()])[1][3], "17.9 %");
    }
}
