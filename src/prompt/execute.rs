//! What a person asks for, carried out: queries and commands, typed or from a file, a pipe or the command line, all go
//! through [`Shell::execute`].

use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command as Process;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;

use super::command::{self, Command};
use super::complete::{Words, quoted_path};
use super::diff::Base;
use super::functions::Functions;
use super::output::{Output, Page};
use super::refusal::Refusal;
use super::rows_file::RowsFile;
use super::script::{Part, PartKind, parts};
use super::session::{Session, time};
use crate::config::ReloadOn;
use crate::diagnostic::{Finding, counted};
use crate::nearest::did_you_mean;
use crate::print::{Changes, Format, Look, Printer, Records, Screen, write_plans};
use crate::sql::{QueryRows, Typed};

/// A session and how its answers are shown.
pub struct Shell {
    pub(super) session: Session,
    format: Format,
    timing: bool,
    pub(super) output: Output,
    pub(super) colours: bool,
    words: Arc<RwLock<Words>>,
    /// The last query that was typed, for `\g` and `\watch`.
    last: Option<Typed>,
}

/// A text being carried out.
struct Script {
    /// What errors call it.
    place: String,
    text: String,
    parts: std::vec::IntoIter<Part>,
}

impl Script {
    fn new(place: String, text: String) -> Self {
        let parts = parts(&text).into_iter();
        Self { place, text, parts }
    }

    /// A file that is included `depth` deep.
    fn read(file: &Path, depth: usize) -> Result<Self, Refusal> {
        let place = file.display().to_string();
        if depth > INCLUDED_DEPTH_MAX {
            let text = format!("{place}: files include each other more than {INCLUDED_DEPTH_MAX} deep");
            return Err(Refusal::error(text));
        }
        let text = std::fs::read_to_string(file)
            .map_err(|error| Refusal::error(format!("{place} cannot be read: {error}")))?;
        Ok(Self::new(place, text))
    }
}

/// How one answer is shown, other than usual.
#[derive(Clone, Copy, Debug, Default)]
struct Manner {
    as_records: bool,
    /// Nobody is there to turn pages: the next answer follows by itself.
    is_unattended: bool,
}

/// Files that include each other, at most.
const INCLUDED_DEPTH_MAX: usize = 8;

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    GoOn,
    Quit,
}

