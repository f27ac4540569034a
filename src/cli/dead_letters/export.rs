//! `dead-letters export`: payloads and reasons as JSON lines.

use std::path::PathBuf;

use super::letter::{Decoded, decode, whole};
use super::sight::Sight;
use super::{Shown, counted, database_failed};
use crate::batch::Limits;
use crate::cli::failure::Failure;
use crate::cli::results::{Results, Written};
use crate::config::Config;
use crate::decode::Decoder;
use crate::engine::Schemas;
use crate::sink::{LetterOrder, StoredLetter};

/// Write dead letters as JSON, one object per line, the oldest first.
///
/// Each has all columns of the table `dead_letters`, with the key and the payload as base64, and `message`: the record
/// decoded with the current schemas. If it cannot be decoded, `message` is null, and `undecodable` says why. If the
/// configuration names `sensitive` fields, their values are `***`. So are the key, the headers and the payload, unless you
/// add `--payload`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = crate::cli::help_end(&[
    "realtime-processor dead-letters export --out dead.jsonl",
    "realtime-processor dead-letters export --stage decode | jq -r .reason | sort | uniq -c",
]))]
pub(super) struct Arguments {
    #[command(flatten)]
    shown: Shown,
    /// The file to write, if not stdout.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also write the key, the headers and the payload if fields are `sensitive`: their bytes contain all values.
    #[arg(long)]
    payload: bool,
}

/// Dead letters that are in memory at once.
const PAGE: Limits = Limits { rows_max: 1_000, bytes_max: 16 << 20 };

pub(super) async fn run(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let mut decoder = Decoder::new(&config.avro).map_err(|error| Failure::bad_config(error.to_string()))?;
    if let Some(schemas) = Schemas::for_reading(config).await {
        schemas.teach_known(&mut decoder);
    }
    let sight = Sight::of(config, Some(&decoder), arguments.payload)?;
    let Some(mut letters) = super::open(config).await? else { return Ok(()) };
    let mut results = match &arguments.out {
        Some(path) => Results::to_file(path)?,
        None => Results::to_stdout(),
    };
    let selection = arguments.shown.selection(&mut letters).await?;
    let (mut written, mut after) = (0_u64, None);
    loop {
        let page =
            letters.page(&selection, LetterOrder::Oldest, after, PAGE).await.map_err(database_failed)?;
        let Some(last) = page.last() else { break };
        after = Some(last.cursor());
        let decoded: Vec<Decoded> =
            decode(&mut decoder, &page.iter().collect::<Vec<&StoredLetter>>(), &sight);
        let lines = page.iter().zip(&decoded).map(|(letter, decoded)| whole(letter, decoded, &sight));
        if results.write(&lines.collect::<String>())? == Written::NobodyReads {
            return Ok(());
        }
        written += page.len() as u64;
    }
    tracing::info!("{} exported", counted(written, "dead letter"));
    Ok(())
}
