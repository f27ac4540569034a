//! `init`: a new project that runs: a configuration, a schema, a first view and its test. The schema is an example, a file's,
//! a registry's, or what the messages of a topic name.

mod project;
mod settings;
mod topic;
mod values;
mod view;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::results::Results;
use super::schema;
use crate::avro::{Schema, SchemaId};
use crate::batch::Messages;
use crate::config::Config;
use crate::decode::{Decoder, WriterSchema};
use crate::diagnostic::{Finding, shown};
use crate::registry::{Client, Found};
use project::Project;
use settings::{CONFIG, Framing, Settings};
use topic::Form;

/// Begin a project: a configuration, a schema, a first view and its test.
///
/// The first view returns every field of the messages, and an output writes its rows to a table. Its test passes. Existing
/// files are not overwritten. If anything is wrong, nothing is written.
///
/// With `--from-topic`, the first messages of the topic decide how messages are framed, and in Confluent's framing also which
/// schema they have. Raw Avro names no schema, so add `--subject` or `--schema`. Without any of these options, the project is an
/// example whose schema you replace.
#[derive(Debug, clap::Args)]
#[command(after_long_help = format!("{SECRETS}\n\n{}", super::help_end(&[
    "realtime-processor init --dir orders",
    "realtime-processor init --from-topic orders --registry http://127.0.0.1:8081 --dir orders",
    "realtime-processor init --subject orders-value --registry https://registry.bank --registry-user realtime",
    "realtime-processor init --from-topic orders --schema order.avsc --kafka-server kafka.bank:9092",
])))]
pub(super) struct Arguments {
    /// Look at the first messages of this topic. It becomes the topic of the job.
    #[arg(long, value_name = "T")]
    from_topic: Option<String>,
    /// Take the latest schema of this subject of the registry, with all that it refers to.
    #[arg(long, value_name = "S", requires = "registry", conflicts_with = "schema")]
    subject: Option<String>,
    /// Take the schema of this file.
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// The folder of the project. It is created if it does not exist.
    #[arg(long, value_name = "D", default_value = ".")]
    dir: PathBuf,
    /// The broker's address.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    kafka_server: String,
    /// The schema registry's address.
    #[arg(long, value_name = "URL")]
    registry: Option<String>,
    /// The user name for the registry. The password is taken from the environment variable REGISTRY_PASSWORD.
    #[arg(long, value_name = "USER", requires = "registry", conflicts_with = "registry_token")]
    registry_user: Option<String>,
    /// Log in to the registry with the bearer token in the environment variable REGISTRY_TOKEN.
    #[arg(long, requires = "registry")]
    registry_token: bool,
    /// The address of the database. A password in it is not written to the project: set DATABASE_PASSWORD.
    #[arg(long, value_name = "ADDRESS", default_value = "${DATABASE_URL:-sqlite://data/realtime.db}")]
    database: String,
}

const SECRETS: &str = "\
Secrets are not written into the project. Where its configuration needs one, it names an environment variable:
REGISTRY_PASSWORD, REGISTRY_TOKEN or DATABASE_PASSWORD.";

