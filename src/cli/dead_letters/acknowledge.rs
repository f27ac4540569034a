//! `dead-letters acknowledge`: a job that stopped because of too many dead letters may go on.

use super::{counted, database_failed};
use crate::cli::failure::Failure;
use crate::cli::results::Results;
use crate::config::Config;
use crate::sink::StoredOffsets;

/// Forget how many of the last messages became dead letters.
///
/// A job stops if too many of its last messages became dead letters (`dead_letters_max_ratio`), and stops again at the next one
/// when it is restarted. When you have corrected the cause, this command resets the count. The dead letters themselves stay; use
/// `replay` to process them. The count of an instance that is running does not change.
#[derive(Debug, clap::Args)]
#[command(after_long_help = crate::cli::help_end(&[
    "realtime-processor dead-letters acknowledge && realtime-processor run",
    "realtime-processor run --acknowledge",
]))]
pub(super) struct Arguments {}

pub(super) async fn run(config: &Config) -> Result<(), Failure> {
    let said = forget(config).await?;
    Results::to_stdout().write(&format!("{said}\n")).map(drop)
}

/// Starts the count again, and says what was counted.
pub(in crate::cli) async fn forget(config: &Config) -> Result<String, Failure> {
    let forgotten = match StoredOffsets::open(&config.database, &config.job).await.map_err(database_failed)? {
        Some(mut offsets) => offsets.forget_dead_letters().await.map_err(database_failed)?,
        None => 0,
    };
    Ok(match u64::try_from(forgotten).unwrap_or_default() {
        0 => "no dead letter is counted".to_owned(),
        count => format!("{} no longer counted", counted(count, "dead letter")),
    })
}
