//! Heartbeats: each loop that must go on says from time to time that it does. A loop that has not been seen for its longest
//! pause is stalled. Nobody asks a server here: an outage is waited for by loops that beat.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::lock;

/// The loops of a job.
#[derive(Debug, Default)]
pub(super) struct Pulses(Mutex<Vec<Arc<Beats>>>);

#[derive(Debug)]
struct Beats {
    name: String,
    pause_max: Duration,
    started: Instant,
    /// Milliseconds from `started` to the last beat.
    last_ms: AtomicU64,
    /// Whether the loop has ended, in good order or not: the job's end says how.
    has_ended: AtomicBool,
}

/// The heartbeat of one loop, as long as this is held.
#[derive(Debug, Default)]
pub struct Pulse(Option<Arc<Beats>>);

impl Pulses {
    pub fn begin(&self, name: String, pause_max: Duration) -> Pulse {
        let (last_ms, has_ended) = (AtomicU64::new(0), AtomicBool::new(false));
        let beats = Arc::new(Beats { name, pause_max, started: Instant::now(), last_ms, has_ended });
        let mut all = lock(&self.0);
        all.retain(|beats| !beats.has_ended.load(Ordering::Relaxed));
        all.push(Arc::clone(&beats));
        Pulse(Some(beats))
    }

    /// The loops that have not been seen for longer than their longest pause.
    pub fn stalled(&self, now: Instant) -> Vec<String> {
        let all = lock(&self.0);
        let running = all.iter().filter(|beats| !beats.has_ended.load(Ordering::Relaxed));
        let stalled = running.filter_map(|beats| {
            let last = beats.started + Duration::from_millis(beats.last_ms.load(Ordering::Relaxed));
            let pause = now.saturating_duration_since(last);
            let name = &beats.name;
            (pause > beats.pause_max).then(|| format!("{name} has not been seen for {} s", pause.as_secs()))
        });
        stalled.collect()
    }
}

impl Pulse {
    /// The loop goes on.
    pub fn beat(&self) {
        if let Some(beats) = &self.0 {
            let ms = u64::try_from(beats.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            beats.last_ms.store(ms, Ordering::Relaxed);
        }
    }

    /// Beats for as long as somebody waits for this: what is awaited beside it does not block its thread.
    pub async fn beat_on(&self) {
        if self.0.is_none() {
            return std::future::pending().await;
        }
        loop {
            self.beat();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        if let Some(beats) = &self.0 {
            beats.has_ended.store(true, Ordering::Relaxed);
        }
    }
}
