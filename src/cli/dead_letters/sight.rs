//! What may be seen of dead letters: without values of sensitive fields, and without bytes that may hold them.

use crate::cli::failure::Failure;
use crate::config::Config;
use crate::decode::Decoder;
use crate::mask::Mask;

/// What may be seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Sight {
    /// Of the columns of the messages. Empty if nothing is sensitive.
    pub masks: Vec<Mask>,
    /// Whether values must not be shown, so that reasons quote none.
    pub hides_values: bool,
    /// Whether keys, headers and payloads are left out.
    pub hides_bytes: bool,
}

impl Sight {
    /// Of whole dead letters, with their bytes if somebody asks for them.
    ///
    /// # Errors
    /// Fields are sensitive that the messages do not have.
    pub fn of(config: &Config, decoder: Option<&Decoder>, shows_bytes: bool) -> Result<Self, Failure> {
        let sight = Self { hides_values: !config.sensitive.is_empty(), ..Self::default() };
        let Some(decoder) = decoder.filter(|_| sight.hides_values) else {
            return Ok(Self { hides_bytes: sight.hides_values && !shows_bytes, ..sight });
        };
        let batch = decoder.schema();
        crate::cli::check_sensitive(config, &batch)?;
        Ok(Self { masks: config.sensitive.of_batch(&batch), hides_bytes: !shows_bytes, ..sight })
    }
}
