//! What SQL reads and computes in a job, for people: the batch, the tables and the views, and what reads what.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use crate::mask::Mask;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    Batch,
    Reference,
    State,
    View,
}

impl RelationKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Reference => "reference",
            Self::State => "state",
            Self::View => "view",
        }
    }
}

/// A table or a view, as the job uses it.
#[derive(Clone, Debug)]
pub struct Relation {
    pub name: Arc<str>,
    pub kind: RelationKind,
    pub schema: SchemaRef,
    /// What of its columns must not be shown.
    pub masks: Vec<Mask>,
    /// Names of relations; of a keyed table those that its key is compared with.
    pub reads: Vec<String>,
    /// The database table that its rows are written to, if it is an output.
    pub output: Option<String>,
    /// The state table whose new rows it computes.
    pub state_of: Option<String>,
    /// Whether a batch needs it.
    pub is_used: bool,
}