impl Shell {
    pub fn new(session: Session, format: Format, timing: bool, screen: Screen) -> Self {
        let colours = screen.colours;
        let output = Output::new(screen, Arc::clone(&session.progress));
        let mut shell = Self { session, format, timing, output, colours, words: Arc::default(), last: None };
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
    /// A query or a command fails. If the future is dropped half-way, a query is cancelled and the session can be asked again.
    pub async fn execute(&mut self, place: &str, text: &str) -> Result<Flow, Refusal> {
        // The text and the files that it includes, the innermost last.
        let mut open = vec![Script::new(place.to_owned(), text.to_owned())];
        while let Some(script) = open.last_mut() {
            let Some(part) = script.parts.next() else {
                open.pop();
                continue;
            };
            let flow = match part.kind {
                PartKind::Command => {
                    match Command::parse(&part.text).map_err(Refusal::Found)? {
                        Command::Include(file) => {
                            let included = Script::read(&file, open.len())?;
                            open.push(included);
                            continue;
                        }
                        // Boxed: of its many branches one is taken.
                        command => Box::pin(self.command(command)).await?,
                    }
                }
                PartKind::Query | PartKind::Draft => {
                    let started = Instant::now();
                    let typed = Typed::parse(&script.place, &script.text, &part.text)?;
                    self.last = Some(typed.clone());
                    match part.kind {
                        PartKind::Draft => Flow::GoOn,
                        _ => self.answer(&typed, started, Manner::default()).await?,
                    }
                }
            };
            self.learn_words();
            if flow == Flow::Quit {
                return Ok(Flow::Quit);
            }
        }
        Ok(Flow::GoOn)
    }

    /// Prints the rows of a query. Its time is that of planning and of waiting for rows; a reader who turns pages is not
    /// waited for.
    async fn answer(&mut self, typed: &Typed, started: Instant, manner: Manner) -> Result<Flow, Refusal> {
        let (plan, notes) = self.session.plan(typed).await?;
        let (schema, is_explanation) = (plan.schema(), plan.is_explanation());
        self.session.progress.step("running the query");
        let mut rows = plan.run();
        let mut elapsed = started.elapsed();
        let mut page = self.output.open(!manner.is_unattended).map_err(Refusal::error)?;
        let records = if manner.as_records { Records::Always } else { self.output.records };
        let look = Look { records, ..self.output.look() };
        let new_printer = || Printer::new(Arc::clone(&schema), self.format, look);
        let mut shown = Ok(());
        let as_plan = is_explanation && self.format == Format::Table;
        let mut printer = None;
        loop {
            let asked = Instant::now();
            let next = self.next_of(&mut rows, typed).await;
            elapsed += asked.elapsed();
            let Some(batch) = next? else { break };
            self.session.progress.add_rows(batch.num_rows());
            shown = match as_plan {
                true => write_plans(&mut page, &batch),
                false => printer.get_or_insert_with(new_printer).write(&mut page, &batch),
            };
            if shown.is_err() {
                break;
            }
        }
        if shown.is_ok() && !as_plan {
            shown = printer.unwrap_or_else(new_printer).finish(&mut page).map(drop);
        }
        let flow = close(page, shown)?;
        notes.iter().for_each(|note| self.say(note));
        if self.timing {
            self.say(&format!("Time: {}", time(elapsed)));
        }
        Ok(flow)
    }

    /// The next rows of an answer; an error with the message that it is of, where that is known.
    async fn next_of(&self, rows: &mut QueryRows, typed: &Typed) -> Result<Option<RecordBatch>, Refusal> {
        match rows.next().await {
            Ok(next) => Ok(next),
            Err(error) => Err(self.session.refused(typed, error).await),
        }
    }

    async fn command(&mut self, command: Command) -> Result<Flow, Refusal> {
        match command {
            // A file is opened where the parts of texts are taken.
            Command::Include(_) => {}
            Command::Quit => return Ok(Flow::Quit),
            Command::Help => return self.print_text(&command::help()),
            Command::Describe(None) => {
                let rows = self.session.describe_all().await?;
                return self.print(&rows, Changes::default());
            }
            Command::Describe(Some(name)) => {
                let (rows, said) = self.session.describe(&name).await?;
                self.say(&said);
                return self.print(&rows, Changes::default());
            }
            Command::Functions(name) => {
                return match self.session.describe_functions(name.as_deref())? {
                    Functions::Table(rows) => self.print(&rows, Changes::default()),
                    Functions::Page(text) => self.print_text(&text),
                };
            }
            Command::Batch => {
                let is_table = self.format == Format::Table;
                let (rows, said) = self.session.describe_batch(is_table).await?;
                let flow = self.print(&rows, Changes::default())?;
                self.say(&said);
                return Ok(flow);
            }
            Command::Graph => {
                let rows = self.session.graph().await?;
                return self.print(&rows, Changes::default());
            }
            Command::View(name) => {
                let text = self.view_text(&name)?;
                return self.print_text(&format!("{}\n", text.trim_end()));
            }
            Command::Explain { what, is_run } => return self.explain(&what, is_run).await,
            Command::Again { to: Some(file), .. } => {
                let typed = self.last_query()?;
                self.copy(&typed, &file).await?;
            }
            Command::Again { to: None, as_records } => {
                let typed = self.last_query()?;
                let manner = Manner { as_records, ..Manner::default() };
                return self.answer(&typed, Instant::now(), manner).await;
            }
            Command::Watch(every) => return self.watch(every).await,
            Command::Copy { what, to } => {
                let query = match self.session.columns().contains_key(&what) {
                    true => format!("SELECT * FROM {}", quoted_path(&what)),
                    false => what,
                };
                let typed = Typed::parse("query", &query, &query)?;
                self.copy(&typed, &to).await?;
            }
            Command::Diff { name, base } => return Box::pin(self.diff(name.as_deref(), base)).await,
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
                self.say(&format!("{} in {}", counted(rows, "row"), file.display()));
            }
            Command::Reload => self.reload().await?,
            Command::Edit(name) => Box::pin(self.edit(&name)).await?,
            Command::Apply(name) => Box::pin(self.apply(name.as_deref())).await?,
            Command::Revert(name) => {
                let names = self.session.revert(name.as_deref())?;
                self.say(&format!("forgotten: {}", names.join(", ")));
                self.reload().await?;
            }
            Command::Timing(wanted) => {
                self.timing = wanted.unwrap_or(!self.timing);
                self.say(if self.timing { "timing is on" } else { "timing is off" });
            }
            Command::Format(None) => self.say(&format!("the format is {}", self.format.name())),
            Command::Format(Some(format)) => self.format = format,
            Command::Records(wanted) => self.set_records(wanted),
            Command::Out(file) => self.redirect(file.as_deref())?,
        }
        Ok(Flow::GoOn)
    }

