//! What a person asks for, carried out: queries and commands, typed or from a file, a pipe or the command line, all go
//! through [`Shell::execute`].

use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command as Process;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use arrow::array::RecordBatch;

use super::command::{self, Command};
use super::complete::Words;
use super::output::{Output, Page, Screen};
use super::print::{Format, Look, Printer, write_plans};
use super::script::{Part, PartKind, parts};
use super::session::{Refusal, Session, time};
use crate::sql::{Rows, Typed};

/// A session and how its answers are shown.
pub struct Shell {
    pub(super) session: Session,
    format: Format,
    timing: bool,
    output: Output,
    pub(super) colours: bool,
    words: Arc<RwLock<Words>>,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    GoOn,
    Quit,
}

impl Shell {
    pub fn new(session: Session, format: Format, timing: bool, screen: Screen) -> Self {
        let colours = screen.colours;
        let mut shell =
            Self { session, format, timing, output: Output::new(screen), colours, words: Arc::default() };
        shell.learn_words();
        shell
    }

    /// The session that is asked.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Carries out the parts of a text, up to the first that fails. `place` is what errors call the text.
    ///
    /// # Errors
    /// What could not be done. Dropped half-way, a query is cancelled and the session can be asked again.
    pub async fn execute(&mut self, place: &str, text: &str) -> Result<Flow, Refusal> {
        for part in parts(text) {
            let flow = match part.kind {
                PartKind::Command => self.command(&part.text).await?,
                PartKind::Query => self.query(place, text, &part).await?,
            };
            self.learn_words();
            if flow == Flow::Quit {
                return Ok(Flow::Quit);
            }
        }
        Ok(Flow::GoOn)
    }

    async fn query(&mut self, place: &str, text: &str, part: &Part) -> Result<Flow, Refusal> {
        let started = Instant::now();
        let typed = Typed::parse(place, text, &part.text)?;
        self.answer(&typed, started).await
    }

    async fn answer(&mut self, typed: &Typed, started: Instant) -> Result<Flow, Refusal> {
        let (plan, notes) = self.session.plan(typed).await?;
        let (schema, is_explanation) = (plan.schema(), plan.is_explanation());
        let mut rows = plan.run();
        let mut page = self.output.open().map_err(Refusal::error)?;
        let mut shown = Ok(());
        if is_explanation && self.format == Format::Table {
            while let Some(batch) = self.next_of(&mut rows, typed).await? {
                shown = shown.and_then(|()| write_plans(&mut page, &batch));
            }
        } else {
            let mut printer = Printer::new(&mut page, schema, self.format, self.output.look());
            while let Some(batch) = self.next_of(&mut rows, typed).await? {
                shown = printer.write(&batch);
                if shown.is_err() {
                    break;
                }
            }
            if shown.is_ok() {
                shown = printer.finish().map(drop);
            }
        }
        let elapsed = started.elapsed();
        let flow = close(page, shown)?;
        notes.iter().for_each(|note| say(&format!("note: {note}")));
        if self.timing {
            say(&format!("Time: {}", time(elapsed)));
        }
        Ok(flow)
    }

    /// The next rows of an answer; an error with the message that it is of, where that is known.
    async fn next_of(&self, rows: &mut Rows, typed: &Typed) -> Result<Option<RecordBatch>, Refusal> {
        match rows.next().await {
            Ok(next) => Ok(next),
            Err(error) => Err(self.session.refused(typed, error).await),
        }
    }

    async fn command(&mut self, text: &str) -> Result<Flow, Refusal> {
        match Command::parse(text).map_err(|error| Refusal(error.to_string()))? {
            Command::Quit => return Ok(Flow::Quit),
            Command::Help => return self.print_text(&command::help()),
            Command::Describe(None) => {
                let rows = self.session.describe_all().await?;
                return self.print(&rows, false);
            }
            Command::Describe(Some(name)) => {
                let (rows, said) = self.session.describe(&name).await?;
                say(&said);
                return self.print(&rows, false);
            }
            Command::Batch => {
                let (rows, said) = self.session.describe_batch().await?;
                let flow = self.print(&rows, false)?;
                say(&said);
                return Ok(flow);
            }
            Command::Graph => {
                let rows = self.session.graph().await?;
                return self.print(&rows, false);
            }
            Command::View(name) => {
                let text = self.view_text(&name)?;
                return self.print_text(&format!("{}\n", text.trim_end()));
            }
            Command::Explain(what) => return self.explain(&what).await,
            Command::Diff(name) => return self.diff(&name).await,
            Command::Next => {
                self.session.go_on().await?;
                return self.say_batch().await;
            }
            Command::Seek(seek) => {
                self.session.seek(seek);
                return self.say_batch().await;
            }
            Command::Load(file) => {
                self.session.load_file(&file)?;
                return self.say_batch().await;
            }
            Command::Save(file) => {
                let rows = self.session.save_file(&file).await?;
                say(&format!("{rows} rows in {}", file.display()));
            }
            Command::Reload => self.reload().await?,
            Command::Edit(name) => self.edit(&name).await?,
            Command::Timing(wanted) => {
                self.timing = wanted.unwrap_or(!self.timing);
                say(if self.timing { "timing is on" } else { "timing is off" });
            }
            Command::Format(None) => say(&format!("the format is {}", self.format.name())),
            Command::Format(Some(format)) => self.format = format,
            Command::Out(file) => self.redirect(file.as_deref())?,
        }
        Ok(Flow::GoOn)
    }

