//! `schema`: the registry's schemas, and the project's beside them.

use std::path::{Path, PathBuf};

use arrow::error::ArrowError;

use super::failure::Failure;
use super::results::{Format, Results};
use crate::avro::json::read_schema;
use crate::check::{compare_with_registry, is_same_schema, subject_of};
use crate::config::Config;
use crate::decode::Decoder;
use crate::diagnostic::{Finding, render};
use crate::print::{self, Screen, numbers, texts};
use crate::registry::{Client, Found, Registered, RegistryError};

/// Show the registry's schemas, and compare them with the project's.
///
/// The configuration must have `schema_registry`. These commands register nothing; `produce --register` does.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::help_end(&[
    "realtime-processor schema list",
    "realtime-processor schema pull movements-value --out schemas/movement.avsc",
    "realtime-processor schema check",
]))]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the subjects, each with its latest version.
    ///
    /// For subjects of the configured topics, the list shows whether the latest version is the same as `avro_schema`.
    List {
        /// A table, or one JSON object per line.
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
    /// Print a schema, with everything that it refers to, as one file.
    Pull {
        /// The name of the subject; for the values of a topic, usually the topic's name followed by `-value`.
        #[arg(value_name = "SUBJECT")]
        subject: String,
        /// Its version, if not the latest.
        #[arg(long, value_name = "N")]
        version: Option<u32>,
        /// The file to write, if not stdout.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Compare `avro_schema` with the latest version of each topic's subject, as `check` does.
    ///
    /// The exit code is 78 if there is an error, and 1 if the registry does not answer.
    Check,
}

pub(super) async fn run(config: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(config)?;
    let client = client(&config)?;
    match &arguments.action {
        Action::List { format } => list(&config, &client, *format).await,
        Action::Pull { subject, version, out } => pull(&client, subject, *version, out.as_deref()).await,
        Action::Check => check(&config).await,
    }
}

/// # Errors
/// No registry is configured.
pub(super) fn client(config: &Config) -> Result<Client, Failure> {
    let registry = config.registry.as_ref().ok_or_else(|| {
        Failure::bad_command_line(
            Finding::new("the configuration has no schema_registry")
                .with_hint("schema_registry: { url: http://127.0.0.1:8081 }, with `avro_framing: confluent`"),
        )
    })?;
    Ok(Client::new(registry))
}

async fn list(config: &Config, client: &Client, format: Format) -> Result<(), Failure> {
    let mut subjects = client.subjects().await?;
    subjects.sort();
    let mut listed = Vec::new();
    for subject in subjects {
        let latest = match client.version(&subject, None).await {
            Ok(Found::Known(latest)) => Some(latest),
            // It was deleted, or is no schema of Avro.
            Ok(Found::Unknown(_)) | Err(RegistryError::Unusable(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let is_topics = config.kafka.topics.iter().any(|topic| subject_of(topic) == subject);
        let same = latest
            .as_ref()
            .filter(|_| is_topics)
            .map(|latest| is_same_schema(&latest.schema, &config.avro.schema));
        listed.push(Listed {
            subject,
            version: latest.as_ref().map(|latest| latest.version),
            id: latest.as_ref().map(|latest| latest.id),
            is_avro_schema: same,
        });
    }
    let text = match format {
        Format::Json => listed.iter().map(Listed::json_line).collect(),
        Format::Table => Listed::table(&listed)?,
    };
    Results::to_stdout().write(&text).map(drop)
}

/// A subject of the registry.
struct Listed {
    subject: String,
    /// Of the latest schema; `None` if it was deleted, or is no schema of Avro.
    version: Option<u32>,
    id: Option<u32>,
    /// Whether it is `avro_schema`; `None` if it is not the schema of a topic of the configuration.
    is_avro_schema: Option<bool>,
}

impl Listed {
    fn json_line(&self) -> String {
        let Self { subject, version, id, is_avro_schema } = self;
        let line = serde_json::json!({
            "subject": subject, "version": version, "id": id, "is_avro_schema": is_avro_schema,
        });
        format!("{line}\n")
    }

    fn table(listed: &[Self]) -> Result<String, ArrowError> {
        let same = |same: bool| if same { "same" } else { "another" };
        let columns = [
            ("subject", texts(listed.iter().map(|subject| Some(subject.subject.as_str())))),
            ("version", numbers(listed.iter().map(|subject| subject.version.map(i64::from)))),
            ("id", numbers(listed.iter().map(|subject| subject.id.map(i64::from)))),
            ("avro_schema", texts(listed.iter().map(|subject| subject.is_avro_schema.map(same)))),
        ];
        print::table(columns, Screen::of_stdout(false).look())
    }
}

/// A version of a subject; the latest if none is asked for.
///
/// # Errors
/// The registry's, and if it has no such version.
pub(super) async fn registered(
    client: &Client,
    subject: &str,
    version: Option<u32>,
) -> Result<Registered, Failure> {
    match client.version(subject, version).await? {
        Found::Known(found) => Ok(found),
        Found::Unknown(reason) => {
            let version = version.map(|version| format!(", version {version}")).unwrap_or_default();
            let found = Finding::new(format!("the registry has no subject `{subject}`{version}: {reason}"));
            Err(Failure::failed(found.with_hint("`realtime-processor schema list` shows all")))
        }
    }
}

/// A schema of the registry as a file has it.
///
/// # Errors
/// It is not JSON.
pub(super) fn file_text(schema: &str) -> Result<String, Finding> {
    let json = read_schema(schema).map_err(|error| Finding::new(format!("not JSON: {error}")))?;
    Ok(format!("{json:#}\n"))
}

async fn pull(
    client: &Client,
    subject: &str,
    version: Option<u32>,
    out: Option<&Path>,
) -> Result<(), Failure> {
    let found = registered(client, subject, version).await?;
    let text = file_text(&found.schema).map_err(|error| {
        Failure::failed(error.within(format!("version {} of `{subject}`", found.version)))
    })?;
    match out {
        Some(file) => {
            Results::to_file(file)?.write(&text)?;
            tracing::info!(
                "version {} of `{subject}` (id {}) is in {}",
                found.version,
                found.id,
                file.display()
            );
        }
        None => {
            Results::to_stdout().write(&text)?;
        }
    }
    Ok(())
}

async fn check(config: &Config) -> Result<(), Failure> {
    let decoder = Decoder::new(&config.avro)?;
    let found = compare_with_registry(config, &decoder).await;
    if found.is_empty() {
        tracing::info!("avro_schema and the registry agree");
        return Ok(());
    }
    super::terminal::say(&render(&found));
    match crate::check::Verdict::of(&found) {
        crate::check::Verdict::Good => Ok(()),
        crate::check::Verdict::Unreachable => Err(Failure::said()),
        crate::check::Verdict::Wrong => Err(Failure::said_bad_config()),
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        Self::failed(error.to_string())
    }
}
