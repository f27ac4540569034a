//! The project that the demo leaves behind: the files that ship with the program, written where they do not
//! stand already.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

macro_rules! shipped {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../", $path)))),*]
    };
}

/// Every file of the sample project and its text.
const FILES: &[(&str, &str)] = shipped![
    "config.yaml",
    "schemas/customer.avsc",
    "data/accounts.csv",
    "sql/enriched_movements.sql",
    "sql/account_history.sql",
    "sql/assessed_movements.sql",
    "sql/classified_movements.sql",
    "sql/next_account_state.sql",
    "sql/reactions.sql",
    "sql/tests/account_state.yaml",
    "sql/tests/classified_movements.yaml",
    "sql/tests/reactions.yaml",
];

/// Writes the files that are missing.
pub(super) fn write(dir: &Path) -> io::Result<()> {
    for (path, text) in FILES {
        let path = dir.join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        if !path.exists() {
            std::fs::write(path, text)?;
        }
    }
    Ok(())
}

/// Seconds since the epoch: tells one demo from another.
pub(super) fn stamp() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A folder that no other demo uses.
pub(super) fn new_folder() -> PathBuf {
    std::env::temp_dir().join(format!("realtime-processor-demo-{}-{}", stamp(), std::process::id()))
}
