//! `offsets`: where the job goes on, shown and changed.

mod reset;
mod show;

use std::path::Path;

use super::failure::Failure;
use crate::config::Config;
use crate::sink::{StoredOffset, StoredOffsets};

/// Show the stored offsets, or change them.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::help_end(&[
    "realtime-processor offsets show",
    "realtime-processor offsets reset --to 2026-03-01T06:00:00Z",
    "realtime-processor offsets reset --to earliest --state clear",
    "realtime-processor offsets reset --to 1200 --partition 3 --state keep --yes",
]))]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Show(show::Arguments),
    Reset(reset::Arguments),
}

pub(super) async fn run(config: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(config)?;
    match &arguments.action {
        Action::Show(arguments) => show::run(&config, arguments).await,
        Action::Reset(arguments) => reset::run(&config, arguments).await,
    }
}

async fn stored(config: &Config) -> Result<Vec<StoredOffset>, Failure> {
    let opened = StoredOffsets::open(&config.database, &config.job).await.map_err(database_failed)?;
    let stored = match opened {
        Some(mut offsets) => offsets.all().await.map_err(database_failed)?,
        None => Vec::new(),
    };
    if stored.is_empty() {
        tracing::warn!("nothing is stored for the job `{}`: it has not run with this database", config.job);
    }
    Ok(stored)
}

fn database_failed(error: crate::sink::SinkError) -> Failure {
    Failure::failed(format!("the database: {error}"))
}
