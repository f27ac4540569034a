//! What `run` shows of the batches it commits: a live line for people, one JSON object a batch for tools, and
//! at the end where the time went.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arrow::array::{ArrayRef, Decimal128Array};
use arrow::datatypes::DECIMAL128_MAX_PRECISION;
use arrow::error::ArrowError;
use chrono::{DateTime, SecondsFormat, Utc};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;

use super::terminal;
use crate::engine::{PartitionProgress, Report};
use crate::print::{Look, table, texts};

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Style {
    /// One live line on stderr.
    Bar,
    /// A line in the log every 30 s, while messages are processed.
    Log,
    /// One JSON object per batch on stdout.
    Json,
    None,
}

/// How often the live line is drawn, also while nothing comes.
const DRAWN_EVERY: Duration = Duration::from_millis(500);
/// What the timings count: messages, or rows of a view.
const COUNTED: &str = "messages or rows";
/// How often a line is logged.
const LOGGED_EVERY: Duration = Duration::from_secs(30);
/// The rate is that of this last time.
const RATE_WINDOW: Duration = Duration::from_secs(5);

/// Shows each batch and sums them up.
#[derive(Debug)]
pub(super) struct Progress {
    style: Style,
    bar: ProgressBar,
    /// What the live line says, and the task that draws or logs it.
    live: Arc<Mutex<Live>>,
    drawing: Option<JoinHandle<()>>,
    started: Instant,
    totals: Totals,
}

/// The live line.
#[derive(Debug, Default)]
struct Live {
    messages: u64,
    dead_letters: u64,
    rate: Rate,
    /// Of the last batch; `None` before the first.
    last: Option<LastBatch>,
    /// The messages that the last line of the log counted.
    logged: u64,
}

#[derive(Clone, Copy, Debug)]
struct LastBatch {
    lag_seconds: f64,
    at: DateTime<Utc>,
    commit: Duration,
}

/// Messages a second, lately.
#[derive(Debug, Default)]
struct Rate {
    /// When batches came, and their messages.
    recent: VecDeque<(Instant, u64)>,
}

impl Rate {
    fn add(&mut self, now: Instant, messages: u64) {
        self.recent.push_back((now, messages));
    }

    /// Messages a second, over the window or since the first batch in it, but over a second at least.
    fn at(&mut self, now: Instant) -> u64 {
        while self.recent.front().is_some_and(|(at, _)| now.duration_since(*at) > RATE_WINDOW) {
            self.recent.pop_front();
        }
        let Some((first, _)) = self.recent.front() else { return 0 };
        let messages: u64 = self.recent.iter().map(|(_, messages)| messages).sum();
        let seconds = now.duration_since(*first).as_secs_f64().max(1.0);
        // Why: a rate for people, never negative.
        (messages as f64 / seconds) as u64
    }
}

impl Live {
    fn line(&mut self, now: Instant) -> String {
        let Some(LastBatch { lag_seconds, at, commit }) = self.last else {
            return "waiting for messages".to_owned();
        };
        format!(
            "{} messages, {}/s, lag {lag_seconds:.1} s, commit {} ({:.1} ms), dead letters {}",
            HumanCount(self.messages),
            HumanCount(self.rate.at(now)),
            at.format("%H:%M:%S"),
            commit.as_secs_f64() * 1e3,
            HumanCount(self.dead_letters),
        )
    }

    /// What is logged after a period; `None` if it had no message.
    fn logged(&mut self, period: Duration) -> Option<String> {
        let messages = self.messages - std::mem::replace(&mut self.logged, self.messages);
        let LastBatch { lag_seconds, .. } = self.last.filter(|_| messages > 0)?;
        let rate = messages / period.as_secs().max(1);
        Some(format!("{rate} messages/s, lag {lag_seconds:.1} s"))
    }
}

#[derive(Debug, Default)]
struct Totals {
    batches: u64,
    messages: u64,
    dead_letters: u64,
    poll: Duration,
    decode: Duration,
    sql: Duration,
    commit: Duration,
    failed: Duration,
    views: BTreeMap<Arc<str>, (usize, Duration)>,
}

impl Progress {
    pub fn new(style: Style) -> Self {
        let bar = if style == Style::Bar {
            let bar = terminal::live().add(ProgressBar::new_spinner());
            // `wide_msg` is cut where the terminal ends.
            if let Ok(style) = ProgressStyle::with_template("{spinner:.green} {wide_msg}") {
                bar.set_style(style);
            }
            bar
        } else {
            ProgressBar::hidden()
        };
        let live = Arc::new(Mutex::new(Live::default()));
        let drawing = match style {
            Style::Bar => Some(tokio::spawn(draw(Arc::clone(&live), bar.clone()))),
            Style::Log => Some(tokio::spawn(log(Arc::clone(&live)))),
            Style::Json | Style::None => None,
        };
        Self { style, bar, live, drawing, started: Instant::now(), totals: Totals::default() }
    }

