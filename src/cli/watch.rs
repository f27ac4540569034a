//! Files that a person edits while the program runs: notices when their content has changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

/// The time between two looks at the files. Why not the kernel's notices: folders of networks and containers give none.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Files, and what stood in them when they were looked at last.
#[derive(Debug)]
pub(super) struct Watched {
    /// Files, and folders whose files with this ending are meant.
    places: Vec<(PathBuf, Option<&'static str>)>,
    seen: [u8; 32],
    look_interval: Duration,
}

impl Watched {
    /// Watches single files, and the files with an ending in folders.
    pub fn new(files: &[&Path], folders: &[(&Path, &'static str)]) -> Self {
        let files = files.iter().map(|file| (file.to_path_buf(), None));
        let folders = folders.iter().map(|(folder, ending)| (folder.to_path_buf(), Some(*ending)));
        let places: Vec<_> = files.chain(folders).collect();
        let seen = digest(&places);
        Self { places, seen, look_interval: LOOK_INTERVAL }
    }

    /// Returns once the files have changed since the last time, and have stayed the same for one look: an editor may
    /// write several, one after the other.
    pub async fn changed(&mut self) {
        let mut last = self.seen;
        loop {
            tokio::time::sleep(self.look_interval).await;
            let now = digest(&self.places);
            if now == last && now != self.seen {
                self.seen = now;
                return;
            }
            last = now;
        }
    }
}

/// A digest of all names and contents; what cannot be read counts as empty.
fn digest(places: &[(PathBuf, Option<&'static str>)]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    let mut add = |path: &Path| {
        hasher.update(path.as_os_str().as_encoded_bytes());
        let text = fs::read(path).unwrap_or_default();
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    };
    for (path, ending) in places {
        let Some(ending) = ending else {
            add(path);
            continue;
        };
        let entries = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        let has_ending = |path: &PathBuf| path.extension().is_some_and(|found| found == *ending);
        let mut files: Vec<PathBuf> = entries.filter(has_ending).collect();
        files.sort();
        files.iter().for_each(|file| add(file));
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_is_seen_once_it_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let view = folder.path().join("v.sql");
        let config = folder.path().join("config.yaml");
        fs::write(&view, "SELECT 1").expect("written");
        let mut watched = Watched::new(&[&config], &[(folder.path(), "sql")]);
        watched.look_interval = Duration::from_millis(2);
        let is_changed = async |watched: &mut Watched| {
            tokio::time::timeout(Duration::from_millis(100), watched.changed()).await.is_ok()
        };
        assert!(!is_changed(&mut watched).await, "nothing has changed");
        fs::write(folder.path().join("notes.txt"), "x").expect("written");
        assert!(!is_changed(&mut watched).await, "no file that is watched");
        fs::write(&view, "SELECT 2").expect("written");
        assert!(is_changed(&mut watched).await, "another text");
        assert!(!is_changed(&mut watched).await, "the same text");
        fs::write(&config, "x").expect("written");
        assert!(is_changed(&mut watched).await, "a file that was not there");
        fs::rename(&view, folder.path().join("w.sql")).expect("renamed");
        assert!(is_changed(&mut watched).await, "another name");
    }
}
