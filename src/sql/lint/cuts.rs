//! Views whose rows depend on how the messages are cut into batches, as far as that can be seen: what is counted, numbered
//! or chosen among the rows of one batch, with no state that carries it on to the next. And outputs whose rows do not
//! say which message they come from.

use std::collections::BTreeSet;

use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction, WindowFunctionDefinition};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, Volatility};

use super::super::tree;
use super::{BATCH, Code, Diagnostic, Fate, Place, Planned, Project, place, push_once, warning};
use crate::sql::raised::RAISE_ERROR;

/// The position of a row's message.
const IDENTITY: [&str; 2] = ["kafka_partition", "kafka_offset"];
/// Columns that grow, so that the largest of the last batch is the largest of all.
const GROWING: [&str; 2] = ["kafka_offset", "kafka_timestamp"];
/// Functions that carry on from batch to batch where the last row of a key wins.
const LAST_WINS: &[&str] = &["first_value", "last_value", "nth_value"];

/// Something computed from the rows of one batch alone.
struct Spot {
    place: Place,
    /// `count`, DISTINCT.
    what: String,
    /// Whether it does no harm where the last row of a key wins.
    is_of_last: bool,
}

pub(super) fn warnings(project: &Project<'_>) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for (view, fate) in &project.written {
        let reads = project.reads(view);
        let has_state = match fate {
            Fate::State(table) => reads.contains(table),
            Fate::Appended | Fate::Upserted => reads.iter().any(|name| project.is_state(name)),
        };
        for planned in project.views.iter().filter(|planned| reads.contains(planned.name)) {
            for spot in spots(project, planned).into_iter().filter(|_| !has_state) {
                if *fate == Fate::Appended || !spot.is_of_last {
                    push_once(&mut warnings, cut_dependent(&spot, view, *fate));
                }
            }
            warnings_of_clock(planned, &mut warnings);
        }
        if *fate == Fate::Appended {
            warnings.extend(without_identity(project, view));
        }
    }
    warnings
}

fn cut_dependent(spot: &Spot, view: &str, fate: Fate<'_>) -> Diagnostic {
    let Spot { what, place, .. } = spot;
    let depend = "depend on how the messages are cut into batches";
    let (message, hint) = match fate {
        Fate::Appended => (
            format!(
                "{what} sees only the rows of one batch: the rows appended for `{view}`, and their number, {depend}"
            ),
            "keep the state of each key in a state table, and read that table here; or append the messages as they are, and \
             count in the database",
        ),
        Fate::Upserted => (
            format!("{what} sees only the rows of one batch: the rows of `{view}` {depend}"),
            "make it a state table, whose view adds what is new to the old row",
        ),
        Fate::State(table) => (
            format!(
                "{what} sees only the rows of one batch, and `{view}` does not read the old rows of `{table}`: the state \
                 forgets what was before"
            ),
            "LEFT JOIN the state table, and add what is new to the old row: `coalesce(s.n, 0) + count(*)`",
        ),
    };
    warning(Code::CutDependent, place.clone(), message, hint)
}

/// What a view computes from the rows of one batch.
fn spots(project: &Project<'_>, view: &Planned<'_>) -> Vec<Spot> {
    let mut spots = Vec::new();
    let word = |word: &str| place::of_word(view.file, word).unwrap_or_else(|| view.file.start());
    tree::each_node(view.plan, &mut |node| {
        let inputs = node.inputs();
        if !inputs.iter().any(|input| project.is_of_batch(input)) {
            return;
        }
        match node {
            LogicalPlan::Aggregate(aggregate) if !is_by_message(project, &aggregate.group_expr, &inputs) => {
                let mut calls = Vec::new();
                aggregate.aggr_expr.iter().for_each(|expression| aggregates(expression, &mut calls));
                if calls.is_empty() {
                    let (what, place) = ("GROUP BY".to_owned(), word("group"));
                    spots.push(Spot { place, what, is_of_last: true });
                }
                spots.extend(calls.into_iter().map(|call| of_aggregate(project, view, &call, &inputs)));
            }
            LogicalPlan::Distinct(Distinct::All(input)) if !has_identity(project, input) => {
                let place = place::of_word(view.file, "distinct").unwrap_or_else(|| word("union"));
                spots.push(Spot { place, what: "DISTINCT".to_owned(), is_of_last: true });
            }
            LogicalPlan::Window(_) => tree::each_part_of(node, &mut |part| {
                let Expr::WindowFunction(call) = part else { return };
                if !is_by_message(project, &call.params.partition_by, &inputs) {
                    spots.push(of_window(view, call));
                }
            }),
            LogicalPlan::Limit(_) => {
                spots.push(Spot { place: word("limit"), what: "LIMIT".to_owned(), is_of_last: false });
            }
            _ => {}
        }
    });
    spots
}

