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

/// The database of a run, in the project's folder, as `config.yaml` has it.
pub(super) const DATABASE: &str = "data/realtime.db";
/// That of the run before.
pub(super) const DATABASE_BEFORE: &str = "data/before.db";
/// How the topics of demos begin: the time of the run follows.
pub(super) const TOPIC_PREFIX: &str = "customer_movements_";

/// Makes room for the database of a new run: the one that is there becomes that of the run before, or is removed.
pub(super) fn set_database_aside(dir: &Path, is_kept: bool) -> io::Result<()> {
    // SQLite has files beside the database, of which some are left if a run is killed.
    for beside in ["", "-wal", "-shm"] {
        let (now, before) =
            (dir.join(format!("{DATABASE}{beside}")), dir.join(format!("{DATABASE_BEFORE}{beside}")));
        match std::fs::remove_file(if is_kept { &before } else { &now }) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if is_kept && now.exists() {
            std::fs::rename(now, before)?;
        }
    }
    Ok(())
}

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
