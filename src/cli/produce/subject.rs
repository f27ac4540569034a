//! The ids that `produce` writes messages under: those that the registry has for the project's schemas.

use std::path::Path;

use super::super::failure::Failure;
use crate::avro::{Frame, Schema};
use crate::check::is_same_schema;
use crate::diagnostic::Finding;
use crate::registry::{Client, Found};

/// A schema of the project, under its id in the subject. `what` is written with it.
///
/// # Errors
/// The subject does not have this schema, and `registers` is false; or the registry's.
pub(super) async fn registered(
    client: &Client,
    subject: &str,
    file: &Path,
    registers: bool,
    what: &str,
) -> Result<(Schema, Frame), Failure> {
    let schema = Schema::read(file)?;
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::failed(format!("{}: {error}", file.display())))?;
    let id = match client.find(subject, &text).await? {
        Found::Known(found) => found.id,
        Found::Unknown(reason) => match client.version(subject, None).await? {
            // Registries compare texts, and ours may only be written otherwise.
            Found::Known(latest) if is_same_schema(&latest.schema, file) => latest.id,
            _ if registers => client.register(subject, &text).await?,
            _ => {
                let found = Finding::new(format!(
                    "{}: the subject `{subject}` has no version with this schema: {reason}",
                    file.display()
                ));
                let hint = "--register makes it the next version, --subject names another subject";
                return Err(Failure::failed(found.with_hint(hint)));
            }
        },
    };
    tracing::info!("{what} are written with schema {id} of `{subject}`");
    Ok((schema, Frame::Confluent(id)))
}
