//! The files of the views as written: each is read, parsed to one query, and asked which relations it reads.
//! Nothing is planned here, so this much is known before there is a reference table or a schema.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};

use datafusion::sql::parser::Statement as ParsedStatement;
use datafusion::sql::sqlparser::ast::{self, ObjectName, Query, SetExpr, Statement, TableFactor, Visit};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use sha2::{Digest, Sha256};

use super::columns;
use super::error::Blame;
use super::error::SqlError;
use super::walk::{self, Part};
use super::{locate, statement};
use crate::batch::SqlVersion;
use crate::diagnostic::{Code, Place, shown};

/// The longest file that is read as a view, in bytes.
const VIEW_BYTES_MAX: u64 = 1 << 20;
/// Bytes of the digest that name a version.
const VERSION_BYTES: usize = 8;

/// The views of a folder: each `NAME.sql` holds one SELECT, and NAME is what other files call it.
#[derive(Clone, Debug)]
pub struct ViewFiles {
    folder: PathBuf,
    /// By name.
    views: BTreeMap<String, ViewFile>,
    /// By the name of the view, the faults of files that hold none; no name if it is the folder's.
    faults: Vec<Blame>,
}

/// One file, parsed.
#[derive(Clone, Debug)]
pub(super) struct ViewFile {
    pub(super) name: String,
    /// As a person would open it.
    pub(super) file: String,
    pub(super) text: String,
    /// With comments and blanks left out.
    pub(super) tokens: Vec<TokenWithSpan>,
    /// As it is written.
    pub(super) statement: Box<Statement>,
    /// As it is planned.
    pub(super) ready: ParsedStatement,
    /// The relations in FROM and JOIN, in the order of the text; names of CTEs left out.
    pub(super) reads: Vec<Reference>,
}

/// A relation that a view reads, and where it says so.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    pub(super) relation: String,
    pub(super) place: Place,
}

impl ViewFiles {
    /// Reads every `NAME.sql` of `folder`. Subfolders, hidden files and other endings are left alone.
    ///
    /// # Errors
    /// All faults of all files: a folder or file that cannot be read, text that is not UTF-8, syntax errors, no
    /// statement or more than one, anything but a query.
    pub fn read(folder: &Path) -> Result<Self, Vec<SqlError>> {
        Self::read_some(folder).all_right()
    }

    /// As [`ViewFiles::read`], with the views that are in order beside the faults of the others.
    pub fn read_some(folder: &Path) -> Self {
        let mut files = Self::none_of(folder);
        match view_names(folder) {
            Ok(names) => names.into_iter().for_each(|name| {
                let path = folder.join(format!("{name}.sql"));
                files.put(&name, &path);
            }),
            Err(error) => files.faults.push((String::new(), error)),
        }
        files
    }

