//! The values of one metric, by the values of its labels. A series is there from the moment it is known and in a fixed order,
//! so that two scrapes can be compared line by line.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::lock;

/// Upper bounds in seconds: from a look-up in memory to an outage.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
    3600.0,
];
const ROWS: &[f64] = &[1.0, 10.0, 100.0, 1_000.0, 5_000.0, 10_000.0, 50_000.0, 100_000.0, 1_000_000.0];
/// Series of one metric, at most; what comes after is not counted, so that names from outside cannot fill the memory.
const SERIES_MAX: usize = 10_000;

/// What a series has: a count, seconds, or values in buckets.
pub(super) trait Value: Clone + Send + fmt::Debug + 'static {
    const KIND: MetricType;

    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result;
}

impl Value for u64 {
    const KIND: MetricType = MetricType::Counter;

    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_counter::<NoLabelSet, _, u64>(self, None)
    }
}

impl Value for f64 {
    const KIND: MetricType = MetricType::Counter;

    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_counter::<NoLabelSet, _, u64>(self, None)
    }
}

/// Values, counted in buckets.
#[derive(Clone, Debug)]
pub(super) struct Buckets {
    bounds: &'static [f64],
    /// One for each bound, and one for what is above all of them.
    counts: Vec<u64>,
    sum: f64,
}

impl Buckets {
    pub fn of_seconds() -> Self {
        Self::new(SECONDS)
    }

    pub fn of_rows() -> Self {
        Self::new(ROWS)
    }

    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    pub fn observe(&mut self, value: f64) {
        let place = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len());
        self.counts[place] += 1;
        self.sum += value;
    }
}

impl Value for Buckets {
    const KIND: MetricType = MetricType::Histogram;

    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let counted: Vec<(f64, u64)> = bounds.zip(self.counts.iter().copied()).collect();
        encoder.encode_histogram::<NoLabelSet>(self.sum, self.counts.iter().sum(), &counted, None)
    }
}

/// The series of one metric with `N` labels. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Series<const N: usize, V> {
    labels: [&'static str; N],
    values: Arc<Mutex<BTreeMap<[Arc<str>; N], V>>>,
}

impl<const N: usize, V> Series<N, V> {
    /// A metric without a series yet.
    pub fn of(labels: [&'static str; N]) -> Self {
        Self { labels, values: Arc::default() }
    }
}

impl<V> Series<0, V> {
    /// A metric without labels, which is one series.
    pub fn single(start: V) -> Self {
        Self { labels: [], values: Arc::new(Mutex::new(BTreeMap::from([([], start)]))) }
    }
}

impl<const N: usize, V: Value> Series<N, V> {
    /// Makes a series known, unless it is.
    pub fn put(&self, labels: [Arc<str>; N], start: V) {
        lock(&self.values).entry(labels).or_insert(start);
    }

    /// Changes a series, from `start` on if it is new.
    pub fn change(&self, labels: [Arc<str>; N], start: impl FnOnce() -> V, change: impl FnOnce(&mut V)) {
        let mut values = lock(&self.values);
        if values.len() < SERIES_MAX || values.contains_key(&labels) {
            change(values.entry(labels).or_insert_with(start));
        }
    }
}

impl<const N: usize> Series<N, u64> {
    pub fn add(&self, labels: [Arc<str>; N], count: u64) {
        self.change(labels, || 0, |value| *value += count);
    }

    /// All series together.
    pub fn sum(&self) -> u64 {
        lock(&self.values).values().sum()
    }
}

impl<const N: usize> Series<N, f64> {
    pub fn add(&self, labels: [Arc<str>; N], seconds: f64) {
        self.change(labels, || 0.0, |value| *value += seconds);
    }
}

impl<const N: usize, V: Value> EncodeMetric for Series<N, V> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (labels, value) in &*lock(&self.values) {
            if N == 0 {
                return value.encode(encoder);
            }
            let labels: Vec<(&str, &str)> =
                self.labels.iter().copied().zip(labels.iter().map(AsRef::as_ref)).collect();
            value.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        V::KIND
    }
}
