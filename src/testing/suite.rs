//! A test file as written -> its tests, checked as far as the file alone tells: keys, types, rows. Whether there are
//! such views, tables and columns is found once the SQL is planned.

use std::ops::Range;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::reader::Reader;
use crate::diagnostic::{Code, Diagnostic, Place, shown};
use crate::yaml::{self, Fault, Node, Spot};

/// The longest test file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// One file of tests.
#[derive(Clone, Debug)]
pub(super) struct Suite {
    /// As a person would open it.
    pub file: String,
    pub path: PathBuf,
    pub text: String,
    /// Those that could be read.
    pub tests: Vec<Test>,
    /// What is wrong with the file. More is found when its tests are bound to the SQL.
    pub faults: Vec<Fault>,
}

/// One test.
#[derive(Clone, Debug)]
pub(super) struct Test {
    pub name: String,
    pub spot: Spot,
    /// The clock's time.
    pub now: DateTime<Utc>,
    /// Mappings, in the order of the file.
    pub messages: Vec<Row>,
    /// What a message has where it does not say otherwise.
    pub message_defaults: Vec<Cell>,
    /// Rows in place of those of reference tables.
    pub tables: Vec<GivenTable>,
    /// State before the first message.
    pub state: Vec<GivenTable>,
    pub expectations: Vec<Expectation>,
    /// Why the test is not run with its messages cut; `None`: it is.
    pub cuts_ignored: Option<String>,
    /// Where further keys of the test can be written.
    pub end: TestEnd,
}

/// The end of a test's mapping.
#[derive(Clone, Debug)]
pub(super) struct TestEnd {
    /// Behind its last byte.
    pub at: usize,
    /// The column of its keys; `None` where it is written in braces.
    pub column: Option<usize>,
}

/// Rows of one table.
#[derive(Clone, Debug)]
pub(super) struct GivenTable {
    pub name: String,
    /// Of its name.
    pub spot: Spot,
    pub rows: Vec<Row>,
    /// Its columns and their types in SQL, where they are said.
    pub columns: Option<Vec<DeclaredColumn>>,
}

/// A column as a test declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeclaredColumn {
    pub name: String,
    /// Of its type.
    pub spot: Spot,
    /// As `CAST` takes it: `DECIMAL(10, 2)`.
    pub kind: String,
}

/// One row as written: some columns and their values.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub spot: Spot,
    pub cells: Vec<Cell>,
}

#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub column: String,
    /// Of the column's name.
    pub spot: Spot,
    pub value: Node,
}

/// The columns that rows name, each once, in the order in which they come.
pub(super) fn named_columns<'r>(rows: impl IntoIterator<Item = &'r Row>) -> Vec<&'r str> {
    let mut names: Vec<&str> = Vec::new();
    for cell in rows.into_iter().flat_map(|row| &row.cells) {
        if !names.contains(&cell.column.as_str()) {
            names.push(&cell.column);
        }
    }
    names
}

/// What rows an expectation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    View,
    State,
    DeadLetters,
}

/// The rows that are expected of one view or state table, or as dead letters.
#[derive(Clone, Debug)]
pub(super) struct Expectation {
    pub of: Of,
    /// Of the view or table.
    pub name: String,
    /// Of its name.
    pub spot: Spot,
    pub rows: Vec<Row>,
    /// Whether the rows stand in this order.
    pub is_ordered: bool,
    /// How far floats may be apart.
    pub tolerance: Option<f64>,
    pub written: Written,
}

/// How the rows are written, so that they can be written again.
#[derive(Clone, Debug)]
pub(super) struct Written {
    /// Behind the colon of the key that the rows stand under.
    pub after_key: usize,
    /// The list's bytes; empty where there is none.
    pub list: Range<usize>,
    /// The column of the key.
    pub column: usize,
    /// Whether the rows stand one under the other, each behind a dash.
    pub is_block: bool,
    /// Whether the key itself is in braces, so that nothing can be on a line of its own.
    pub is_in_braces: bool,
}

impl Suite {
    /// Reads a file, with its faults.
    ///
    /// # Errors
    /// A file that cannot be read, or is no YAML.
    pub fn read(path: &Path) -> Result<Self, Vec<Diagnostic>> {
        let file = shown(path);
        let text = read_text(path).map_err(|fault| diagnostics(&file, "", vec![fault]))?;
        Self::parse(path, text)
    }

    /// As [`Suite::read`], of a text that is in `path`.
    pub fn parse(path: &Path, text: String) -> Result<Self, Vec<Diagnostic>> {
        let file = shown(path);
        let mut faults = Vec::new();
        let tests = match yaml::parse(&text) {
            Ok(root) => root.map_or_else(Vec::new, |root| Reader { text: &text }.file(&root, &mut faults)),
            Err(fault) => return Err(diagnostics(&file, &text, vec![fault])),
        };
        for (index, test) in tests.iter().enumerate() {
            if let Some(other) = tests[..index].iter().find(|other| other.name == test.name) {
                let message =
                    format!("`{}` is the name of the test in line {} already", test.name, other.spot.line);
                faults.push(Fault::new(test.spot, message));
            }
        }
        if tests.is_empty() && faults.is_empty() {
            faults.push(Fault::new(None, "no tests: expected a list of tests").hint(EXAMPLE));
        }
        Ok(Self { file, path: path.to_owned(), text, tests, faults })
    }

    /// What is wrong with the file, as far as it was found.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        diagnostics(&self.file, &self.text, self.faults.clone())
    }
}

impl Written {
    /// Whether the key has an alias, and the rows stand where its anchor does: they may be those of others too.
    pub fn is_elsewhere(&self) -> bool {
        self.list.start < self.after_key
    }
}

impl Expectation {
    /// No rows, as if it were written there.
    pub fn none(of: Of, name: &str, spot: Spot) -> Self {
        let written = Written { after_key: 0, list: 0..0, column: 0, is_block: false, is_in_braces: false };
        let (name, rows) = (name.to_owned(), Vec::new());
        Self { of, name, spot, rows, is_ordered: false, tolerance: None, written }
    }
}

/// The faults of a file whose text this is, each once, in the order of its lines.
fn diagnostics(file: &str, text: &str, mut faults: Vec<Fault>) -> Vec<Diagnostic> {
    faults.sort_by_key(|fault| fault.spot.map(|spot| spot.start));
    // What a file says for all of its tests is a fault in each of them.
    let mut reported: Vec<Fault> = Vec::new();
    for fault in faults {
        if !reported.contains(&fault) {
            reported.push(fault);
        }
    }
    let place = |spot: Option<Spot>| match spot {
        Some(spot) => spot.place(file, text),
        None => Place::of_file(file),
    };
    reported.into_iter().map(|fault| fault.into_diagnostic(Code::TestFile, place)).collect()
}

const EXAMPLE: &str =
    "for example `- { name: a deposit, messages: [{ customer: 1 }], expect: { reactions: [] } }`";

fn read_text(path: &Path) -> Result<String, Fault> {
    let unreadable = |error: std::io::Error| Fault::new(None, format!("the file cannot be read: {error}"));
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > FILE_BYTES_MAX {
        return Err(Fault::new(None, format!("{length} bytes, a test file has at most {FILE_BYTES_MAX}")));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        Fault::new(Spot { line, ..Spot::default() }, "the file is not UTF-8")
    })
}