    fn none_of(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), views: BTreeMap::new(), faults: Vec::new() }
    }

    fn all_right(self) -> Result<Self, Vec<SqlError>> {
        if self.faults.is_empty() {
            Ok(self)
        } else {
            Err(self.faults.into_iter().map(|(_, fault)| fault).collect())
        }
    }

    /// Reads a file in place of what is known of the view.
    pub fn put(&mut self, name: &str, path: &Path) {
        self.views.remove(name);
        self.faults.retain(|(view, _)| view != name);
        let file = shown(path);
        match read_text(path, &file) {
            Ok(text) => self.add(name, file, text),
            Err(error) => self.faults.push((name.to_owned(), error)),
        }
    }

    /// Views that are in no folder: `(name, text)`, as if they stood in `sql/`.
    ///
    /// # Errors
    /// As [`ViewFiles::read`].
    pub fn from_texts(texts: &[(&str, &str)]) -> Result<Self, Vec<SqlError>> {
        let mut files = Self::none_of(Path::new("sql"));
        for (name, text) in texts {
            files.add(name, format!("sql/{name}.sql"), (*text).to_owned());
        }
        files.all_right()
    }

    /// The views of a version, as far as they can be parsed: a job has planned all of them.
    pub fn of_version(version: &SqlVersion) -> Self {
        let texts: BTreeMap<String, String> = serde_json::from_str(&version.files).unwrap_or_default();
        let mut files = Self::none_of(Path::new("sql"));
        for (name, text) in texts {
            files.add(&name, format!("sql/{name}.sql"), text);
        }
        files
    }

    fn add(&mut self, name: &str, file: String, text: String) {
        match ViewFile::parse(name.to_owned(), file, text) {
            Ok(view) => drop(self.views.insert(name.to_owned(), view)),
            Err(faults) => self.faults.extend(faults.into_iter().map(|fault| (name.to_owned(), fault))),
        }
    }

    /// The faults of the files that hold no view, by the name of the view; no name if it is the folder's.
    pub fn faults(&self) -> impl Iterator<Item = (&str, &SqlError)> {
        self.faults.iter().map(|(name, fault)| (name.as_str(), fault))
    }

    /// Whether there is a file for a view of this name, in order or not.
    pub fn has_file(&self, view: &str) -> bool {
        self.views.contains_key(view) || self.broken().any(|broken| broken == view)
    }

    /// The names of the views whose file has a fault.
    pub fn broken(&self) -> impl Iterator<Item = &str> {
        self.faults().map(|(name, _)| name).filter(|name| !name.is_empty())
    }

    /// The folder they were read from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The names of the views, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.views.keys().map(String::as_str)
    }

    /// The text of a view, as it is in its file.
    pub fn text(&self, view: &str) -> Option<&str> {
        self.views.get(view).map(|view| view.text.as_str())
    }

    /// The version that these texts are: the first 16 hexadecimal digits of their SHA-256.
    pub fn version(&self) -> SqlVersion {
        let texts: serde_json::Map<String, serde_json::Value> =
            self.views.values().map(|view| (view.name.clone(), view.text.clone().into())).collect();
        let files = serde_json::Value::Object(texts).to_string();
        let digest = Sha256::digest(files.as_bytes());
        let id = digest.iter().take(VERSION_BYTES).map(|byte| format!("{byte:02x}")).collect();
        SqlVersion { id, files }
    }

    /// What a view reads: `batch`, tables and other views; empty where there is no such view.
    pub fn reads(&self, view: &str) -> BTreeSet<&str> {
        let reads = self.views.get(view).map_or(&[][..], |view| &view.reads);
        reads.iter().map(|reference| reference.relation.as_str()).collect()
    }

    /// What any of the views reads, so that a reference table can be asked for before it is opened.
    pub fn read_by_any(&self) -> BTreeSet<&str> {
        self.views.keys().flat_map(|view| self.reads(view)).collect()
    }

    /// The views that no other view reads: the outputs where none are configured.
    pub fn leaves(&self) -> Vec<String> {
        let read = self.read_by_any();
        self.views.keys().filter(|name| !read.contains(name.as_str())).cloned().collect()
    }

    /// Where a view's column is written: in its SELECT list, or the `*` that brings it.
    pub fn column_place(&self, view: &str, column: &str) -> Option<Place> {
        columns::place(self.get(view)?, column)
    }

    /// Where a view's statement starts.
    pub fn place(&self, view: &str) -> Option<Place> {
        self.get(view).map(ViewFile::start)
    }

    pub(super) fn get(&self, view: &str) -> Option<&ViewFile> {
        self.views.get(view)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &ViewFile> {
        self.views.values()
    }
}

