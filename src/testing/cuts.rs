//! The law of cuts, tried on the messages of a test: rows of append outputs, final rows of upsert outputs and of state, and
//! dead letters do not depend on how the messages are cut into batches. Views that are no outputs are not compared.
//!
//! Messages are cut in topic, partition, offset order, which is the order they stand in within one batch; so all
//! cuts are of one serial order, also where the messages of a key come by several partitions.

use super::compare::compare_tables;
use super::difference::Difference;
use super::run::{Batches, Case, Observed, Ran, run};
use super::table::Table;
use crate::config::Mode;
use crate::engine::Rehearsal;

/// Places where a test's messages are cut in two, at most; where there are more, these are spread over them.
const PLACES_MAX: usize = 64;
/// Runs that are spent on making a cut smaller.
const SHRINKING_RUNS_MAX: usize = 400;

/// What the law is broken by.
#[derive(Clone, Debug)]
pub(super) struct Breach {
    /// Messages by their places, in the batches that show it. Two batches at least.
    pub batches: Batches,
    pub found: Found,
}

#[derive(Clone, Debug)]
pub(super) enum Found {
    /// Rows of this relation: in one batch, and cut.
    Rows { relation: String, kind: &'static str, difference: Difference },
    /// The error that would stop the job: in one batch, and cut; `None` if nothing does.
    Stop { whole: Option<String>, cut: Option<String> },
    /// The same messages in the same batch gave other rows when run again.
    Unrepeatable { relation: String, difference: Difference },
}

/// What the law is about: rows that are left in the end.
struct Relation<'o> {
    name: String,
    kind: &'static str,
    /// The columns that tell a person which row it is.
    key: Vec<String>,
    whole: &'o Table,
    cut: &'o Table,
}

/// Cuts a test's messages into single ones, then in two at each place, and compares with `whole`.
pub(super) async fn find_breach(rehearsal: &mut Rehearsal, case: &Case, whole: &Ran) -> Option<Breach> {
    let count = case.recording.messages.len();
    if count < 2 {
        return None;
    }
    let singles: Batches = (0..count).map(|place| vec![place]).collect();
    let halves = places(count).map(|place| vec![(0..place).collect(), (place..count).collect()]);
    // Two messages have one cut.
    let halves = halves.filter(|_| count > 2);
    for batches in std::iter::once(singles).chain(halves) {
        let cut = run(rehearsal, case, &batches).await;
        let Some(found) = compare(rehearsal, case, whole, &cut) else { continue };
        let again = run(rehearsal, case, &[(0..count).collect()]).await;
        if let Some(Found::Rows { relation, difference, .. }) = compare(rehearsal, case, whole, &again) {
            return Some(Breach { batches, found: Found::Unrepeatable { relation, difference } });
        }
        return Some(shrink(rehearsal, case, Breach { batches, found }).await);
    }
    None
}

fn places(count: usize) -> impl Iterator<Item = usize> {
    let shown = (count - 1).min(PLACES_MAX);
    (0..shown).map(move |index| 1 + index * (count - 1) / shown)
}

/// Fewer batches, then fewer messages, as long as the law stays broken.
async fn shrink(rehearsal: &mut Rehearsal, case: &Case, mut smallest: Breach) -> Breach {
    let mut runs = 0;
    loop {
        let mut is_smaller = false;
        for batches in merged(&smallest.batches).chain(shortened(&smallest.batches)) {
            runs += 1;
            if runs > SHRINKING_RUNS_MAX {
                return smallest;
            }
            let whole = run(rehearsal, case, &[batches.concat()]).await;
            let cut = run(rehearsal, case, &batches).await;
            if let Some(found) = compare(rehearsal, case, &whole, &cut) {
                smallest = Breach { batches, found };
                is_smaller = true;
                break;
            }
        }
        if !is_smaller {
            return smallest;
        }
    }
}