fn aggregates(expression: &Expr, calls: &mut Vec<AggregateFunction>) {
    tree::each_part(expression, &mut |part| {
        if let Expr::AggregateFunction(call) = part {
            calls.push(call.clone());
        }
    });
}

fn of_aggregate(
    project: &Project<'_>,
    view: &Planned<'_>,
    call: &AggregateFunction,
    inputs: &[&LogicalPlan],
) -> Spot {
    let (name, arguments) = (call.func.name(), call.params.args.as_slice());
    let place = place::of_call(view.file, name, arguments).unwrap_or_else(|| view.file.start());
    let grows = || {
        let chains = arguments.first().map(|argument| project.trace.chains_of_expression(argument, inputs));
        name == "max"
            && GROWING.iter().any(|column| ends_in_batch(&chains.clone().unwrap_or_default(), column))
    };
    Spot { place, what: format!("`{name}`"), is_of_last: LAST_WINS.contains(&name) || grows() }
}

fn of_window(view: &Planned<'_>, call: &WindowFunction) -> Spot {
    let (name, arguments) = (call.fun.name(), call.params.args.as_slice());
    let place = place::of_call(view.file, name, arguments).unwrap_or_else(|| view.file.start());
    let is_ranking = matches!(call.fun, WindowFunctionDefinition::WindowUDF(_));
    Spot { place, what: format!("`{name}`"), is_of_last: is_ranking || LAST_WINS.contains(&name) }
}

/// Whether rows are grouped by the message they come from, so that a group never lies in two batches.
fn is_by_message(project: &Project<'_>, groups: &[Expr], inputs: &[&LogicalPlan]) -> bool {
    let chains: Vec<_> =
        groups.iter().map(|group| project.trace.chains_of_expression(group, inputs)).collect();
    IDENTITY.iter().all(|column| chains.iter().any(|chains| ends_in_batch(chains, column)))
}

/// Whether a plan has the partition and the offset of the messages among its columns.
fn has_identity(project: &Project<'_>, plan: &LogicalPlan) -> bool {
    missing_identity(project, plan).is_empty()
}

fn missing_identity(project: &Project<'_>, plan: &LogicalPlan) -> Vec<&'static str> {
    let columns = 0..plan.schema().fields().len();
    let chains: Vec<_> = columns.map(|index| project.trace.chains(plan, index)).collect();
    let is_missing = |column: &&str| !chains.iter().any(|chains| ends_in_batch(chains, column));
    IDENTITY.into_iter().filter(is_missing).collect()
}

/// Whether all branches lead to a column of the batch.
fn ends_in_batch(chains: &[Vec<super::trace::Origin>], column: &str) -> bool {
    let leads = |chain: &Vec<super::trace::Origin>| {
        chain.last().is_some_and(|(relation, found)| relation == BATCH && found == column)
    };
    !chains.is_empty() && chains.iter().all(leads)
}

fn without_identity(project: &Project<'_>, view: &str) -> Option<Diagnostic> {
    let view = project.view(view)?;
    let missing = missing_identity(project, view.plan);
    if missing.is_empty() || !project.is_of_batch(view.plan) {
        return None;
    }
    let missing: Vec<String> = missing.iter().map(|column| format!("`{column}`")).collect();
    let message = format!(
        "rows of output `{}` do not say which message they come from: {} missing",
        view.name,
        if missing.len() == 1 {
            format!("{} is", missing[0])
        } else {
            format!("{} are", missing.join(" and "))
        }
    );
    let hint =
        "select them, through each view on the way, so that a row can be traced and a doubled one seen";
    Some(warning(Code::NoMessageIdentity, view.file.start(), message, hint))
}

/// Functions whose value is another one when a batch is computed again.
fn warnings_of_clock(view: &Planned<'_>, warnings: &mut Vec<Diagnostic>) {
    let mut said = BTreeSet::new();
    tree::each_node(view.plan, &mut |node| {
        tree::each_part_of(node, &mut |part| {
            let Expr::ScalarFunction(call) = part else { return };
            // It has no value.
            if call.name() == RAISE_ERROR {
                return;
            }
            let hint = match call.func.signature().volatility {
                Volatility::Immutable => return,
                Volatility::Stable => "`kafka_timestamp` is the time of the message, and stays",
                Volatility::Volatile => {
                    "derive it from the message: `md5(concat_ws('/', kafka_topic, kafka_partition, kafka_offset))`"
                }
            };
            let aliases = call.func.aliases().iter().map(String::as_str);
            let names: Vec<&str> = std::iter::once(call.name()).chain(aliases).collect();
            if !said.insert(names[0].to_owned()) {
                return;
            }
            let place = names.iter().find_map(|name| place::of_word(view.file, name));
            let message = format!("`{}` returns another value if a batch is computed again", names[0]);
            let place = place.unwrap_or_else(|| view.file.start());
            push_once(warnings, warning(Code::NotRepeatable, place, message, hint));
        });
    });
}
