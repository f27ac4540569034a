//! How a command failed: the message on stderr, and the exit code.

use std::process::ExitCode;

use arrow::error::ArrowError;

use crate::avro::SchemaError;
use crate::config::ConfigError;
use crate::diagnostic::Diagnostic;
use crate::engine::EngineError;

/// A failed command.
#[derive(Debug)]
pub(super) struct Failure {
    code: Code,
    message: String,
    /// The message says itself what it is and where.
    is_placed: bool,
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
    pub fn failed(message: impl Into<String>) -> Self {
        Self { code: Code::Failed, message: message.into(), is_placed: false }
    }

    /// The work failed, and the message starts with the place, or with `error:`.
    pub fn told(message: impl Into<String>) -> Self {
        Self { is_placed: true, ..Self::failed(message) }
    }

    /// Configuration, schema or SQL is wrong. The message names each place itself.
    pub fn bad_config(message: impl Into<String>) -> Self {
        Self { code: Code::BadConfig, message: message.into(), is_placed: true }
    }

    /// The command line lacks something.
    pub fn bad_command_line(message: impl Into<String>) -> Self {
        Self { code: Code::BadCommandLine, message: message.into(), is_placed: false }
    }

    /// The program itself is wrong.
    pub fn panicked(panic: &str) -> Self {
        Self::failed(format!(
            "{panic}\nhint: this is a fault of the program, please report it; what a job has committed stays, and started \
             again it goes on from there"
        ))
    }

    /// The work failed, and its results say so already.
    pub fn said() -> Self {
        Self { code: Code::Failed, message: String::new(), is_placed: true }
    }

    /// Configuration, schema or SQL is wrong, and that was said already.
    pub fn said_bad_config() -> Self {
        Self { code: Code::BadConfig, message: String::new(), is_placed: true }
    }

    /// Says it on stderr.
    pub fn report(self) -> ExitCode {
        match self.is_placed {
            _ if self.message.is_empty() => {}
            // Places of faults start their lines, so that editors find them.
            true => super::terminal::say(&self.message),
            false => super::terminal::say(&format!("error: {}", self.message)),
        }
        ExitCode::from(self.code as u8)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::bad_config(error.to_string())
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