    /// Shows one committed batch.
    pub fn show(&mut self, report: &Report) {
        self.totals.add(report);
        match self.style {
            Style::Bar | Style::Log => self.note(report),
            Style::Json => {
                let mut out = std::io::stdout().lock();
                // Why: a reader that went away must not end the job.
                let _ = writeln!(out, "{}", json_of(report)).and_then(|()| out.flush());
            }
            Style::None => {}
        }
    }

    /// What the line says from now on; it is drawn or logged in its own time, so that small batches cost no writing.
    fn note(&self, report: &Report) {
        let now = SystemTime::now();
        let (_, lag_seconds) = report.lag(now);
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.rate.add(Instant::now(), report.messages as u64);
        (live.messages, live.dead_letters) = (self.totals.messages, self.totals.dead_letters);
        live.last =
            Some(LastBatch { lag_seconds, at: DateTime::<Utc>::from(now), commit: report.durations.commit });
    }

    /// Ends the live line and says what was done.
    pub fn finish(&self, with_timings: bool) {
        self.drawing.iter().for_each(JoinHandle::abort);
        self.bar.finish_and_clear();
        let Totals { batches, messages, dead_letters, .. } = &self.totals;
        let seconds = self.started.elapsed().as_secs_f64();
        tracing::info!(messages, batches, dead_letters, "done after {seconds:.1} s");
        if with_timings {
            match self.totals.table(self.started.elapsed()) {
                Ok(table) => terminal::say(table.trim_end()),
                Err(error) => tracing::warn!("the timings cannot be shown: {error}"),
            }
        }
    }
}

async fn draw(live: Arc<Mutex<Live>>, bar: ProgressBar) {
    loop {
        let line = live.lock().unwrap_or_else(PoisonError::into_inner).line(Instant::now());
        bar.set_message(line);
        bar.tick();
        tokio::time::sleep(DRAWN_EVERY).await;
    }
}

async fn log(live: Arc<Mutex<Live>>) {
    loop {
        tokio::time::sleep(LOGGED_EVERY).await;
        let mut live = live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = live.logged(LOGGED_EVERY) {
            let (messages, dead_letters) = (live.messages, live.dead_letters);
            tracing::info!(messages, dead_letters, "running: {line}");
        }
    }
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.batches += 1;
        self.messages += report.messages as u64;
        self.dead_letters += report.dead_letters as u64;
        self.poll += report.durations.poll;
        self.decode += report.durations.decode;
        self.sql += report.durations.sql;
        self.commit += report.durations.commit;
        self.failed += report.durations.failed;
        for view in &report.views {
            let (rows, elapsed) = self.views.entry(Arc::clone(&view.view)).or_default();
            *rows += view.rows;
            *elapsed += view.elapsed;
        }
    }

    /// Where the time went. Commits overlap the other stages, so the parts may add up to more than the whole.
    fn table(&self, elapsed: Duration) -> Result<String, ArrowError> {
        let messages = Some(self.messages);
        let mut lines = vec![
            ("waiting for messages".to_owned(), messages, self.poll),
            ("decoding".to_owned(), messages, self.decode),
            ("SQL, with look-ups of rows".to_owned(), messages, self.sql),
        ];
        let views = self.views.iter();
        lines.extend(
            views.map(|(view, (rows, spent))| (format!("  view {view}"), Some(*rows as u64), *spent)),
        );
        lines.extend([
            ("commits, during the other stages".to_owned(), messages, self.commit),
            ("failed attempts, and finding the messages to blame".to_owned(), None, self.failed),
            ("the whole run".to_owned(), messages, elapsed),
        ]);
        let padded = |count: u64| format!("{count:>width$}", width = COUNTED.len());
        let all_us = elapsed.as_micros().max(1);
        // Why decimals: they are printed with all their digits, below each other.
        let decimals = |decimal: &dyn Fn(Duration) -> u128, scale| -> Result<ArrayRef, ArrowError> {
            let values =
                lines.iter().map(|(_, _, spent)| i128::try_from(decimal(*spent)).unwrap_or(i128::MAX));
            let values = Decimal128Array::from_iter_values(values);
            Ok(Arc::new(values.with_precision_and_scale(DECIMAL128_MAX_PRECISION, scale)?))
        };
        let columns = [
            ("stage", texts(lines.iter().map(|(name, _, _)| Some(name.as_str())))),
            (COUNTED, texts(lines.iter().map(|(_, count, _)| Some(count.map_or(String::new(), padded))))),
            ("seconds", decimals(&|spent| spent.as_millis(), 3)?),
            ("share (%)", decimals(&|spent| (spent.as_micros() * 1000 + all_us / 2) / all_us, 1)?),
        ];
        table(columns, Look::default())
    }
}

