//! Drafts of views: `\edit` changes a copy, which only this prompt sees, and `\apply` writes it to the file that the job
//! reads. So a job with `reload: watch` takes over nothing that is not finished.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::job::RunningJob;
use super::refusal::Refusal;
use super::session::Session;
use crate::diagnostic::Finding;
use crate::sql::ViewFiles;

/// The drafts by the name of the view.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    of: BTreeMap<String, Draft>,
    /// Where the first draft was put, and the others follow.
    folder: Option<PathBuf>,
}

/// Folders of one process for drafts, at most: one for each session that it ever opens.
const FOLDERS_MAX: u32 = 1000;

#[derive(Clone, Debug)]
struct Draft {
    file: PathBuf,
    /// The text of the view's own file when the draft was begun; `None` if there was none.
    base: Option<String>,
}

impl Drafts {
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.of.keys().map(String::as_str)
    }

    /// The drafts and their files, for a person who leaves.
    pub fn shown(&self) -> Option<String> {
        let shown = self.of.iter().map(|(name, draft)| format!("`{name}` ({})", draft.file.display()));
        let shown: Vec<String> = shown.collect();
        (!shown.is_empty()).then(|| format!("not applied, and kept: {}", shown.join(", ")))
    }

    /// The file of a draft, begun as a copy of `view` if there is none.
    fn begin(&mut self, name: &str, view: &Path) -> std::io::Result<PathBuf> {
        if let Some(draft) = self.of.get(name) {
            return Ok(draft.file.clone());
        }
        let folder = match &self.folder {
            Some(folder) => folder,
            None => self.folder.insert(new_folder()?),
        };
        std::fs::create_dir_all(folder)?;
        let base = text_of(view)?;
        let file = folder.join(format!("{name}.sql"));
        std::fs::write(&file, base.as_deref().unwrap_or_default())?;
        self.of.insert(name.to_owned(), Draft { file: file.clone(), base });
        Ok(file)
    }

    /// Forgets a draft.
    fn end(&mut self, name: &str) {
        if let Some(draft) = self.of.remove(name) {
            // Why: an empty folder of temporary files, or a file in it, harms nobody.
            let _ = std::fs::remove_file(&draft.file);
            let _ = draft.file.parent().map(std::fs::remove_dir);
        }
    }

    /// The views with the drafts in place of their files.
    pub fn over(&self, folder: &Path) -> ViewFiles {
        let mut files = ViewFiles::read_some(folder);
        self.of.iter().for_each(|(name, draft)| files.put(name, &draft.file));
        files
    }
}

impl Session {
    /// The file of the draft of a view.
    ///
    /// # Errors
    /// No name of a view; a file that cannot be read or written.
    pub(super) fn draft(&mut self, name: &str) -> Result<PathBuf, Refusal> {
        if name.is_empty() || name.contains(['/', '\\', '\0']) || name.starts_with('.') {
            return Err(Refusal::error(format!("`{name}` is no name of a view")));
        }
        let view = self.view_file(name);
        let begun = self.drafts.begin(name, &view);
        begun.map_err(|error| Refusal::error(format!("no draft of {}: {error}", view.display())))
    }

    /// Forgets a draft that changes nothing.
    pub(super) fn drop_idle_draft(&mut self, name: &str) {
        let is_idle = self.drafts.of.get(name).is_some_and(|draft| {
            std::fs::read_to_string(&draft.file).unwrap_or_default()
                == draft.base.as_deref().unwrap_or_default()
        });
        if is_idle {
            self.drafts.end(name);
        }
    }

    /// Writes drafts to the files of their views: of one view, or of all. Returns the views and their files.
    ///
    /// # Errors
    /// No such draft; a view that was changed by somebody else since the draft was begun; a file that cannot be written.
    pub(super) fn apply(&mut self, name: Option<&str>) -> Result<Vec<(String, PathBuf)>, Refusal> {
        if self.job.as_ref().is_some_and(RunningJob::has_other_sql) {
            let found = Finding::new(
                "the job has other SQL than the project, so a draft of it does not belong into the project's files",
            );
            let hint = "bring the project to the SQL of the job, or the job to that of the project";
            return Err(Refusal::Found(found.with_hint(hint)));
        }
        let mut written = Vec::new();
        for name in self.drafts_named(name)? {
            let view = self.view_file(&name);
            let Some(draft) = self.drafts.of.get(&name) else { continue };
            let failed = |error| Refusal::error(format!("{} cannot be written: {error}", view.display()));
            if text_of(&view).map_err(failed)? != draft.base {
                let found = Finding::new(format!(
                    "{} was changed since `\\edit {name}`, so the draft does not replace it",
                    view.display()
                ));
                let hint = format!("the draft is {}; `\\revert {name}` forgets it", draft.file.display());
                return Err(Refusal::Found(found.with_hint(hint)));
            }
            // Written beside it first: the job reads a whole file or the one before.
            let unfinished = view.with_extension("unfinished");
            std::fs::copy(&draft.file, &unfinished)
                .and_then(|_| std::fs::rename(&unfinished, &view))
                .map_err(failed)?;
            self.drafts.end(&name);
            written.push((name, view));
        }
        Ok(written)
    }

    /// What is to be said of views that a job does not compute.
    pub(super) fn note_of_unused(&self, views: &[&str]) -> Option<String> {
        let unused: Vec<String> = self
            .views
            .unused()
            .iter()
            .map(String::as_str)
            .filter(|view| views.contains(view))
            .map(|view| format!("`{view}`"))
            .collect();
        (!unused.is_empty()).then(|| {
            let message = format!(
                "the job does not compute {}: no output, state table or other view needs it",
                unused.join(", ")
            );
            let found = Finding::new(message).with_hint("name it under `outputs` in the configuration");
            format!("warning: {found}")
        })
    }

    /// Forgets drafts: of one view, or all. Returns their names.
    ///
    /// # Errors
    /// No such draft.
    pub(super) fn revert(&mut self, name: Option<&str>) -> Result<Vec<String>, Refusal> {
        let names = self.drafts_named(name)?;
        names.iter().for_each(|name| self.drafts.end(name));
        Ok(names)
    }

    fn drafts_named(&self, name: Option<&str>) -> Result<Vec<String>, Refusal> {
        let all: Vec<String> = self.drafts.names().map(str::to_owned).collect();
        match name {
            _ if all.is_empty() => {
                let found = Finding::new("no view was edited");
                Err(Refusal::Found(found.with_hint("`\\edit NAME` begins a draft")))
            }
            None => Ok(all),
            Some(name) if all.iter().any(|draft| draft == name) => Ok(vec![name.to_owned()]),
            Some(name) => {
                let found = Finding::new(format!("`{name}` was not edited"));
                Err(Refusal::Found(found.with_hint(format!("these were: {}", all.join(", ")))))
            }
        }
    }

    fn view_file(&self, name: &str) -> PathBuf {
        self.config.sql.join(format!("{name}.sql"))
    }
}

/// A folder that no other session has, and only this user may read.
pub(super) fn new_folder() -> std::io::Result<PathBuf> {
    let id = std::process::id();
    let mut number = 0;
    loop {
        let folder = std::env::temp_dir().join(format!("realtime-processor-drafts-{id}-{number}"));
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && number < FOLDERS_MAX => {
                number += 1
            }
            created => return created.map(|()| folder),
        }
    }
}

/// The text of a file; `None` if there is no file.
fn text_of(file: &Path) -> std::io::Result<Option<String>> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
