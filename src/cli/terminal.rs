//! stderr, shared by the log, the live line and the last word: every writer first clears the live line.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::LazyLock;

use indicatif::MultiProgress;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::print::takes_colours;

static LIVE: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// How findings, log lines and other texts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum TextFormat {
    Text,
    Json,
}

/// Where live lines are drawn. Hidden where stderr is no terminal.
pub(super) fn live() -> &'static MultiProgress {
    &LIVE
}

/// Whether a person watches stderr.
pub(super) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Writes a line to stderr.
pub(super) fn say(line: &str) {
    LIVE.suspend(|| {
        // Why: there is nowhere to say that stderr is closed.
        let _ = writeln!(io::stderr(), "{line}");
    });
}

/// Sends log lines to stderr from now on.
pub(super) fn start_log(format: TextFormat) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,realtime_processor=info"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Stderr);
    let started = match format {
        TextFormat::Text => subscriber.with_target(false).with_ansi(takes_colours(&io::stderr())).try_init(),
        TextFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    debug_assert!(started.is_ok(), "the log is started once");
}

struct Stderr;

impl MakeWriter<'_> for Stderr {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line(Vec::new())
    }
}

/// One log line: written at once when it is whole.
struct Line(Vec<u8>);

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        LIVE.suspend(|| {
            let _ = io::stderr().write_all(&self.0);
        });
    }
}
