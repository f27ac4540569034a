//! `/api/sql`: which version of the SQL the job uses, since when, and how it differs from the one before.

use serde_json::{Value, json};

use super::Shared;
use super::json::{texts, time};
use super::letters::utc;
use super::text_diff::unified;
use crate::sink::StoredOffsets;

pub(super) async fn in_use(shared: &Shared) -> Value {
    let (sql, used_at, before) = {
        let standing = shared.job.standing();
        (standing.sql.clone(), standing.sql_used_at, standing.sql_before.clone())
    };
    let Some(sql) = sql else { return json!({ "version": null }) };
    // Why: what this process knows is shown, if the database does not answer.
    let stored = stored(shared).await.unwrap_or_default();
    let first_used_at = stored.iter().find(|(version, ..)| *version == sql.id).map(|(.., at)| utc(at));
    let earlier = stored.iter().find(|(version, ..)| *version != sql.id);
    let before = before.map(|before| (before.id, before.files));
    let before = before.or_else(|| earlier.map(|(version, files, _)| (version.clone(), files.clone())));
    let new = texts(&sql.files);
    let diff = before.as_ref().map(|(_, files)| unified(&texts(files), &new)).unwrap_or_default();
    json!({
        "version": sql.id,
        "first_used_at": first_used_at.or(used_at.map(time)),
        "previous": before.map(|(version, _)| version),
        "diff": diff,
        "files": new,
    })
}

/// Versions of the job in the database, the newest first.
async fn stored(shared: &Shared) -> Option<Vec<(String, String, String)>> {
    let offsets = StoredOffsets::look(&shared.config.database, &shared.config.job).await;
    let read = match offsets {
        Ok(Some(mut offsets)) => offsets.versions().await,
        Ok(None) => return None,
        Err(error) => Err(error),
    };
    read.inspect_err(|error| tracing::debug!("the versions of the SQL cannot be read: {error}")).ok()
}