/// The same messages in one batch less, two at least.
fn merged(batches: &Batches) -> impl Iterator<Item = Batches> + use<> {
    let batches = batches.clone();
    let pairs = if batches.len() > 2 { 1..batches.len() } else { 1..1 };
    pairs.map(move |second| {
        let mut merged = batches.clone();
        let moved = merged.remove(second);
        merged[second - 1].extend(moved);
        merged
    })
}

/// One message less, in two batches at least.
fn shortened(batches: &Batches) -> impl Iterator<Item = Batches> + use<> {
    let batches = batches.clone();
    let messages: Vec<usize> = batches.concat();
    let without = move |message: usize| {
        let mut shortened = batches.clone();
        shortened.iter_mut().for_each(|batch| batch.retain(|other| *other != message));
        shortened.retain(|batch| !batch.is_empty());
        shortened
    };
    messages.into_iter().map(without).filter(|batches| batches.len() > 1)
}

fn compare(rehearsal: &Rehearsal, case: &Case, whole: &Ran, cut: &Ran) -> Option<Found> {
    let (whole, cut) = match (whole, cut) {
        (Ok(whole), Ok(cut)) => (whole, cut),
        (Err(_), Err(_)) => return None,
        (whole, cut) => {
            let (whole, cut) = (whole.as_ref().err().cloned(), cut.as_ref().err().cloned());
            return Some(Found::Stop { whole, cut });
        }
    };
    let expectations = &case.test.expectations;
    relations(rehearsal, whole, cut).into_iter().find_map(|relation| {
        let Relation { name, kind, key, whole, cut } = relation;
        let tolerance = expectations.iter().find(|e| e.name == name).and_then(|e| e.tolerance);
        let difference = compare_tables(whole, cut, tolerance, &key)?;
        Some(Found::Rows { relation: name, kind, difference })
    })
}

fn relations<'o>(rehearsal: &Rehearsal, whole: &'o Observed, cut: &'o Observed) -> Vec<Relation<'o>> {
    let place = || vec!["kafka_topic".to_owned(), "kafka_partition".to_owned(), "kafka_offset".to_owned()];
    let outputs = rehearsal.views().iter().zip(whole.views.iter().zip(&cut.views));
    let outputs = outputs.filter_map(|(view, (whole, cut))| {
        let (kind, key) = match view.mode.as_ref()? {
            Mode::Append => ("append output", place()),
            Mode::Upsert(upsert) => ("upsert output", upsert.key.clone()),
        };
        Some(Relation { name: view.name.clone(), kind, key, whole, cut })
    });
    let states = rehearsal.states().iter().zip(whole.states.iter().zip(&cut.states));
    let states = states.map(|(state, (whole, cut))| Relation {
        name: state.name.clone(),
        kind: "state table",
        key: state.key.clone(),
        whole,
        cut,
    });
    let (whole, cut) = (&whole.dead_letters, &cut.dead_letters);
    let dead_letters = Relation { name: "dead letters".into(), kind: "", key: place(), whole, cut };
    outputs.chain(states).chain([dead_letters]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_are_at_each_place_or_spread() {
        assert_eq!(places(2).collect::<Vec<_>>(), [1]);
        assert_eq!(places(5).collect::<Vec<_>>(), [1, 2, 3, 4]);
        let spread: Vec<usize> = places(1000).collect();
        assert_eq!(spread.len(), PLACES_MAX);
        assert!(spread.iter().all(|place| (1..1000).contains(place)));
        assert!(spread.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn smaller_cuts_have_two_batches_at_least() {
        let batches = vec![vec![0], vec![1, 2], vec![3]];
        assert_eq!(
            merged(&batches).collect::<Vec<_>>(),
            [vec![vec![0, 1, 2], vec![3]], vec![vec![0], vec![1, 2, 3]]]
        );
        assert_eq!(merged(&vec![vec![0], vec![1]]).count(), 0);
        assert_eq!(shortened(&vec![vec![0], vec![1]]).count(), 0);
        let shorter: Vec<Batches> = shortened(&vec![vec![0], vec![1, 2]]).collect();
        assert_eq!(shorter, [vec![vec![0], vec![2]], vec![vec![0], vec![1]]]);
    }
}
