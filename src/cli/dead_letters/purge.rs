//! `dead-letters purge`: old ones deleted. Those that were never replayed go only if asked for.

use std::time::Duration;

use super::{FILTERS, Filter, Moment, counted, database_failed};
use crate::cli::confirm::confirm;
use crate::cli::failure::Failure;
use crate::cli::results::Results;
use crate::cli::terminal;
use crate::config::{Config, read_duration};
use crate::sink::{Selection, StoredLetters};

/// Delete old dead letters.
///
/// The command shows what it would delete, and asks first. Dead letters that were not replayed are deleted only with
/// `--unreplayed`, because they may be all that is left of their messages. The oldest are deleted first, in several
/// transactions.
#[derive(Debug, clap::Args)]
#[command(after_long_help = crate::cli::help_end(&[
    "realtime-processor dead-letters purge --older-than 30d",
    "realtime-processor dead-letters purge --older-than 365d --unreplayed --yes",
    "realtime-processor dead-letters purge --unreplayed --stage decode --until 2026-03-01",
]))]
pub(super) struct Arguments {
    #[command(flatten)]
    filter: Filter,
    /// Only those that were written longer ago than this, such as 12h or 30d.
    #[arg(long, value_name = "D", value_parser = parse_duration, required_unless_present_any = FILTERS)]
    older_than: Option<Duration>,
    /// Also delete those that were not replayed: their messages are lost.
    #[arg(long)]
    unreplayed: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    read_duration(text).ok_or_else(|| "expected a time with its unit, such as 12h or 30d".to_owned())
}

pub(super) async fn run(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let Some(mut letters) = super::open(config).await? else { return Ok(()) };
    let now = letters.now_micros().await.map_err(database_failed)?;
    let old = old(&arguments.filter, arguments.older_than, now);
    let replayed = Selection { is_replayed: Some(true), ..old.clone() };
    let waiting = Selection { is_replayed: Some(false), ..old.clone() };
    let counts = (
        letters.count(&replayed).await.map_err(database_failed)?,
        letters.count(&waiting).await.map_err(database_failed)?,
    );
    terminal::say(&plan(counts, arguments.unreplayed));
    let (doomed, count) = match arguments.unreplayed {
        true => (&old, counts.0 + counts.1),
        false => (&replayed, counts.0),
    };
    if count == 0 {
        return Results::to_stdout().write("0 dead letters deleted\n").map(drop);
    }
    if !arguments.yes {
        confirm()?;
    }
    let deleted = delete(&mut letters, doomed).await?;
    Results::to_stdout().write(&format!("{} deleted\n", counted(deleted, "dead letter"))).map(drop)
}

/// Those of the filter that are as old as `older_than` says.
fn old(filter: &Filter, older_than: Option<Duration>, now: i64) -> Selection {
    let chosen = filter.selection(now);
    let before = older_than.map(|age| Moment::Ago(age).micros(now));
    let until = chosen.created_before_micros;
    let before = before.map_or(until, |before| Some(until.map_or(before, |until| until.min(before))));
    Selection { created_before_micros: before, ..chosen }
}

/// What a purge will do, in words.
fn plan((replayed, waiting): (i64, i64), unreplayed: bool) -> String {
    let mut lines = vec![format!("{replayed} dead letters that were replayed would be deleted")];
    match (waiting, unreplayed) {
        (0, _) => {}
        (waiting, true) => lines.push(format!(
            "{waiting} dead letters that were NOT replayed would be deleted: their messages would be lost for good"
        )),
        (waiting, false) => lines.push(format!(
            "{waiting} that were not replayed would stay (--unreplayed deletes them)"
        )),
    }
    lines.join("\n")
}

async fn delete(letters: &mut StoredLetters, doomed: &Selection) -> Result<u64, Failure> {
    let (mut all, mut after) = (0, i64::MIN);
    loop {
        let some = letters.delete_some(doomed, after).await;
        let some = some.map_err(|error| {
            let hint = format!("{all} dead letters are deleted already");
            Failure::failed(error.found().within("the database").with_further_hint(&hint))
        })?;
        let Some((deleted, last)) = some else { return Ok(all) };
        all += deleted;
        after = last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_said() {
        assert_eq!(plan((5, 0), false), "5 dead letters that were replayed would be deleted");
        assert!(
            plan((5, 2), false).ends_with("2 that were not replayed would stay (--unreplayed deletes them)")
        );
        assert!(plan((0, 2), true).ends_with(
            "2 dead letters that were NOT replayed would be deleted: their messages would be lost for good"
        ));
        assert!(parse_duration("30").is_err());
    }

    #[test]
    fn the_earlier_of_two_bounds_counts() {
        let filter = |until| Filter { stage: None, place: None, code: None, since: None, until };
        let before = |until, older_than| old(&filter(until), older_than, 5_000_000).created_before_micros;
        let second = Some(Duration::from_secs(1));
        assert_eq!(before(None, second), Some(4_000_000));
        assert_eq!(before(Some(Moment::At(3_000_000)), second), Some(3_000_000));
        assert_eq!(before(Some(Moment::At(4_500_000)), second), Some(4_000_000));
        assert_eq!(before(Some(Moment::At(4_500_000)), None), Some(4_500_000));
        assert_eq!(before(None, None), None);
    }
}
