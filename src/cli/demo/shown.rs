//! What the demo says at the end: what came out, as tables a newcomer understands, where it stands, and what to
//! try next.

use std::path::Path;

use arrow::util::pretty::pretty_format_batches;

use crate::cli::failure::Failure;
use crate::config::Config;
use crate::database::{Address, Origin, Reader};

/// More than any of the tables below holds.
const SHOWN_BYTES_MAX: usize = 1 << 20;

const TABLES: [(&str, &str); 4] = [
    (
        "How the bank reacts (table `reactions`)",
        "SELECT reaction, count(*) AS movements, count(DISTINCT customer) AS customers FROM reactions \
         GROUP BY reaction ORDER BY movements DESC",
    ),
    (
        "The last movements and what they were classified as (table `classified_movements`)",
        "SELECT customer, name, CASE operation_type WHEN 1 THEN 'withdraw' ELSE 'deposit' END AS operation, \
         operation_value AS value, account_balance AS balance, reaction FROM classified_movements \
         WHERE reaction IS NOT NULL ORDER BY date DESC LIMIT 8",
    ),
    (
        "Messages that could not be processed (table `dead_letters`): kept, with the reason",
        "SELECT stage, place, reason, count(*) AS messages FROM dead_letters GROUP BY stage, place, reason \
         ORDER BY messages DESC LIMIT 5",
    ),
    (
        "How far each partition is (table `realtime_offsets`): committed together with the rows",
        "SELECT job, kafka_topic, kafka_partition, next_offset FROM realtime_offsets ORDER BY job, kafka_partition",
    ),
];

/// Prints the tables of the database on stdout.
pub(super) async fn show(config: &Config, dir: &Path) -> Result<(), Failure> {
    let mut reader = Reader::new(config.database.clone());
    for (title, query) in TABLES {
        // The offsets of this demo only: each has a broker of its own.
        let query = query
            .replace("FROM realtime_offsets", &format!("FROM realtime_offsets WHERE job = '{}'", config.job));
        let failed = |error| Failure::failed(format!("the demo's database cannot be read: {error}"));
        let relation = reader.open(Origin::Query(&query)).await.map_err(failed)?;
        let rows = reader.fetch_all(&relation, SHOWN_BYTES_MAX).await.map_err(failed)?;
        let table = pretty_format_batches(&rows)
            .map_err(|error| Failure::failed(format!("the demo's tables cannot be printed: {error}")))?;
        println!("\n{title}\n{table}");
    }
    let file = match &config.database {
        Address::Sqlite { path } => path.display().to_string(),
        Address::MySql(_) => config.database.redacted(),
    };
    let dir = dir.display();
    println!(
        "\nThe database is {file}\n\
         Look into it:         sqlite3 {file} 'SELECT * FROM classified_movements LIMIT 5'\n\
         Change the rules:     edit {dir}/sql/assessed_movements.sql, then\n\
         \x20                     realtime-processor demo --for 10s --dir {dir}\n\
         With your own broker: set kafka_server and database in {dir}/config.yaml, then\n\
         \x20                     realtime-processor --config {dir}/config.yaml run"
    );
    Ok(())
}
