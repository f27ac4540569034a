//! The transaction that ends a trigger: rows, dead letters and Kafka offsets stand in the database together, or
//! none of them does.
//!
//! [`Sink::connect`] creates and checks the tables before the first message is read. [`Sink::claim`] makes this
//! instance the owner of partitions, and [`Sink::commit`] writes one batch, if this instance still is.
//! Every value is checked against its column before ([`Tables::prepare`]), so what the database would refuse,
//! round or cut is known without a round trip. When to try again is the engine's matter; this module says what
//! happened ([`SinkError::fault`], [`Sink::outcome`]) and leaves no transaction open.
//!
//! Whatever asks the database fails if it does not answer or refuses the statement. `# Errors` names what else fails.

// From whole transactions to single statements: each file uses only files below it.

// The transaction of a batch or of a replay, and what it is made of.
mod transaction;
mod replay;
mod refused;
mod prepared;
mod refusal;
mod state;
// What happens beside: the check at the start, schemas, fills, and what commands and the page read.
mod expected;
mod schemas;
mod check;
mod fills;
mod instances;
mod letters;
mod stored;
// The parts of a transaction, in the order in which it sends them.
mod versions;
mod offsets;
mod load;
mod script;
mod dead_letters;
mod output;
// Tables, and the text of statements.
mod width;
mod requirements;
mod order;
mod ddl;
mod shapes;
mod statement;
mod columns;
mod error;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::datatypes::SchemaRef;

use crate::batch::{DELETE_COLUMN, SqlVersion};
use crate::config::{BulkLoad, CreateTables, Created, Mode};
use crate::database::{Address, DatabaseError, Dialect, Home, Link, Table};

pub use ddl::{column_type, create_statements, own_tables};
pub use error::{SinkError, TableFault};
pub use fills::{Begun, FillId, Standing};
pub use instances::{Instance, Instances};
pub use letters::{Cause, LetterCursor, LetterOrder, Selection, StoredLetter, StoredLetters};
pub use output::{Age, Replaced};
pub use prepared::Prepared;
pub use refused::RefusedRow;
pub use replay::{OpenedReplay, Waiting};
pub use schemas::StoredSchemas;
pub use state::EXPIRED_ROWS_MAX;
pub use stored::{CLEARED_ROWS_MAX, StateRows, StoredOffset, StoredOffsets};
use versions::Versions;

/// A view whose rows are written, and the table they are written to. Outputs and state tables each keep their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The view's name, for messages.
    pub name: String,
    pub table: String,
    pub mode: Mode,
    /// Of the view's rows; of a state table, of [`crate::batch::StateChange::rows`].
    pub schema: SchemaRef,
    pub kind: TargetKind,
    pub created: Created,
}

impl Target {
    pub fn is_state(&self) -> bool {
        self.kind.is_state()
    }

    /// Whether its rows say if they delete.
    pub fn deletes(&self) -> bool {
        self.schema.field_with_name(DELETE_COLUMN).is_ok()
    }
}

/// What a table is to the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// It is written.
    Output,
    /// It is read and written by its key. `expires`: old rows are deleted.
    State { expires: bool },
}

impl TargetKind {
    fn is_state(self) -> bool {
        matches!(self, Self::State { .. })
    }
}

/// The one writer of a lane: a connection, opened again after it was lost, and how each output is written.
pub struct Sink {
    link: Link,
    job: String,
    tables: Tables,
    load: load::Load,
    versions: Versions,
    fills: fills::Fills,
}

/// The tables of a job, checked, and how they are written.
#[derive(Clone)]
pub struct Tables {
    outputs: Vec<Arc<output::Output>>,
    states: Vec<Arc<output::Output>>,
    /// One for each of `states`.
    readers: Vec<state::StateReader>,
    /// All of `outputs`, then all of `states`, by their places: parents before the tables that name them.
    order: Vec<usize>,
    /// Whether the sink uses LOAD DATA.
    loads: Arc<AtomicBool>,
}

impl Tables {
    /// Checks as [`Sink::connect`] does, beside a job that runs. Nothing is created before everything else is found to
    /// be right.
    ///
    /// # Errors
    /// As [`Sink::connect`].
    pub async fn open(
        address: Address,
        job: &str,
        targets: &[Target],
        create_tables: CreateTables,
    ) -> Result<Self, SinkError> {
        let Inspection { faults, .. } = check::check(address.clone(), job, targets, create_tables).await?;
        if !faults.is_empty() {
            return Err(SinkError::Check(faults));
        }
        let (_, written) = check::connect(address, job, targets, create_tables).await?;
        Ok(Self::new(targets, written))
    }

    /// What is written: outputs by the names of their views, state tables by their own.
    fn names(&self) -> BTreeSet<String> {
        let outputs = self.outputs.iter().map(|output| output.view.clone());
        outputs.chain(self.states.iter().map(|state| state.table.clone())).collect()
    }

    fn new(targets: &[Target], written: Vec<output::Output>) -> Self {
        let written = written.into_iter().map(Arc::new);
        let (states, outputs): (Vec<_>, Vec<_>) = written.partition(|output| output.kind.is_state());
        let all: Vec<&output::Output> = outputs.iter().chain(&states).map(Arc::as_ref).collect();
        let (order, _) = order::parents_first(&output::parents(&all));
        let readers = targets.iter().filter(|target| target.kind.is_state());
        Self {
            outputs,
            states,
            readers: readers.map(state::StateReader::new).collect(),
            order,
            loads: Arc::default(),
        }
    }
}