/// One batch with the field names of Spark's `StreamingQueryProgress`.
fn json_of(report: &Report) -> Value {
    let per_second = |duration: Duration| {
        let seconds = duration.as_secs_f64();
        if seconds > 0.0 { json!(report.messages as f64 / seconds) } else { json!(0.0) }
    };
    let ms = |duration: Duration| json!((duration.as_secs_f64() * 1e6).round() / 1e3);
    let durations = &report.durations;
    let outputs: Map<String, Value> =
        report.outputs.iter().map(|(view, rows)| (view.to_string(), json!(rows))).collect();
    json!({
        "batchId": report.batch_id,
        "timestamp": DateTime::<Utc>::from(report.started_at).to_rfc3339_opts(SecondsFormat::Millis, true),
        "numInputRows": report.messages,
        "inputRowsPerSecond": per_second(report.interval),
        "processedRowsPerSecond": per_second(durations.total),
        "durationMs": {
            "poll": ms(durations.poll),
            "decode": ms(durations.decode),
            "sql": ms(durations.sql),
            "commit": ms(durations.commit),
            "total": ms(durations.total),
        },
        "sources": sources(report),
        "outputs": outputs,
        "deadLetters": report.dead_letters,
        "nullKeys": report.null_keys,
        "conflicts": report.conflicts,
    })
}

/// One object a topic; offsets and lag by partition.
fn sources(report: &Report) -> Vec<Value> {
    let now = SystemTime::now();
    let mut topics: BTreeMap<&str, Vec<&PartitionProgress>> = BTreeMap::new();
    for partition in &report.partitions {
        topics.entry(&partition.partition.topic).or_default().push(partition);
    }
    let by_partition = |partitions: &[&PartitionProgress], value: &dyn Fn(&PartitionProgress) -> Value| {
        let values = partitions.iter().map(|p| (p.partition.partition.to_string(), value(p)));
        Value::Object(values.collect())
    };
    let describe = |(topic, partitions): (&str, Vec<&PartitionProgress>)| {
        json!({
            "topic": topic,
            "startOffset": by_partition(&partitions, &|p| json!(p.start_offset)),
            "endOffset": by_partition(&partitions, &|p| json!(p.end_offset)),
            "latestOffset": by_partition(&partitions, &|p| json!(p.latest_offset)),
            "lagMessages": by_partition(&partitions, &|p| json!(p.lag_messages())),
            "lagSeconds": by_partition(&partitions, &|p| json!(p.lag_seconds(now))),
        })
    };
    topics.into_iter().map(describe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_of_the_last_seconds_and_falls_to_nothing() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut rate = Rate::default();
        assert_eq!(rate.at(start), 0);
        rate.add(after(0), 300);
        assert_eq!(rate.at(after(10)), 300, "not thirty thousand");
        (1..=4).for_each(|second| rate.add(after(second * 1000), 300));
        assert_eq!(rate.at(after(5000)), 300);
        assert_eq!(rate.at(after(8000)), 120, "two batches in five seconds");
        assert_eq!(rate.at(after(20_000)), 0);
    }

    #[test]
    fn the_line_is_short() {
        let mut live = Live { messages: 1_234_567, dead_letters: 12, ..Live::default() };
        assert_eq!(live.line(Instant::now()), "waiting for messages");
        let commit = Duration::from_millis(12);
        live.last = Some(LastBatch { lag_seconds: 0.1, at: DateTime::UNIX_EPOCH, commit });
        let line = live.line(Instant::now());
        assert_eq!(line, "1,234,567 messages, 0/s, lag 0.1 s, commit 00:00:00 (12.0 ms), dead letters 12");
        assert!(line.len() < 80);
    }

    #[test]
    fn a_line_is_logged_for_a_period_with_messages() {
        let mut live = Live { messages: 45_000, dead_letters: 12, ..Live::default() };
        let period = Duration::from_secs(30);
        live.last =
            Some(LastBatch { lag_seconds: 2.5, at: DateTime::UNIX_EPOCH, commit: Duration::from_millis(12) });
        assert_eq!(live.logged(period).as_deref(), Some("1500 messages/s, lag 2.5 s"));
        assert_eq!(live.logged(period), None);
        live.messages += 60;
        assert_eq!(live.logged(period).as_deref(), Some("2 messages/s, lag 2.5 s"));
    }

    #[test]
    fn timings_say_what_they_count() {
        let views = BTreeMap::from([(Arc::from("orders"), (980, Duration::from_millis(107)))]);
        let totals = Totals {
            messages: 1_000,
            dead_letters: 20,
            sql: Duration::from_millis(200),
            commit: Duration::from_secs(30),
            views,
            ..Totals::default()
        };
        let table = totals.table(Duration::from_millis(36_128)).expect("a table");
        let cells = |name: &str| {
            let line = table.lines().find(|line| line.trim_start().starts_with(name)).expect("a line");
            line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(cells("stage"), ["stage", COUNTED, "seconds", "share (%)"]);
        assert_eq!(cells("view orders"), ["view orders", "980", "0.107", "0.3"]);
        assert_eq!(cells("commits")[1..], ["1000", "30.000", "83.0"]);
        // Messages that cannot be decoded are no failed attempts.
        assert_eq!(cells("failed attempts")[1..], ["", "0.000", "0.0"]);
    }
}