/// The schema of a project that begins without one.
const EXAMPLE: &str = r#"{
  "type": "record",
  "name": "order",
  "doc": "An example. Put the schema here that your messages are written with, and change the view and its test with it.",
  "fields": [
    { "name": "id", "type": "string" },
    { "name": "customer", "type": "int" },
    { "name": "amount", "type": { "type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2 } },
    { "name": "placed_at", "type": { "type": "long", "logicalType": "timestamp-millis" } },
    { "name": "note", "type": ["null", "string"], "default": null }
  ]
}
"#;
/// The topic of the example.
const EXAMPLE_TOPIC: &str = "orders";
/// Ids of schemas that the registry is asked for, of those that the first messages name.
const IDS_ASKED_MAX: usize = 10;

/// A schema, and where it comes from.
struct Origin {
    text: String,
    told: String,
}

/// What was found about a topic.
#[derive(Default)]
struct Topic {
    /// Its first ones, if it has any.
    messages: Option<Messages>,
    /// The schemas that its messages name, as far as the registry knows them.
    named: Vec<(SchemaId, String)>,
}

pub(super) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut settings = Settings::of(arguments, &topic_name(arguments))?;
    let config = settings.config(&arguments.dir)?;
    let client = config.registry.as_ref().map(Client::new);
    let given = given_schema(arguments, client.as_ref()).await?;
    let (topic, origin) = match &arguments.from_topic {
        Some(name) => look(name, &config, client.as_ref(), given, &mut settings).await?,
        None => (Topic::default(), given.unwrap_or_else(Origin::example)),
    };
    let schema = Schema::parse(&origin.text, &origin.told)?;
    schema.check_finite()?;
    let record = schema.root_record()?;
    if arguments.from_topic.is_none() && arguments.subject.is_none() && arguments.schema.is_some() {
        // Nothing else says what the topic is called.
        settings.name_topic(record.name.short());
    }
    settings.name_schema(&record.name);
    let project = Project { dir: &arguments.dir, settings: &settings, schema: &origin.text };
    let (written, config, mut decoder) = project.write().await?;
    let sampled = sampled(&config, &mut decoder, &topic)?;
    written.keep();
    Results::to_stdout().write(&told(arguments, &settings, &origin, &sampled)).map(drop)
}

impl Origin {
    fn example() -> Self {
        Self { text: EXAMPLE.to_owned(), told: "an example: replace it with your own".to_owned() }
    }
}

/// The topic of the job, as far as the command line says it.
fn topic_name(arguments: &Arguments) -> String {
    let subject = arguments.subject.as_deref();
    let of_subject = subject.map(|subject| subject.strip_suffix("-value").unwrap_or(subject));
    arguments.from_topic.as_deref().or(of_subject).unwrap_or(EXAMPLE_TOPIC).to_owned()
}

/// The schema that the command line names.
async fn given_schema(arguments: &Arguments, client: Option<&Client>) -> Result<Option<Origin>, Failure> {
    if let Some(file) = &arguments.schema {
        let shown = file.display();
        let text = std::fs::read_to_string(file);
        let text = text.map_err(|error| Failure::failed(format!("{shown} cannot be read: {error}")))?;
        return Ok(Some(Origin { text, told: format!("that of {shown}") }));
    }
    let (Some(subject), Some(client)) = (&arguments.subject, client) else { return Ok(None) };
    let found = schema::registered(client, subject, None).await?;
    let told = format!("version {} of `{subject}`, id {}", found.version, found.id);
    let text = schema::file_text(&found.schema).map_err(|error| Failure::failed(error.within(&told)))?;
    Ok(Some(Origin { text, told }))
}

/// Looks at the first messages of a topic: they decide about the framing, and about the schema if none is given.
async fn look(
    name: &str,
    config: &Config,
    client: Option<&Client>,
    given: Option<Origin>,
    settings: &mut Settings,
) -> Result<(Topic, Origin), Failure> {
    let messages = tokio::task::spawn_blocking({
        let (config, name) = (config.clone(), name.to_owned());
        move || topic::first_messages(&config, &name)
    });
    let messages = messages.await.map_err(|error| Failure::failed(error.to_string()))?;
    let messages = messages.map_err(|error| Failure::failed(error.found().clone()))?;
    let form = topic::form(name, &messages).map_err(Failure::failed)?;
    let mut named = Vec::new();
    if let (Form::Confluent(ids), Some(client)) = (&form, client) {
        named = known_schemas(client, ids.iter().rev().take(IDS_ASKED_MAX)).await?;
    }
    let seen = (form != Form::Nothing).then_some(messages);
    if let Some(newest) = named.first() {
        settings.framing = Framing::Confluent;
        let origin = given.map_or_else(|| Origin::named(newest), Ok)?;
        return Ok((Topic { messages: seen, named }, origin));
    }
    let Some(given) = given else {
        return Err(Failure::failed(form.without_schema(name, client.is_some())));
    };
    settings.framing = match &form {
        Form::Nothing => settings.framing,
        Form::SingleObject(fingerprints) => {
            let found = Schema::parse(&given.text, &given.told)?.fingerprint();
            if !fingerprints.contains(&found) {
                let refusal = topic::other_fingerprint(name, fingerprints, found);
                return Err(Failure::failed(refusal));
            }
            Framing::SingleObject
        }
        Form::Confluent(_) | Form::Unframed => Framing::Raw,
    };
    Ok((Topic { messages: seen, named }, given))
}