    async fn say_batch(&mut self) -> Result<Flow, Refusal> {
        let (_, said) = self.session.describe_batch(true).await?;
        self.say(&said);
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
            let hint = did_you_mean(name, self.session.views.files().names())
                .unwrap_or_else(|| "`\\d` lists all".into());
            let found = Finding::new(format!("no view `{name}`: there is no {}", file.display()));
            Refusal::Found(found.with_hint(hint))
        })
    }

    async fn explain(&mut self, what: &str, is_run: bool) -> Result<Flow, Refusal> {
        let (place, query) = match self.session.views.files().text(what) {
            Some(text) => {
                (self.session.config.sql.join(format!("{what}.sql")).display().to_string(), text.to_owned())
            }
            None => ("query".to_owned(), what.to_owned()),
        };
        let statement = format!("EXPLAIN {}{query}", if is_run { "ANALYZE " } else { "" });
        let typed = Typed::parse(&place, &statement, &statement)?;
        self.answer(&typed, Instant::now(), Manner::default()).await
    }

    fn last_query(&self) -> Result<Typed, Refusal> {
        let unsaid = || Finding::new("no query was run yet").with_hint("type one, then `\\g`");
        self.last.clone().ok_or_else(|| Refusal::Found(unsaid()))
    }

    /// The last query again and again, until somebody cancels it. Each time the same part of the topic is read.
    async fn watch(&mut self, every: Duration) -> Result<Flow, Refusal> {
        let typed = self.last_query()?;
        loop {
            let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            self.say(&format!("{now}, every {} s", every.as_secs_f64()));
            let manner = Manner { is_unattended: true, ..Manner::default() };
            if self.answer(&typed, Instant::now(), manner).await? == Flow::Quit {
                return Ok(Flow::Quit);
            }
            tokio::time::sleep(every).await;
            self.session.look_again();
        }
    }

    /// Writes the rows of a query to a file, as they come.
    async fn copy(&mut self, typed: &Typed, to: &Path) -> Result<(), Refusal> {
        let (plan, notes) = self.session.plan(typed).await?;
        self.session.progress.step("writing the rows");
        let mut file = RowsFile::create(to, &plan.schema())?;
        let (mut rows, mut count) = (plan.run(), 0);
        while let Some(batch) = rows.next().await? {
            file.write(&batch)?;
            count += batch.num_rows();
            self.session.progress.add_rows(batch.num_rows());
        }
        file.finish()?;
        notes.iter().for_each(|note| self.say(note));
        self.say(&format!("{} in {}", counted(count, "row"), to.display()));
        Ok(())
    }

    fn set_records(&mut self, wanted: Option<Records>) {
        let records = wanted.unwrap_or(match self.output.records {
            Records::Always => Records::IfTooWide,
            _ => Records::Always,
        });
        self.output.records = records;
        self.say(match records {
            Records::Always => "rows are printed as records",
            Records::Never => "rows are printed as tables",
            Records::IfTooWide => "rows are printed as records if a table is too wide",
        });
    }

    /// The summary first, then the rows of one view, or a line for each view that has changed.
    async fn diff(&mut self, name: Option<&str>, base: Base) -> Result<Flow, Refusal> {
        let differences = self.session.diff(name, base).await?;
        for note in &differences.notes {
            self.say(&format!("note: {note}"));
        }
        let batch = self.session.batch_in_words().await?;
        let Some(name) = name else {
            self.say(&format!("{}, against {}", differences.summary(), base.text()));
            self.say(&format!("over the batch: {batch}"));
            return match differences.table()? {
                Some(rows) => self.print(&rows, Changes::default()),
                None => Ok(Flow::GoOn),
            };
        };
        for (_, difference) in differences.of {
            self.say(&format!("`{name}`: {}, against {}", difference.summary(), base.text()));
            self.say(&format!("over the batch: {batch}"));
            difference.notes.iter().for_each(|note| self.say(&format!("note: {note}")));
            if difference.rows.num_rows() > 0 {
                return self.print(&difference.rows, difference.changes);
            }
        }
        Ok(Flow::GoOn)
    }

    async fn reload(&mut self) -> Result<(), Refusal> {
        let changed = self.session.reload().await?;
        let views: Vec<String> = changed.views.iter().map(|name| format!("`{name}`")).collect();
        let mut said = match views.is_empty() {
            true => "read again; no view has changed".to_owned(),
            false => format!("read again; changed: {}", views.join(", ")),
        };
        if !changed.keys.is_empty() {
            said.push_str(&format!("; in the configuration: {}", changed.keys.join(", ")));
        }
        self.say(&said);
        if let Some(faults) = self.session.faults() {
            self.say(&faults);
        }
        Ok(())
    }

    /// Opens the draft of a view in the person's editor, and reads it again.
    async fn edit(&mut self, name: &str) -> Result<(), Refusal> {
        let named = |variable: &str| std::env::var(variable).ok().filter(|editor| !editor.trim().is_empty());
        let editor = named("VISUAL").or_else(|| named("EDITOR")).unwrap_or_else(|| "vi".to_owned());
        self.edit_with(&editor, name).await
    }

    async fn edit_with(&mut self, editor: &str, name: &str) -> Result<(), Refusal> {
        let file = self.session.draft(name)?;
        // Why a shell: people write `code --wait`.
        let mut process = Process::new("sh");
        process.arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(&file);
        self.session.progress.hide();
        let ended = tokio::task::spawn_blocking(move || process.status()).await;
        let ended = ended.map_err(Refusal::error).and_then(|ended| {
            ended.map_err(|error| Refusal::error(format!("`{editor}` cannot be started: {error}")))
        });
        self.session.drop_idle_draft(name);
        let ended = ended?;
        if !ended.success() {
            let found = Finding::new(format!("`{editor}` ended with {ended}"));
            return Err(Refusal::Found(found.with_hint("$VISUAL or $EDITOR names the editor")));
        }
        Box::pin(self.reload()).await?;
        if self.session.drafts.names().any(|draft| draft == name) {
            self.say(&format!("`{name}` is a draft: `\\diff` compares, `\\apply` writes it"));
        }
        Ok(())
    }

    async fn apply(&mut self, name: Option<&str>) -> Result<(), Refusal> {
        let written = self.session.apply(name)?;
        let files: Vec<String> = written.iter().map(|(_, file)| file.display().to_string()).collect();
        let taken = match self.session.config.reload {
            ReloadOn::Watch => "a running job takes it over by itself",
            ReloadOn::Signal => "a running job takes it over when it is sent SIGHUP",
        };
        self.say(&format!("written: {}; {taken}", files.join(", ")));
        self.say("the tests of the views were not run: `realtime-processor test`");
        self.say("the job computes only new messages by the new SQL; `realtime-processor fill` computes a table from old ones");
        self.session.reload().await?;
        let views: Vec<&str> = written.iter().map(|(view, _)| view.as_str()).collect();
        self.session.note_of_unused(&views).iter().for_each(|note| self.say(note));
        Ok(())
    }

    fn print(&mut self, rows: &RecordBatch, changes: Changes) -> Result<Flow, Refusal> {
        let mut page = self.output.open(true).map_err(Refusal::error)?;
        let mut printer = Printer::new(rows.schema(), self.format, self.output.look()).marking(changes);
        let shown = printer.write(&mut page, rows).and_then(|()| printer.finish(&mut page).map(drop));
        close(page, shown)
    }

    fn print_text(&mut self, text: &str) -> Result<Flow, Refusal> {
        let mut page = self.output.open(true).map_err(Refusal::error)?;
        let shown = page.write_all(text.as_bytes());
        close(page, shown)
    }

    /// Says something that is no result, on stderr.
    pub(super) fn say(&self, line: &str) {
        self.session.progress.hide();
        // Why: there is nowhere to say that stderr is closed.
        let _ = writeln!(io::stderr(), "{line}");
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

/// Ends an answer. A reader who closes a pipe has seen enough; one who leaves the pager has seen enough of this answer.
fn close(page: Page, shown: io::Result<()>) -> Result<Flow, Refusal> {
    let is_paged = page.is_paged();
    match shown.and(page.close()) {
        Ok(()) => Ok(Flow::GoOn),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe && is_paged => Ok(Flow::GoOn),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Flow::Quit),
        Err(error) => Err(Refusal::error(format!("the answer cannot be written: {error}"))),
    }
}

#[cfg(test)]
mod tests;