/// What a commit sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Statements, the fence's and COMMIT too.
    pub statements: usize,
    /// Rows of outputs, state and dead letters.
    pub rows: usize,
    /// Rows of state that were deleted for their age.
    pub expired: usize,
}

/// The result of a commit whose answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Committed,
    NotCommitted,
    /// Another instance has the partitions; whether the batch was committed, its offsets know.
    Fenced,
}

impl Sink {
    /// Connects, creates the tables that are missing, as far as `create_tables` says, and checks all of them.
    ///
    /// # Errors
    /// [`SinkError::Check`] with every fault of every table; or the database could not be reached.
    pub async fn connect(
        address: Address,
        job: &str,
        targets: Vec<Target>,
        create_tables: impl Into<CreateTables>,
    ) -> Result<Self, SinkError> {
        let create_tables = create_tables.into();
        let (link, written) = check::connect(address, job, &targets, create_tables).await?;
        let tables = Tables::new(&targets, written);
        let load = load::Load::new(BulkLoad::Auto);
        let (versions, fills) = (Versions::default(), fills::Fills::default());
        Ok(Self { link, job: job.to_string(), tables, load, versions, fills })
    }

    /// The SQL that computes the rows, which is recorded with them; nothing is where this was never said.
    #[must_use]
    pub fn with_sql(self, sql: SqlVersion) -> Self {
        Self { versions: Versions::of(sql), ..self }
    }

    /// The outputs and state tables that are not written before they are filled.
    #[must_use]
    pub fn with_fills(self, to_fill: BTreeSet<String>) -> Self {
        Self { fills: fills::Fills::of(to_fill), ..self }
    }

    /// The outputs and state tables that are not written before they are filled.
    pub fn to_fill(&self) -> &BTreeSet<String> {
        self.fills.configured()
    }

    /// What is not written now, as of the last claim.
    pub fn waiting(&self) -> &BTreeSet<String> {
        self.fills.waiting()
    }

    /// Writes to other tables from the next transaction on, whose rows another SQL computes. `to_fill`: those of them that
    /// are not written before they are filled.
    pub fn change(&mut self, tables: Tables, sql: SqlVersion, to_fill: BTreeSet<String>) {
        self.tables = Tables { loads: Arc::clone(&self.tables.loads), ..tables };
        self.versions = Versions::of(sql);
        self.fills.change(to_fill);
    }

    /// The tables that it writes to, for [`Tables::prepare`].
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Writes to the same server as all links that share this home.
    pub fn share(&mut self, home: &Home) {
        self.link.share(home);
    }

    /// Whether rows may be written by LOAD DATA.
    #[must_use]
    pub fn with_bulk_load(self, wanted: BulkLoad) -> Self {
        Self { load: load::Load::new(wanted), ..self }
    }

    /// Another writer to the same tables, with a connection of its own, which is opened when it is first used.
    #[must_use]
    pub fn another(&self) -> Self {
        Self {
            link: self.link.another(),
            job: self.job.clone(),
            tables: self.tables.clone(),
            load: self.load.clone(),
            versions: self.versions.clone(),
            fills: self.fills.clone(),
        }
    }

    /// Checks as [`Sink::connect`] does and changes nothing. Tables that are missing are faults only if `create_tables`
    /// does not let a job create them.
    ///
    /// # Errors
    /// The database could not be reached, or refuses the user.
    pub async fn check(
        address: Address,
        job: &str,
        targets: &[Target],
        create_tables: impl Into<CreateTables>,
    ) -> Result<Inspection, DatabaseError> {
        check::check(address, job, targets, create_tables.into()).await
    }
}

/// What a check of the tables has found.
#[derive(Clone, Debug)]
pub struct Inspection {
    pub dialect: Dialect,
    pub faults: Vec<TableFault>,
    /// Names of tables that were created.
    pub created: Vec<String>,
    /// Columns that a job would add.
    pub additions: Vec<TableFault>,
    /// Tables that a job would create, though one with nearly the same name is there.
    pub misspelt: Vec<TableFault>,
    /// Tables whose foreign keys name each other in a cycle.
    pub cycles: Vec<TableFault>,
    /// Tables that take the rows otherwise than a reader of the SQL may expect.
    pub warnings: Vec<TableFault>,
    /// For each target the table as it is; `None` where it is missing.
    pub tables: Vec<Option<Table>>,
}

impl Inspection {
    /// Before anything is found.
    fn of_nothing(dialect: Dialect) -> Self {
        Self {
            dialect,
            faults: Vec::new(),
            created: Vec::new(),
            additions: Vec::new(),
            misspelt: Vec::new(),
            cycles: Vec::new(),
            warnings: Vec::new(),
            tables: Vec::new(),
        }
    }
}

impl Inspection {
    /// What is known without a database: whether the columns of the targets have a place in a table.
    pub fn without_database(targets: &[Target], dialect: Dialect) -> Self {
        check::without_database(targets, dialect)
    }
}

#[cfg(test)]
mod tests;
