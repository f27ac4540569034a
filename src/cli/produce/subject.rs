//! The id that `produce` writes messages under: the one that the registry has for the project's schema.

use super::super::failure::Failure;
use crate::avro::{Encoder, Frame, Schema};
use crate::check::{is_same_schema, subject_of};
use crate::config::Config;
use crate::diagnostic::Finding;
use crate::registry::{Client, Found};

/// An encoder for the schema `avro_schema`, under its id in the subject.
///
/// # Errors
/// The subject does not have this schema, and `registers` is false; or the registry's.
pub(super) async fn encoder(
    config: &Config,
    client: &Client,
    topic: &str,
    subject: Option<&str>,
    registers: bool,
) -> Result<Encoder, Failure> {
    let subject = subject.map_or_else(|| subject_of(topic), str::to_owned);
    let schema = Schema::read(&config.avro.schema)?;
    let text = std::fs::read_to_string(&config.avro.schema)
        .map_err(|error| Failure::failed(format!("{}: {error}", config.avro.schema.display())))?;
    let id = match client.find(&subject, &text).await? {
        Found::Known(found) => found.id,
        Found::Unknown(reason) => match client.version(&subject, None).await? {
            // Registries compare texts, and ours may only be written otherwise.
            Found::Known(latest) if is_same_schema(&latest.schema, &config.avro.schema) => latest.id,
            _ if registers => client.register(&subject, &text).await?,
            _ => {
                let found = Finding::new(format!(
                    "{}: the subject `{subject}` has no version with this schema: {reason}",
                    config.avro.schema.display()
                ));
                let hint = "--register makes it the next version, --subject names another subject";
                return Err(Failure::failed(found.with_hint(hint)));
            }
        },
    };
    tracing::info!("messages are written with schema {id} of `{subject}`");
    Ok(Encoder::with_schema(schema, Frame::Confluent(id))?)
}
