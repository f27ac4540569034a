//! How a command failed: the message on stderr, and the exit code.

use std::process::ExitCode;

use arrow::error::ArrowError;

use crate::avro::SchemaError;
use crate::config::ConfigError;
use crate::diagnostic::{Diagnostic, Finding};
use crate::engine::EngineError;
use crate::prompt::Refusal;

/// A failed command.
#[derive(Debug)]
pub(super) struct Failure {
    code: Code,
    told: Told,
}

/// What is still to be told.
#[derive(Debug)]
enum Told {
    /// It was told already.
    Nothing,
    /// Texts that say themselves what they are and where.
    Placed(String),
    Found(Finding),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    /// The work failed, or a server could not be reached.
    Failed = 1,
    /// What was typed cannot be done so.
    BadCommandLine = 2,
    /// Configuration, schema or SQL is wrong: `EX_CONFIG` of sysexits.h.
    BadConfig = 78,
}

impl Failure {
    /// The work failed, or a server could not be reached.
    pub fn failed(found: impl Into<Finding>) -> Self {
        Self { code: Code::Failed, told: Told::Found(found.into()) }
    }

    /// The work failed, and the message starts with the place, or with `error:`.
    pub fn told(text: impl Into<String>) -> Self {
        Self { code: Code::Failed, told: Told::Placed(text.into()) }
    }

    /// Configuration, schema or SQL is wrong. The message names each place itself.
    pub fn bad_config(text: impl Into<String>) -> Self {
        Self { code: Code::BadConfig, told: Told::Placed(text.into()) }
    }

    /// The command line lacks something.
    pub fn bad_command_line(found: impl Into<Finding>) -> Self {
        Self { code: Code::BadCommandLine, told: Told::Found(found.into()) }
    }

    /// The program itself is wrong.
    pub fn panicked(panic: &str) -> Self {
        Self::failed(Finding::new(panic).with_hint(
            "this is a fault of the program, please report it; what a job has committed stays, and started again it goes \
             on from there",
        ))
    }

    /// The work failed, and its results say so already.
    pub fn said() -> Self {
        Self { code: Code::Failed, told: Told::Nothing }
    }

    /// Configuration, schema or SQL is wrong, and that was said already.
    pub fn said_bad_config() -> Self {
        Self { code: Code::BadConfig, told: Told::Nothing }
    }

    /// Says it on stderr.
    pub fn report(self) -> ExitCode {
        match &self.told {
            Told::Nothing => {}
            // Places of faults start their lines, so that editors find them.
            Told::Placed(text) => super::terminal::say(text),
            Told::Found(found) => super::terminal::say(&format!("error: {found}")),
        }
        ExitCode::from(self.code as u8)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.told {
            Told::Nothing => Ok(()),
            Told::Placed(text) => f.write_str(text),
            Told::Found(found) => found.fmt(f),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::bad_config(error.to_string())
    }
}

/// A query that failed.
impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Faults(text) => Self::told(text),
            Refusal::Found(found) => Self::failed(found),
        }
    }
}

impl From<SchemaError> for Failure {
    fn from(error: SchemaError) -> Self {
        Self::bad_config(Diagnostic::from(error).to_string())
    }
}

impl From<ArrowError> for Failure {
    fn from(error: ArrowError) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::failed(error.to_string())
    }
}