impl ViewFile {
    fn parse(name: String, file: String, text: String) -> Result<Self, Vec<SqlError>> {
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        let here = |line: u64, column: u64, width: usize| locate::place(&file, &text, line, column, width);
        let tokens = statement::tokens(&file, &text, &text).map_err(|error| vec![error])?;
        let starts = statement_starts(&tokens);
        let Some(first) = starts.first() else {
            let error =
                SqlError::wrong(Code::Syntax, here(1, 1, 1), "no statement where one SELECT is expected");
            return Err(vec![error.with_hint("write a SELECT, or delete the file")]);
        };
        if let Some(second) = starts.get(1) {
            let place = here(second.span.start.line, second.span.start.column, token_width(second));
            let error = SqlError::wrong(
                Code::Syntax,
                place,
                format!("{} statements where one SELECT is expected", starts.len()),
            );
            return Err(vec![error.with_hint("put each view in a file of its own")]);
        }
        let start = here(first.span.start.line, first.span.start.column, token_width(first));
        let parsed = statement::parse(&file, &text, &tokens).map_err(|error| vec![error])?;
        let statement = match &parsed {
            ParsedStatement::Statement(statement) if is_plain_query(statement) => statement.clone(),
            _ => {
                let found = first.token.to_string().to_uppercase();
                let error =
                    SqlError::wrong(Code::Syntax, start, format!("found {found}, expected one SELECT"));
                return Err(vec![
                    error.with_hint("a view only reads; what is written is configured under `outputs`"),
                ]);
            }
        };
        let mut references = References { file: &file, text: &text, ..References::default() };
        references.collect(&statement);
        let References { reads, mut errors, .. } = references;
        match statement::ready(&file, &text, parsed) {
            Ok(ready) if errors.is_empty() => Ok(Self { name, file, text, tokens, statement, ready, reads }),
            Ok(_) => Err(errors),
            Err(refused) => {
                errors.push(refused);
                Err(errors)
            }
        }
    }

    /// A place in this file; `line` and `column` count from 1.
    pub(super) fn place(&self, line: u64, column: u64, width: usize) -> Place {
        locate::place(&self.file, &self.text, line, column, width)
    }

    /// Where the statement starts.
    pub(super) fn start(&self) -> Place {
        self.tokens.first().map_or_else(|| self.place(1, 1, 1), |token| self.place_of(token))
    }

    pub(super) fn place_of(&self, token: &TokenWithSpan) -> Place {
        self.place(token.span.start.line, token.span.start.column, token_width(token))
    }
}

/// The names of a folder's views, sorted.
fn view_names(folder: &Path) -> Result<Vec<String>, SqlError> {
    let place = || Place::of_file(shown(folder));
    let cannot_read = |error: std::io::Error| {
        SqlError::wrong(Code::File, place(), format!("cannot read the folder of the views: {error}"))
            .with_hint("`sql` in the configuration names it")
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot_read)? {
        let path = entry.map_err(cannot_read)?.path();
        if path.extension().is_none_or(|ending| ending != "sql") || !path.is_file() {
            continue;
        }
        match path.file_stem().and_then(|stem| stem.to_str()) {
            Some(stem) if stem.starts_with('.') => {}
            Some(stem) => names.push(stem.to_owned()),
            None => {
                let place = Place::of_file(shown(&path));
                return Err(SqlError::wrong(
                    Code::Name,
                    place,
                    "the file's name is not UTF-8, so no view can be called by it",
                ));
            }
        }
    }
    if names.is_empty() {
        let error =
            SqlError::wrong(Code::File, place(), "no view: expected files NAME.sql with one SELECT each");
        return Err(error.with_hint("`sql` in the configuration names the folder"));
    }
    names.sort_unstable();
    Ok(names)
}

fn read_text(path: &Path, file: &str) -> Result<String, SqlError> {
    let place = Place::of_file(file.to_owned());
    let cannot_read =
        |error: std::io::Error| SqlError::wrong(Code::File, place.clone(), format!("cannot read: {error}"));
    let length = fs::metadata(path).map_err(cannot_read)?.len();
    if length > VIEW_BYTES_MAX {
        let message = format!("{length} bytes, but a view may have at most {VIEW_BYTES_MAX}");
        return Err(SqlError::wrong(Code::File, place, message));
    }
    let bytes = fs::read(path).map_err(cannot_read)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count();
        let byte = error.as_bytes()[valid];
        SqlError::wrong(Code::File, place, format!("line {line} has a byte that is not UTF-8 (0x{byte:02x})"))
            .with_hint("save the file as UTF-8")
    })
}

