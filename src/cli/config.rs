//! `config`: the configuration in effect, and the JSON Schema of all configurations.

use std::path::Path;

use clap::ValueEnum;

use super::failure::Failure;
use super::results::Results;
use crate::config::{Config, schema};

/// Print the configuration in effect.
///
/// Every key is printed with its value: variables of the environment are replaced, and defaults filled in. Secrets are
/// shown as `***`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::help_end(&[
    "realtime-processor config",
    "realtime-processor config --format json | jq .memory_max",
    "realtime-processor config --schema > config.schema.json",
]))]
pub(super) struct Arguments {
    /// How it is printed.
    #[arg(long, value_enum, default_value = "yaml")]
    format: Format,
    /// Print the JSON Schema instead, for completion in editors. No configuration is read.
    #[arg(long, conflicts_with = "format")]
    schema: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Yaml,
    Json,
}

pub(super) fn run(config: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let (value, format) = match arguments.schema {
        true => (schema(), Format::Json),
        false => (Config::load(config)?.effective(&|name| std::env::var(name).ok()), arguments.format),
    };
    let text = match format {
        Format::Yaml => serde_yaml::to_string(&value).map_err(|error| error.to_string()),
        Format::Json => serde_json::to_string_pretty(&value)
            .map(|text| format!("{text}\n"))
            .map_err(|error| error.to_string()),
    };
    let text = text.map_err(|error| Failure::failed(format!("it cannot be printed: {error}")))?;
    Results::to_stdout().write(&text)?;
    Ok(())
}