impl Origin {
    /// The schema of an id.
    fn named((id, text): &(SchemaId, String)) -> Result<Self, Failure> {
        let told = format!("id {id} of the registry");
        let text = schema::file_text(text).map_err(|error| Failure::failed(error.within(&told)))?;
        Ok(Self { text, told })
    }
}

/// The schemas of these ids that the registry knows.
async fn known_schemas(
    client: &Client,
    ids: impl Iterator<Item = &SchemaId>,
) -> Result<Vec<(SchemaId, String)>, Failure> {
    let mut known = Vec::new();
    for id in ids {
        if let Found::Known(text) = client.schema(*id).await? {
            known.push((*id, text));
        }
    }
    Ok(known)
}

/// Decodes the first messages of the topic, and says what they have in common.
///
/// # Errors
/// None of them can be decoded.
fn sampled(config: &Config, decoder: &mut Decoder, topic: &Topic) -> Result<Vec<String>, Failure> {
    let Some(messages) = &topic.messages else { return Ok(Vec::new()) };
    for (id, text) in &topic.named {
        decoder.learn(*id, &WriterSchema::Text(text.as_str().into()));
    }
    let name = config.kafka.topics.first().map_or("", String::as_str);
    let decoded = decoder.decode(messages).map_err(|error| Failure::failed(error.to_string()))?;
    let (rows, all) = (decoded.batch.num_rows(), messages.len());
    let reason = decoded.dead_letters.first().map(|letter| letter.reason.clone());
    let mut said = Vec::new();
    match reason {
        Some(reason) if rows == 0 => {
            let found =
                format!("none of the first {all} messages of `{name}` is of this schema: {}", reason.message);
            return Err(Failure::failed(Finding::new(found).with_hint(topic::NAME_A_SCHEMA)));
        }
        Some(reason) => said.push(format!(
            "Of the first {all} messages, {rows} can be decoded. The others would become dead letters: {}",
            reason.message
        )),
        None => said.push(format!("The first {all} messages can be decoded.")),
    }
    said.extend(
        topic::keys(messages)
            .map(|keys| format!("The keys are {keys}. In SQL, the column `kafka_key` has them as bytes.")),
    );
    Ok(said)
}

/// What was written, and what to do next.
fn told(arguments: &Arguments, settings: &Settings, origin: &Origin, sampled: &[String]) -> String {
    let Settings { server, topic, database, .. } = settings;
    let dir: &Path = &arguments.dir;
    let path = |file: &str| shown(&dir.join(file));
    let files = [
        (path(CONFIG), format!("reads the topic `{topic}`")),
        (path(&settings.schema_file()), origin.told.clone()),
        (path(&settings.view_file()), "the first view: a row for each message".to_owned()),
        (path(&settings.test_file()), "its test, which passes".to_owned()),
    ];
    let width = files.iter().map(|(file, _)| file.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    text.extend(files.iter().map(|(file, what)| format!("{file:<width$}  {what}\n")));
    text.extend(sampled.iter().map(|line| format!("\n{line}\n")));
    text += "\nNext:\n";
    if dir != Path::new(".") {
        text += &format!("  cd {}\n", dir.display());
    }
    text.extend(settings.variables().iter().map(|name| format!("  export {name}=...\n")));
    text += "  realtime-processor test     # again after each change of the SQL\n";
    text += &format!("  realtime-processor check    # also asks {server}\n");
    text + &format!("  realtime-processor run      # writes the table {} of {database}\n", settings.view)
}
