//! The values of the moment, as metrics: read from the state of the job when somebody asks. A partition that was revoked has
//! no series any more.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::lock;
use super::process::Process;
use super::standing::{Server, Standing};

#[derive(Debug)]
pub(super) struct Gauges {
    standing: Arc<Mutex<Standing>>,
    memory_max: usize,
    started_at: SystemTime,
}

impl Gauges {
    pub fn new(standing: Arc<Mutex<Standing>>, memory_max: usize) -> Self {
        Self { standing, memory_max, started_at: SystemTime::now() }
    }
}

type Labels = Vec<(&'static str, String)>;

struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    /// A gauge with a series for each of `values`.
    fn gauge(&mut self, name: &str, help: &str, values: Vec<(Labels, f64)>) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, &format!("{help}."), None, MetricType::Gauge)?;
        for (labels, value) in values {
            match labels.is_empty() {
                true => metric.encode_gauge(&value)?,
                false => metric.encode_family(&labels)?.encode_gauge(&value)?,
            }
        }
        Ok(())
    }

    fn one(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.gauge(name, help, vec![(Vec::new(), value)])
    }

    fn counter(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, &format!("{help}."), None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }
}

fn label(name: &'static str, value: impl ToString) -> Labels {
    vec![(name, value.to_string())]
}

fn unix(at: SystemTime) -> f64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl Collector for Gauges {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        self.of_partitions(&mut out)?;
        self.of_job(&mut out)?;
        self.of_memory(&mut out)?;
        self.of_process(&mut out)
    }
}

impl Gauges {
    fn of_partitions(&self, out: &mut Out<'_>) -> fmt::Result {
        let standing = lock(&self.standing);
        let now = SystemTime::now();
        let of = |value: &dyn Fn(&super::Partition) -> Option<f64>| -> Vec<(Labels, f64)> {
            let series = standing.partitions.iter().filter_map(|(partition, place)| {
                let labels = vec![
                    ("topic", partition.topic.to_string()),
                    ("partition", partition.partition.to_string()),
                ];
                Some((labels, value(place)?))
            });
            series.collect()
        };
        let lag =
            |place: &super::Partition| place.end.and(place.committed).map(|_| place.lag_messages() as f64);
        out.gauge(
            "realtime_lag_messages",
            "Messages between the stored offset and the end of the partition",
            of(&lag),
        )?;
        let help = "How long the first message that is not committed has waited, at most";
        out.gauge("realtime_lag_seconds", help, of(&|place| place.lag_seconds(now)))?;
        let help = "When the end of the partition was seen last, in seconds since 1970";
        out.gauge("realtime_lag_observed_timestamp_seconds", help, of(&|place| place.observed_at.map(unix)))?;
        let help = "The offset that is stored in the database: that of the message to read next";
        out.gauge(
            "realtime_committed_offset",
            help,
            of(&|place| place.committed.map(|offset| offset as f64)),
        )?;
        let help = "The timestamp of the last committed message, in seconds since 1970";
        let time = |place: &super::Partition| place.message_time_ms.map(|ms| ms as f64 / 1e3);
        out.gauge("realtime_last_message_timestamp_seconds", help, of(&time))?;
        let help = "Partitions that this instance has";
        out.one("realtime_assigned_partitions", help, standing.partitions.len() as f64)
    }

    fn of_job(&self, out: &mut Out<'_>) -> fmt::Result {
        let standing = lock(&self.standing);
        let help = "When a batch was committed last, in seconds since 1970";
        let at = standing.last_commit_at.map(|at| (Vec::new(), unix(at)));
        out.gauge("realtime_last_commit_timestamp_seconds", help, at.into_iter().collect())?;
        let waits = Server::ALL.map(|server| {
            let is_waiting = standing.waits.contains_key(&server);
            (label("for", server.name()), f64::from(u8::from(is_waiting)))
        });
        out.gauge("realtime_waiting", "1 while the job waits for a server that fails", waits.to_vec())?;
        let waiting = standing.dead_letters_waiting.map(|count| (Vec::new(), count as f64));
        let help = "Dead letters of the job in the database that are not replayed";
        out.gauge("realtime_dead_letters_waiting", help, waiting.into_iter().collect())?;
        let sql = standing.sql.iter().map(|sql| (label("version", &sql.id), 1.0)).collect();
        out.gauge("realtime_sql_version_info", "The version of the SQL in use; always 1", sql)?;
        let build = label("version", env!("CARGO_PKG_VERSION"));
        out.gauge("realtime_build_info", "The version of the program; always 1", vec![(build, 1.0)])
    }

    fn of_memory(&self, out: &mut Out<'_>) -> fmt::Result {
        let standing = lock(&self.standing);
        let now = Instant::now();
        let references = standing.references(now);
        let rows = references.iter().map(|(name, rows, _)| (label("table", name), *rows as f64)).collect();
        out.gauge("realtime_reference_rows", "Rows held of a reference table", rows)?;
        let ages = references
            .iter()
            .filter_map(|(name, _, age)| Some((label("table", name), (*age)?.as_secs_f64())));
        let help = "Time since the reference table was found to be as it is held";
        out.gauge("realtime_reference_age_seconds", help, ages.collect())?;
        let states = standing.states().into_iter().map(|(name, rows)| (label("table", name), rows as f64));
        out.gauge("realtime_state_held_rows", "Rows held of a state table", states.collect())?;
        let parts = standing.memory().into_iter().map(|(part, bytes)| (label("part", part), bytes as f64));
        out.gauge("realtime_memory_bytes", "What a part of the job holds in memory", parts.collect())?;
        out.one("realtime_memory_max_bytes", "memory_max of the configuration", self.memory_max as f64)
    }

    fn of_process(&self, out: &mut Out<'_>) -> fmt::Result {
        let help = "When the job started, in seconds since 1970";
        out.one("process_start_time_seconds", help, unix(self.started_at))?;
        let Some(process) = Process::now() else { return Ok(()) };
        out.counter("process_cpu_seconds", "Processor time of the process", process.cpu_seconds)?;
        out.one("process_resident_memory_bytes", "Memory of the process", process.resident_bytes as f64)?;
        out.one("process_open_fds", "Open files of the process", process.open_files as f64)?;
        out.one("process_threads", "Threads of the process", process.threads as f64)
    }
}
