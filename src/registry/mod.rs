//! A schema registry that speaks Confluent's REST API, as Apicurio and Karapace do too: schemas by the ids that
//! messages name, and the versions of a subject.
//!
//! A [`Client`] asks, and says which of three things has happened: the registry knows, it does not know, or the answer
//! must be waited for ([`RegistryError::fault`]). Answers are read leniently: registries leave fields out and add others.
//! Schemas come with everything that they refer to, as one text. Who asks when, and what is kept, is the engine's matter.
//!
//! Invariant: no error repeats a secret, an address with credentials, or the text of an answer that may hold either.

mod answer;
mod client;
mod failure;
mod login;
mod references;

pub use answer::{Compatibility, Found, Registered};
pub use client::Client;

use crate::batch::Fault;
use crate::diagnostic::Finding;

/// What went wrong with a registry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// It does not answer, or with something that is no answer: waiting may help.
    #[error("the schema registry {0}")]
    Unavailable(Finding),
    /// The server does not know the request, so it is no registry, or an older one.
    #[error("the schema registry {0}")]
    NoSuchRequest(Finding),
    /// It refuses the credentials, or a file with them cannot be read.
    #[error("the schema registry {0}")]
    Refused(Finding),
    /// It understands the request and does not do what it asks.
    #[error("the schema registry {0}")]
    Rejected(Finding),
    /// It has a schema that cannot be used.
    #[error("{0}")]
    Unusable(Finding),
}

impl RegistryError {
    pub fn fault(&self) -> Fault {
        match self {
            Self::Unavailable(_) | Self::NoSuchRequest(_) => Fault::Infrastructure,
            Self::Unusable(_) => Fault::Data,
            Self::Refused(_) | Self::Rejected(_) => Fault::Other,
        }
    }

    /// What went wrong, and what to do about it.
    pub fn found(&self) -> Finding {
        match self {
            Self::Unusable(found) => found.clone(),
            Self::Unavailable(found)
            | Self::NoSuchRequest(found)
            | Self::Refused(found)
            | Self::Rejected(found) => {
                found.clone().reworded(|message| format!("the schema registry {message}"))
            }
        }
    }
}
