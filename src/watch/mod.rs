//! A running job as others see it: metrics, health, the page and its JSON by HTTP, systemd's notifications, and the row that
//! the instance keeps of itself in the database. Everything is read-only.
//!
//! It runs on a thread and a runtime of its own. The job never waits for it, and nothing that a caller sends can stop the job:
//! connections, headers, times and answers have limits ([`server`], [`gate`]).

mod gate;
mod health;
mod instances;
mod json;
mod letters;
mod notify;
pub mod page;
mod query;
mod routes;
mod rows;
mod server;
mod stream;
mod text_diff;
mod versions;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::config::{Config, HttpConfig};
use crate::database::Address;
use crate::diagnostic::Finding;
use crate::engine::Stop;
use crate::panics;
use crate::telemetry::{About, Job, Telemetry};
use instances::Others;
use query::Questions;
use stream::Streams;

/// How often counters are sampled and the service manager hears of the job.
const TICK: Duration = Duration::from_secs(1);
/// What is left to do after the job has ended may take this long.
const LEAVE_WAIT_MAX: Duration = Duration::from_secs(2);

/// Why a job cannot be watched as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    #[error("{0}")]
    Listen(Finding),
    #[error("no thread to watch the job with: {0}")]
    Thread(std::io::Error),
}

/// A listener for the configured address, and where the job reports to. It is made before anything else, so that a port that is
/// taken is reported before the first message.
pub struct Watch {
    listener: Option<TcpListener>,
    telemetry: Telemetry,
}

/// Serves until it is dropped.
#[derive(Default)]
pub struct Watching {
    ended: Option<watch::Sender<bool>>,
    thread: Option<JoinHandle<()>>,
    /// The address of the page, if it is served.
    pub url: Option<String>,
}

/// What the parts of this module share.
struct Shared {
    job: Arc<Job>,
    telemetry: Telemetry,
    config: Config,
    stop: Stop,
    others: Mutex<Others>,
    questions: Questions,
    streams: Streams,
}

impl Watch {
    /// Listens if `http` is configured. Without it, and without a service manager to notify, nothing is reported or kept.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn open(config: &Config) -> Result<Self, WatchError> {
        let listener = config.http.as_ref().map(|http| listen(http.address)).transpose()?;
        let is_on = listener.is_some() || notify::is_wanted();
        let telemetry = if is_on { Telemetry::of(about(config)) } else { Telemetry::default() };
        Ok(Self { listener, telemetry })
    }

    /// Where the job reports to.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// Serves from now on, in a thread of its own. `stop` is how the job is asked to stop.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(self, config: &Config, stop: Stop) -> Result<Watching, WatchError> {
        let Some(job) = self.telemetry.job().cloned() else { return Ok(Watching::default()) };
        let url = self.listener.as_ref().and_then(|listener| url_of(listener, config.http.as_ref()));
        let (ended, has_ended) = watch::channel(false);
        let questions = Questions::start().map_err(WatchError::Thread)?;
        let shared = Arc::new(Shared {
            job,
            telemetry: self.telemetry.clone(),
            config: config.clone(),
            stop,
            others: Mutex::default(),
            questions,
            streams: Streams::default(),
        });
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(WatchError::Thread)?;
        let (listener, page) = (self.listener, url.clone());
        let serve = move || {
            // Why: the job goes on without it.
            let served = panics::expected(|| runtime.block_on(serve(&shared, listener, page, has_ended)));
            if let Err(panic) = served {
                tracing::error!("the job can no longer be watched: {panic}");
            }
            runtime.shutdown_background();
        };
        let thread =
            std::thread::Builder::new().name("watch".into()).spawn(serve).map_err(WatchError::Thread)?;
        Ok(Watching { ended: Some(ended), thread: Some(thread), url })
    }
}

impl Drop for Watching {
    /// The instance takes its row out of the database, and the server ends.
    fn drop(&mut self) {
        if let Some(ended) = self.ended.take() {
            // Why: a thread that has panicked hears nothing, and is joined all the same.
            let _ = ended.send(true);
        }
        if let Some(thread) = self.thread.take() {
            // Why: its panic was reported.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.stop.is_asked()
    }
}

async fn serve(
    shared: &Arc<Shared>,
    listener: Option<TcpListener>,
    page: Option<String>,
    mut has_ended: watch::Receiver<bool>,
) {
    let mut notifier = notify::Notifier::new();
    let mut instances = instances::Announcer::new(shared, page);
    let server = async {
        match listener {
            Some(listener) => server::run(Arc::clone(shared), listener).await,
            None => std::future::pending().await,
        }
    };
    let ticks = async {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            shared.job.sample(std::time::Instant::now());
            notifier.tick(shared);
        }
    };
    tokio::select! {
        () = server => {}
        () = ticks => {}
        () = instances.run() => {}
        _ = has_ended.changed() => {}
    }
    notify::leave();
    // Why: a database that is away must not keep the process.
    let _ = tokio::time::timeout(LEAVE_WAIT_MAX, instances.leave()).await;
}

fn listen(address: SocketAddr) -> Result<TcpListener, WatchError> {
    let failed = |error: std::io::Error| {
        let found = Finding::new(format!("http: {address} cannot be listened on: {error}"));
        WatchError::Listen(found.with_hint("another program may use the port; choose another one"))
    };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// The address of the page, for people: on this machine if it listens on all addresses.
fn url_of(listener: &TcpListener, http: Option<&HttpConfig>) -> Option<String> {
    let address = listener.local_addr().ok()?;
    let host = match address.ip() {
        ip if ip.is_unspecified() => host_name(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        std::net::IpAddr::V4(ip) => ip.to_string(),
    };
    http.map(|_| format!("http://{host}:{}", address.port()))
}

fn about(config: &Config) -> About {
    let instance = match &config.kafka.instance {
        Some(instance) => instance.clone(),
        None => format!("{}:{}", host_name(), std::process::id()),
    };
    let database = match config.database {
        Address::Sqlite { .. } => "SQLite",
        Address::MySql(_) => "MySQL",
    };
    let (job, memory_max, started_at) = (config.job.clone(), config.memory_max, SystemTime::now());
    About { job, instance, database, memory_max, started_at }
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}
