//! `generate`: sample movements as JSON lines, the same ones for the same seed.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use super::failure::Failure;
use super::samples::{CUSTOMERS, Movements};

/// Write sample movements as JSON lines.
///
/// The movements fit schemas/customer.avsc and data/accounts.csv: deposits and withdrawals of customers
/// 1 to N, with balances that follow from them. The same seed gives the same movements, on any machine.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::help_end(&[
    "realtime-processor generate --messages 1000 --out movements.json",
    "realtime-processor produce movements.json",
]))]
pub(super) struct Arguments {
    /// How many movements.
    #[arg(long, value_name = "N")]
    messages: u64,
    /// The number of customers.
    #[arg(long, value_name = "N", default_value_t = CUSTOMERS, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    customers: u32,
    /// The seed of the random choice of movements.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// The file to write. Default: stdout.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (name, written) = match &arguments.out {
        Some(path) => {
            let written = File::create(path).and_then(|file| write(arguments, BufWriter::new(file)));
            (path.display().to_string(), written)
        }
        None => ("stdout".into(), write(arguments, BufWriter::new(io::stdout().lock()))),
    };
    match written {
        // The reader of the pipe has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::failed(format!("{name} cannot be written: {error}"))),
    }
}

fn write(arguments: &Arguments, mut out: impl Write) -> io::Result<()> {
    let mut movements = Movements::new(arguments.customers, arguments.seed);
    for _ in 0..arguments.messages {
        movements.next().write_json(&mut out)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}
