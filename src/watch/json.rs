//! What the page reads: the state of the job, its history, views and events. No request to a server is made for it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::Shared;
use crate::batch::TopicPartition;
use crate::telemetry::{Event, Partition, Point, Relation, RelationKind, STEP, resident_bytes};

/// Relations whose text is no view have none.
type Texts = BTreeMap<String, String>;

/// A time as all answers have it.
pub(super) fn time(at: SystemTime) -> String {
    DateTime::<Utc>::from(at).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The time of a message; `None` where there is none.
fn message_time(ms: Option<i64>) -> Option<String> {
    let at = DateTime::<Utc>::from_timestamp_millis(ms?)?;
    Some(at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// `/api/status`.
pub(super) fn status(shared: &Shared) -> Value {
    let job = &shared.job;
    let told = job.sentence(shared.is_stopping());
    let rates = job.rates();
    let dead_letters = job.dead_letters();
    let kept_bytes = job.kept().bytes() as u64;
    let now = SystemTime::now();
    let standing = job.standing();
    let instance = job.about.instance.as_str();
    let mut partitions = super::instances::lock(&shared.others).partitions(instance, now);
    for (partition, place) in &standing.partitions {
        partitions.insert(partition.clone(), partition_json(partition, Some(instance), true, place, now));
    }
    let batch = standing.batch.as_ref().map(|batch| {
        let stages = batch.stages.iter();
        let stages =
            stages.map(|(stage, time)| json!({ "stage": stage.name(), "seconds": time.as_secs_f64() }));
        json!({
            "messages": batch.messages,
            "rows": batch.rows,
            "dead_letters": batch.dead_letters,
            "ended_at": time(batch.ended_at),
            "seconds": batch.total.as_secs_f64(),
            "stages": stages.collect::<Vec<_>>(),
        })
    });
    let kept = ("last_batch", kept_bytes);
    let parts = standing.memory().into_iter().chain([kept]);
    let parts = parts.map(|(part, bytes)| json!({ "part": part, "bytes": bytes }));
    json!({
        "sentence": told.text,
        "state": told.state.name(),
        "since": standing.since().map(time),
        "waiting_for": told.waiting_for,
        "job": job.about.job,
        "instance": instance,
        "version": env!("CARGO_PKG_VERSION"),
        "started_at": time(job.about.started_at),
        "now": time(now),
        "partitions": partitions.into_values().collect::<Vec<_>>(),
        "instances": super::instances::lock(&shared.others).json(instance, standing.partitions.len(), told.state.name(), now),
        "rates": { "in": rates.taken, "computed": rates.computed, "out": rates.rows },
        "batch": batch,
        "dead_letters": { "waiting": standing.dead_letters_waiting, "since_start": dead_letters },
        "memory": {
            "resident_bytes": resident_bytes(),
            "max_bytes": job.about.memory_max,
            "parts": parts.collect::<Vec<_>>(),
        },
    })
}

/// One partition; what is not known is null.
pub(super) fn partition_json(
    partition: &TopicPartition,
    owner: Option<&str>,
    is_mine: bool,
    place: &Partition,
    now: SystemTime,
) -> Value {
    json!({
        "topic": &*partition.topic,
        "partition": partition.partition,
        "owner": owner,
        "mine": is_mine,
        "committed_offset": place.committed,
        "end_offset": place.end,
        "lag_messages": place.end.and(place.committed).map(|_| place.lag_messages()),
        "lag_seconds": place.lag_seconds(now),
        "last_message_at": message_time(place.message_time_ms),
    })
}

/// `/api/history`.
pub(super) fn history(shared: &Shared) -> Value {
    let points: Vec<Value> = shared.job.points().iter().map(point).collect();
    json!({ "step_seconds": STEP.as_secs(), "points": points })
}

pub(super) fn point(point: &Point) -> Value {
    json!({
        "at": time(point.at),
        "in": point.rates.taken,
        "computed": point.rates.computed,
        "out": point.rates.rows,
        "lag_messages": point.lag_messages,
        "lag_seconds": point.lag_seconds,
    })
}

/// `/api/events-log`.
pub(super) fn events(shared: &Shared) -> Value {
    let events: Vec<Value> = shared.job.events().all().iter().map(event).collect();
    json!({ "events": events })
}

pub(super) fn event(event: &Event) -> Value {
    let text = match event.times {
        1 => event.text.clone(),
        times => format!("{} ({times} times)", event.text),
    };
    json!({ "at": time(event.at), "kind": event.kind.name(), "text": text })
}

/// `/api/views`.
pub(super) fn views(shared: &Shared) -> Value {
    let standing = shared.job.standing();
    let texts = standing.sql.as_ref().map(|sql| texts(&sql.files)).unwrap_or_default();
    let views = standing.relations.iter().map(|relation| {
        let totals = standing.views.get(&relation.name);
        let fields = relation.schema.fields().iter().zip(&relation.masks).map(|(field, mask)| {
            json!({
                "name": field.name(),
                "type": field.data_type().to_string(),
                "nullable": field.is_nullable(),
                "sensitive": !mask.is_clear(),
            })
        });
        let rows = match relation.kind {
            RelationKind::Batch => {
                standing.batch.as_ref().map(|batch| batch.messages - batch.dead_letters.min(batch.messages))
            }
            _ => totals.map(|totals| totals.rows),
        };
        json!({
            "name": &*relation.name,
            "kind": relation.kind.name(),
            "output": relation.output,
            "state_of": relation.state_of,
            "reads": relation.reads,
            "rows": rows,
            "seconds": totals.map(|totals| totals.elapsed.as_secs_f64()),
            "rows_total": totals.map_or(0, |totals| totals.rows_total),
            "seconds_total": totals.map_or(0.0, |totals| totals.elapsed_total.as_secs_f64()),
            "columns": fields.collect::<Vec<_>>(),
            "sql": text_of(relation, &texts),
            "used": relation.is_used,
        })
    });
    json!({ "sql_version": standing.sql.as_ref().map(|sql| &sql.id), "views": views.collect::<Vec<_>>() })
}

fn text_of<'t>(relation: &Relation, texts: &'t Texts) -> Option<&'t String> {
    texts.get(&*relation.name).filter(|_| relation.kind == RelationKind::View)
}

/// The views of a version, by their names.
pub(super) fn texts(files: &str) -> Texts {
    serde_json::from_str(files).unwrap_or_default()
}

/// `/api/config`: as it is written, without secrets.
pub(super) fn config(shared: &Shared) -> Value {
    let features: Vec<&str> = if cfg!(feature = "tls") { vec!["tls"] } else { Vec::new() };
    let mut build = Map::new();
    build.insert("version".into(), env!("CARGO_PKG_VERSION").into());
    build.insert("features".into(), features.into());
    build.insert("profile".into(), if cfg!(debug_assertions) { "debug" } else { "release" }.into());
    json!({ "yaml": shared.config.file.without_secrets(), "build": build })
}