/// The first token of each statement.
fn statement_starts(tokens: &[TokenWithSpan]) -> Vec<&TokenWithSpan> {
    let mut starts = Vec::new();
    let mut after_end = true;
    for token in tokens {
        match token.token {
            Token::SemiColon => after_end = true,
            Token::EOF => {}
            _ if after_end => {
                starts.push(token);
                after_end = false;
            }
            _ => {}
        }
    }
    starts
}

/// A query that only reads: no INSERT, UPDATE or DELETE inside it, no SELECT INTO, no FOR UPDATE.
pub(super) fn is_plain_query(statement: &Statement) -> bool {
    fn body_reads(body: &SetExpr) -> bool {
        match body {
            SetExpr::Select(select) => select.into.is_none(),
            SetExpr::Query(query) => query_reads(query),
            SetExpr::SetOperation { left, right, .. } => body_reads(left) && body_reads(right),
            SetExpr::Values(_) => true,
            _ => false,
        }
    }
    fn query_reads(query: &Query) -> bool {
        query.locks.is_empty() && body_reads(&query.body)
    }
    matches!(statement, Statement::Query(query) if query_reads(query))
}

/// How many characters a token has, in its first line.
pub(super) fn token_width(token: &TokenWithSpan) -> usize {
    locate::width(token.span)
}

/// Collects the relations of a statement. A CTE hides a relation of its name in the query it belongs to, but
/// not in its own definition, unless it is recursive: `WITH t AS (SELECT * FROM t) SELECT * FROM t` reads `t`.
#[derive(Default)]
struct References<'a> {
    file: &'a str,
    text: &'a str,
    reads: Vec<Reference>,
    errors: Vec<SqlError>,
    /// Names of CTEs in scope, inner ones last.
    ctes: Vec<String>,
    /// The next relation is the name of a table function.
    is_function: bool,
}

impl References<'_> {
    fn collect(&mut self, part: &impl Visit) {
        let Ok(()) = walk::read::<Infallible>(part, &mut |part| {
            self.meet(&part);
            Ok(())
        });
    }

    fn meet(&mut self, part: &Part<'_>) {
        match part {
            Part::Query(query) => self.enter(query),
            Part::EndOfQuery(query) => {
                let scoped = query.with.as_ref().map_or(0, |with| with.cte_tables.len());
                self.ctes.truncate(self.ctes.len() - scoped);
            }
            Part::TableFactor(factor) => {
                self.is_function = matches!(factor, TableFactor::Table { args: Some(_), .. });
            }
            Part::Relation(_) if std::mem::take(&mut self.is_function) => {}
            Part::Relation(relation) => self.relation(relation),
            Part::Select(_) | Part::Expression(_) => {}
        }
    }

    fn enter(&mut self, query: &Query) {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let recursive = query.with.as_ref().is_some_and(|with| with.recursive);
            if !recursive {
                // Why: met here, before its name is in scope, and once more as a part of the query, where
                // it finds nothing new.
                self.collect(&cte.query);
            }
            self.ctes.push(cte.alias.name.value.clone());
        }
    }

    fn relation(&mut self, relation: &ObjectName) {
        let parts: Vec<&ast::Ident> = relation.0.iter().filter_map(|part| part.as_ident()).collect();
        let [ident] = parts.as_slice() else {
            let place = parts.first().map_or_else(Place::default, |ident| self.place(ident));
            let message = format!("`{relation}` has a schema's name, but views and tables have none");
            let error = SqlError::wrong(Code::UnknownRelation, place, message);
            self.errors.push(error.with_hint("write the name alone"));
            return;
        };
        let place = self.place(ident);
        let known = self.reads.iter().any(|reference| reference.place == place);
        if !known && !self.ctes.contains(&ident.value) {
            self.reads.push(Reference { relation: ident.value.clone(), place });
        }
    }

    fn place(&self, ident: &ast::Ident) -> Place {
        let start = ident.span.start;
        locate::place(self.file, self.text, start.line, start.column, locate::width(ident.span))
    }
}
