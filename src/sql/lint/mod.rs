//! SQL that runs and probably does not do what it is meant to. Everything here is read off the plans as they are before
//! they are optimised, where the SQL can still be recognised; there is no warning if it cannot be known.

mod conversions;
mod cuts;
mod elsewhere;
mod keyed;
mod length;
mod names;
mod order;
mod place;
mod state;
mod trace;
mod unique;

use std::collections::BTreeSet;

use datafusion::logical_expr::LogicalPlan;

use super::view_files::ViewFile;
use super::{BATCH, Survey};
use crate::diagnostic::{Code, Diagnostic, Place};
pub(super) use conversions::is_comparison;
use trace::Trace;
pub(super) use trace::{Definition, definitions, index_of_name, passed_on, plain_column, unaliased};

/// What becomes of the rows of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate<'a> {
    Appended,
    Upserted,
    /// They are the new rows of this state table.
    State(&'a str),
}

/// What the rules look at.
struct Project<'a> {
    survey: &'a Survey<'a>,
    /// The views that could be planned and that a job computes, in the order of computing.
    views: Vec<Planned<'a>>,
    trace: Trace<'a>,
    /// The views whose rows are written.
    written: Vec<(&'a str, Fate<'a>)>,
}

/// A view with what it was planned to.
struct Planned<'a> {
    name: &'a str,
    file: &'a ViewFile,
    plan: &'a LogicalPlan,
}

impl Survey<'_> {
    /// What probably is wrong with the views; `is_append` says which of the outputs are appended.
    pub fn warnings(&self, is_append: &dyn Fn(&str) -> bool) -> Vec<Diagnostic> {
        let project = Project::new(self, is_append);
        let mut warnings = Vec::new();
        for view in &project.views {
            warnings.extend(names::warnings(&project, view));
            warnings.extend(conversions::warnings(view));
            warnings.extend(order::warnings(view));
            warnings.extend(elsewhere::warnings(&project, view));
            warnings.extend(keyed::warnings(&project, view));
        }
        warnings.extend(cuts::warnings(&project));
        warnings.extend(state::warnings(&project));
        // Among faults it is not known what reads what.
        let unused = self.graph.unused.iter().filter(|_| self.faults().len() == 0);
        warnings.extend(unused.map(|view| {
            let place = self.files.get(view).map(ViewFile::start).unwrap_or_default();
            let message = format!("view `{view}` is not used: no output, state table or other view needs it");
            let hint = "name it under `outputs`, or delete the file; a job does not compute it";
            Diagnostic::warning(Code::Unused, place, message).with_hint(hint)
        }));
        warnings
    }

    /// The most characters that the texts of a view's column have, where that can be known.
    pub fn characters_max(&self, view: &str, column: &str) -> Option<u64> {
        let project = Project::new(self, &|_| true);
        length::characters_max(&project, view, column)
    }

    /// Whether a view has one row in a batch for each key; also where it cannot be known, because it could not be planned.
    pub fn is_unique(&self, view: &str, key: &[String]) -> bool {
        let project = Project::new(self, &|_| true);
        unique::is_unique(&project, view, key)
    }

    /// The columns of `batch` that a view's column is a plain copy of, one for each branch of a UNION; none if one of
    /// them is anything else.
    pub fn batch_columns(&self, view: &str, column: &str) -> Vec<String> {
        let project = Project::new(self, &|_| true);
        let Some(plan) = project.trace.plan(view) else { return Vec::new() };
        let Some(index) = index_of_name(plan, column) else { return Vec::new() };
        let origin = |chain: Vec<trace::Origin>| {
            chain.into_iter().next_back().filter(|(relation, _)| relation == BATCH).map(|(_, column)| column)
        };
        project.trace.chains(plan, index).into_iter().map(origin).collect::<Option<_>>().unwrap_or_default()
    }
}

/// What probably is wrong with a query that somebody types; of these rules, those that need no project.
pub(super) fn of_query(file: &ViewFile, plan: &LogicalPlan) -> Vec<Diagnostic> {
    let query = Planned { name: &file.name, file, plan };
    let mut warnings = conversions::warnings(&query);
    warnings.extend(elsewhere::of_rows(&query, true));
    warnings
}

impl<'a> Project<'a> {
    fn new(survey: &'a Survey<'a>, is_append: &dyn Fn(&str) -> bool) -> Self {
        let planned = survey.views().filter_map(|view| {
            let file = survey.files.get(&view.name)?;
            Some(Planned { name: &file.name, file, plan: &view.logical })
        });
        let planned: Vec<Planned<'a>> = planned.collect();
        let trace = Trace::new(planned.iter().map(|view| (view.name, view.plan)));
        let is_used = |view: &Planned<'_>| !survey.graph.unused.iter().any(|unused| unused == view.name);
        let views: Vec<Planned<'a>> = planned.into_iter().filter(is_used).collect();
        let fate = |view: &str| if is_append(view) { Fate::Appended } else { Fate::Upserted };
        let outputs = survey.graph.outputs.iter().map(|view| (view.as_str(), fate(view)));
        let states = survey.tables.iter();
        let states = states.filter_map(|table| Some((table.state_view()?, Fate::State(&table.name))));
        let written = outputs.chain(states).collect();
        Self { survey, views, trace, written }
    }

    fn view(&self, name: &str) -> Option<&Planned<'a>> {
        self.views.iter().find(|view| view.name == name)
    }

    /// Whether it is a state table.
    fn is_state(&self, name: &str) -> bool {
        self.survey.tables.iter().any(|table| table.name == name && table.state.is_some())
    }

    /// All that a view reads, directly or through others, and itself.
    fn reads(&self, view: &str) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&'a str> =
            self.survey.files.get(view).map(|file| file.name.as_str()).into_iter().collect();
        while let Some(next) = open.pop() {
            if found.insert(next) {
                let reads = self.survey.files.get(next).into_iter().flat_map(|file| &file.reads);
                open.extend(reads.map(|reference| reference.relation.as_str()));
            }
        }
        found
    }

    /// Whether some rows of a plan come from the messages of the batch.
    fn is_of_batch(&self, plan: &LogicalPlan) -> bool {
        relations(plan).iter().any(|relation| *relation == BATCH || self.reads(relation).contains(BATCH))
    }
}

/// The relations that a plan scans, but for those of subqueries in expressions.
fn relations(plan: &LogicalPlan) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    collect_relations(plan, &mut names);
    names
}

fn collect_relations<'p>(plan: &'p LogicalPlan, names: &mut BTreeSet<&'p str>) {
    if let LogicalPlan::TableScan(scan) = plan {
        names.insert(scan.table_name.table());
    }
    for input in plan.inputs() {
        collect_relations(input, names);
    }
}

/// A warning that comes once for each place.
fn push_once(warnings: &mut Vec<Diagnostic>, warning: Diagnostic) {
    let is_said = |other: &Diagnostic| other.code == warning.code && other.place == warning.place;
    if !warnings.iter().any(is_said) {
        warnings.push(warning);
    }
}

fn warning(code: Code, place: Place, message: String, hint: &str) -> Diagnostic {
    Diagnostic::warning(code, place, message).with_hint(hint)
}
