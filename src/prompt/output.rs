//! Where answers go: stdout, through a pager where they are longer than the screen, or a file.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;

use super::progress::Progress;
use crate::print::{Look, Records, Screen};

/// The pager where none is named: long lines are not folded, and it leaves where all fits.
const PAGER: &str = "less -S -R -F -X";
/// What a terminal is taken for that does not say.
const LINES_DEFAULT: usize = 24;

/// Where answers go now.
#[derive(Debug)]
pub(super) struct Output {
    screen: Screen,
    file: Option<(File, PathBuf)>,
    progress: Arc<Progress>,
    /// When rows are printed as records.
    pub records: Records,
}

impl Output {
    /// stdout. `progress` is what steps aside for answers.
    pub fn new(screen: Screen, progress: Arc<Progress>) -> Self {
        Self { screen, file: None, progress, records: Records::default() }
    }

    /// From now on into a file, which starts empty; `None`: on stdout.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn redirect(&mut self, file: Option<&Path>) -> io::Result<()> {
        self.file = match file {
            Some(path) => Some((File::create(path)?, path.to_owned())),
            None => None,
        };
        Ok(())
    }

    /// How tables look there.
    pub fn look(&self) -> Look {
        if self.file.is_some() {
            return Look { records: self.records, ..Look::default() };
        }
        Look { records: self.records, ..self.screen.look() }
    }

    /// Opens it for one answer. `pages`: whether a long one may go through the pager.
    ///
    /// # Errors
    /// The file cannot be written any more.
    pub fn open(&self, pages: bool) -> io::Result<Page> {
        match &self.file {
            Some((file, _)) => Ok(Page::new(PageSink::File(file.try_clone()?), None, &self.progress)),
            None => {
                let height = self.screen.size().map_or(LINES_DEFAULT, |(_, height)| height);
                let is_paged = self.screen.pages && pages;
                let lines_max = is_paged.then(|| height.saturating_sub(1).max(1));
                Ok(Page::new(PageSink::Stdout, lines_max, &self.progress))
            }
        }
    }
}

/// One answer that is being printed. With a pager the first lines wait until they are more than the screen has.
#[derive(Debug)]
pub(super) struct Page {
    sink: PageSink,
    waiting: Vec<u8>,
    lines: usize,
    lines_max: Option<usize>,
    progress: Arc<Progress>,
}

#[derive(Debug)]
enum PageSink {
    Stdout,
    File(File),
    Pager(Child, Option<ChildStdin>),
}

impl Page {
    fn new(sink: PageSink, lines_max: Option<usize>, progress: &Arc<Progress>) -> Self {
        Self { sink, waiting: Vec::new(), lines: 0, lines_max, progress: Arc::clone(progress) }
    }

    /// Whether a pager shows it: a reader who leaves it has seen enough of this answer, not of all.
    pub fn is_paged(&self) -> bool {
        matches!(self.sink, PageSink::Pager(..))
    }

    fn start_pager(&mut self) {
        self.progress.hide();
        self.lines_max = None;
        let pager = std::env::var("PAGER").ok().filter(|pager| !pager.trim().is_empty());
        let pager = pager.unwrap_or_else(|| PAGER.to_owned());
        let name = pager.split_whitespace().next().unwrap_or_default().to_owned();
        if !is_installed(&name) {
            return;
        }
        let started = Command::new("sh").arg("-c").arg(&pager).stdin(Stdio::piped()).spawn();
        // Without a pager it goes straight to stdout.
        if let Ok(mut child) = started {
            let input = child.stdin.take();
            self.sink = PageSink::Pager(child, input);
        }
    }

    fn pass_on(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.progress.hide();
        match &mut self.sink {
            PageSink::Stdout => io::stdout().lock().write_all(bytes),
            PageSink::File(file) => file.write_all(bytes),
            PageSink::Pager(_, Some(input)) => input.write_all(bytes),
            PageSink::Pager(_, None) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Shows what waits, and waits for the reader to leave the pager.
    ///
    /// # Errors
    /// The text cannot be written.
    pub fn close(mut self) -> io::Result<()> {
        self.finish()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.lines_max = None;
        let waiting = std::mem::take(&mut self.waiting);
        let passed = if waiting.is_empty() { Ok(()) } else { self.pass_on(&waiting) };
        if let PageSink::Pager(child, input) = &mut self.sink {
            drop(input.take());
            child.wait()?;
        } else if matches!(self.sink, PageSink::Stdout) {
            io::stdout().lock().flush()?;
        }
        passed
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(lines_max) = self.lines_max {
            self.lines += bytes.iter().filter(|byte| **byte == b'\n').count();
            self.waiting.extend_from_slice(bytes);
            if self.lines > lines_max {
                self.start_pager();
                let waiting = std::mem::take(&mut self.waiting);
                self.pass_on(&waiting)?;
            }
            return Ok(bytes.len());
        }
        self.pass_on(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // Why: a query that was cancelled shows what it had; where that cannot go nobody waits for it.
        let _ = self.finish();
    }
}

fn is_installed(name: &str) -> bool {
    if name.contains('/') {
        return Path::new(name).exists();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gets_every_answer_and_stdout_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.txt");
        let mut output = Output::new(Screen::default(), Arc::default());
        output.redirect(Some(&path)).unwrap();
        for answer in ["one\n", "two\n"] {
            let mut page = output.open(true).unwrap();
            page.write_all(answer.as_bytes()).unwrap();
            page.close().unwrap();
        }
        assert_eq!(output.look(), Look::default());
        output.redirect(None).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "one\ntwo\n");
        assert!(!output.open(true).unwrap().is_paged());
        assert!(output.redirect(Some(Path::new("/no/such/folder/x"))).is_err());
    }
}
