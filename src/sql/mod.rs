//! The SQL of a job: the files of `sql/`, the order their views are computed in, and prepared plans that turn
//! each batch into the rows of the outputs.
//!
//! Every view is planned once and computed once a batch; its rows are what other views, outputs and metrics see.
//! Nothing here looks up the rows of a table: a [`Pipeline`] asks for them, by keys it has computed.

mod bins;
mod bounded;
mod coercion;
mod columns;
mod constants;
mod dialect;
mod error;
mod failing;
mod faulty;
mod forms;
mod functions;
mod guarded;
mod graph;
mod intervals;
mod keys;
mod limits;
mod lineage;
mod lint;
mod literals;
mod locate;
mod mixed_types;
mod moments;
mod names;
mod nulls;
mod numbers;
mod operators;
mod optimizer;
mod physical;
mod pipeline;
mod placed;
mod quoted;
mod raised;
mod rewrite;
mod rounding;
mod run_errors;
mod session;
mod signed;
mod slot;
mod sql_types;
mod state;
mod statement;
mod survey;
mod texts;
mod tree;
mod type_names;
mod typed;
mod upstream;
mod view;
mod view_files;
mod walk;
mod width;
mod windows;
mod wrapped;
mod zones;

#[cfg(test)]
mod tests;

use arrow::datatypes::SchemaRef;

use crate::config::KeyPlace;
use crate::diagnostic::Place;

pub use error::{SqlError, SqlErrorKind};
pub use failing::{SEARCH_MAX, failing_rows};
pub use faulty::Faulty;
pub use functions::FunctionHelp;
pub use graph::Scope;
pub(crate) use names::hint as name_hint;
pub(crate) use physical::{Physical, PhysicalOperator, leaf};
pub use pipeline::{Computed, Pipeline, PlannedState};
pub(crate) use quoted::quoted;
pub use session::type_of;
pub use survey::Survey;
pub use type_names::type_name;
pub use typed::{QueryRows, QuerySession, Typed, TypedPlan};
pub use view_files::ViewFiles;

/// What SQL calls the messages of a trigger.
pub const BATCH: &str = "batch";

/// The function that takes a field out of a record.
const FIELD_OF: &str = "get_field";

/// A table that views may read, as it is planned on.
#[derive(Clone, Debug)]
pub struct TableSpec {
    pub name: String,
    /// Its columns; for a table that no view reads, any. Not looked at for a state table: they follow from its view.
    pub schema: SchemaRef,
    /// The key's columns; empty: the table is seen whole.
    pub key: Vec<String>,
    /// What the key equals: for each alternative, one place for each column of the key, all of one relation.
    pub matches: Vec<Vec<KeyPlace>>,
    /// What makes it a state table.
    pub state: Option<StateView>,
    /// Where it is configured, for messages.
    pub place: Place,
}

/// The view that computes the new rows of a state table.
#[derive(Clone, Debug)]
pub struct StateView {
    pub view: String,
    /// Whether keys come with the partition of their messages.
    pub follows_partition: bool,
}

impl TableSpec {
    fn state_view(&self) -> Option<&str> {
        self.state.as_ref().map(|state| state.view.as_str())
    }

    /// False for a reference table that was not opened, because nothing reads it.
    fn is_open(&self) -> bool {
        self.state.is_some() || !self.schema.fields().is_empty()
    }

    /// What its rows are found by, and what computes them.
    fn reads(&self) -> impl Iterator<Item = &str> {
        let places = self.matches.iter().flatten().map(|place| place.relation.as_str());
        places.chain(self.state_view())
    }
}
