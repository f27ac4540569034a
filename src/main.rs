//! Command line -> one command -> exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    realtime_processor::cli::main()
}