    async fn say_batch(&mut self) -> Result<Flow, Refusal> {
        let (_, said) = self.session.describe_batch().await?;
        say(&said);
        Ok(Flow::GoOn)
    }

    fn redirect(&mut self, file: Option<&Path>) -> Result<(), Refusal> {
        let shown = file.map(|file| file.display().to_string()).unwrap_or_default();
        self.output
            .redirect(file)
            .map_err(|error| Refusal::error(format!("{shown} cannot be written: {error}")))
    }

    fn view_text(&self, name: &str) -> Result<String, Refusal> {
        if let Some(text) = self.session.views.files().text(name) {
            return Ok(text.to_owned());
        }
        // A file that could not be parsed is there too.
        let file = self.session.config.sql.join(format!("{name}.sql"));
        std::fs::read_to_string(&file).map_err(|_| {
            let near = crate::config::nearest(name, self.session.views.files().names());
            let hint = near.map_or("`\\d` lists all".into(), |near| format!("did you mean `{near}`?"));
            Refusal::error(format!("no view `{name}`: there is no {}\nhint: {hint}", file.display()))
        })
    }

    async fn explain(&mut self, what: &str) -> Result<Flow, Refusal> {
        let (place, query) = match self.session.views.files().text(what) {
            Some(text) => {
                (self.session.config.sql.join(format!("{what}.sql")).display().to_string(), text.to_owned())
            }
            None => ("query".to_owned(), what.to_owned()),
        };
        let statement = format!("EXPLAIN {query}");
        let typed = Typed::parse(&place, &statement, &statement)?;
        self.answer(&typed, Instant::now()).await
    }

    async fn diff(&mut self, name: &str) -> Result<Flow, Refusal> {
        let difference = self.session.diff(name).await?;
        let flow =
            if difference.rows.num_rows() > 0 { self.print(&difference.rows, true)? } else { Flow::GoOn };
        difference.notes.iter().for_each(|note| say(&format!("note: {note}")));
        say(&format!("`{name}`: {}", difference.summary()));
        Ok(flow)
    }

    async fn reload(&mut self) -> Result<(), Refusal> {
        let changed = self.session.reload().await?;
        let names: Vec<String> = changed.iter().map(|name| format!("`{name}`")).collect();
        say(&match names.is_empty() {
            true => "read again; no view has changed".to_owned(),
            false => format!("read again; changed: {}", names.join(", ")),
        });
        if let Some(faults) = self.session.faults() {
            say(&faults);
        }
        Ok(())
    }

    /// Opens a view in the person's editor, and reads it again.
    async fn edit(&mut self, name: &str) -> Result<(), Refusal> {
        let named = |variable: &str| std::env::var(variable).ok().filter(|editor| !editor.trim().is_empty());
        let editor = named("VISUAL").or_else(|| named("EDITOR")).unwrap_or_else(|| "vi".to_owned());
        self.edit_with(&editor, name).await
    }

    async fn edit_with(&mut self, editor: &str, name: &str) -> Result<(), Refusal> {
        if name.is_empty() || name.contains(['/', '\\', '\0']) || name.starts_with('.') {
            return Err(Refusal::error(format!("`{name}` is no name of a view")));
        }
        let file = self.session.config.sql.join(format!("{name}.sql"));
        // Why a shell: people write `code --wait`.
        let mut process = Process::new("sh");
        process.arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(&file);
        let ended = tokio::task::spawn_blocking(move || process.status()).await;
        let ended = ended.map_err(Refusal::error)?;
        let ended =
            ended.map_err(|error| Refusal::error(format!("`{editor}` cannot be started: {error}")))?;
        if !ended.success() {
            let text = format!("`{editor}` ended with {ended}\nhint: $VISUAL or $EDITOR names the editor");
            return Err(Refusal::error(text));
        }
        self.reload().await
    }

    fn print(&mut self, rows: &RecordBatch, marks: bool) -> Result<Flow, Refusal> {
        let mut page = self.output.open().map_err(Refusal::error)?;
        let look = Look { marks, ..self.output.look() };
        let mut printer = Printer::new(&mut page, rows.schema(), self.format, look);
        let shown = printer.write(rows).and_then(|()| printer.finish().map(drop));
        close(page, shown)
    }

    fn print_text(&mut self, text: &str) -> Result<Flow, Refusal> {
        let mut page = self.output.open().map_err(Refusal::error)?;
        let shown = page.write_all(text.as_bytes());
        close(page, shown)
    }

    /// What completion knows.
    pub(super) fn words(&self) -> Arc<RwLock<Words>> {
        Arc::clone(&self.words)
    }

    /// Tells completion what there is now.
    pub(super) fn learn_words(&mut self) {
        let words = Words::of(&self.session);
        *self.words.write().unwrap_or_else(PoisonError::into_inner) = words;
    }
}

/// Ends an answer. Whoever reads a pipe and leaves has seen enough; who leaves the pager, enough of this answer.
fn close(page: Page, shown: io::Result<()>) -> Result<Flow, Refusal> {
    let is_paged = page.is_paged();
    match shown.and(page.close()) {
        Ok(()) => Ok(Flow::GoOn),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe && is_paged => Ok(Flow::GoOn),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Flow::Quit),
        Err(error) => Err(Refusal::error(format!("the answer cannot be written: {error}"))),
    }
}

/// Says something that is no result.
pub(super) fn say(line: &str) {
    // Why: there is nowhere to say that stderr is closed.
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests;
