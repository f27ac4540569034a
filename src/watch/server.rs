//! The HTTP server: connections in, each with its limits. If there are too many, the one that has been silent for longest
//! makes room, so a probe is answered, however many are connected.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::Shared;
use super::routes::{self, Body};
use crate::panics;

/// Connections at once.
const CONNECTIONS_MAX: usize = 64;
/// How long a caller may take for the head of its request; also how long a connection may be idle.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// The bytes and the number of the headers of a request.
const HEAD_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;
/// How long an answer may take to be made. Answers that last, such as events, have begun by then.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// The pause after the system has refused a connection: it may have no more files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection, and what it is about.
struct Connection {
    /// Requests that are being answered.
    busy: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// Accepts connections for ever.
pub(super) async fn run(shared: Arc<Shared>, listener: TcpListener) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!("the job cannot be watched by HTTP: {error}");
            return std::future::pending().await;
        }
    };
    let mut open: VecDeque<Connection> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!("a connection was not accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        open.retain(|connection| !connection.task.is_finished());
        if open.len() >= CONNECTIONS_MAX {
            make_room(&mut open);
        }
        let busy = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(converse(Arc::clone(&shared), stream, Arc::clone(&busy)));
        open.push_back(Connection { busy, task });
    }
}

/// Ends the oldest connection that waits for a request; the oldest of all if none does.
fn make_room(open: &mut VecDeque<Connection>) {
    let idle = open.iter().position(|connection| connection.busy.load(Ordering::Relaxed) == 0);
    if let Some(connection) = open.remove(idle.unwrap_or(0)) {
        connection.task.abort();
    }
}

async fn converse(shared: Arc<Shared>, stream: TcpStream, busy: Arc<AtomicUsize>) {
    let service = service_fn(move |request| {
        let (shared, busy) = (Arc::clone(&shared), Busy::begin(&busy));
        async move { Ok::<_, Infallible>(answer(&shared, request, busy).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = connection {
        tracing::debug!("a connection of a watcher ended: {error}");
    }
}

async fn answer(shared: &Arc<Shared>, request: Request<Incoming>, busy: Busy) -> Response<Body> {
    let answered = panics::expected_of(routes::answer(shared, &request));
    let answer = match tokio::time::timeout(ANSWER_TIME_MAX, answered).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) => {
            tracing::error!("{} could not be answered: {panic}", request.uri().path());
            routes::failed("a fault of the program; its log has more")
        }
        Err(_) => routes::unavailable("the answer took too long"),
    };
    answer.map(|body| body.while_busy(busy))
}

/// Counts a request of a connection, until its answer is sent.
pub(super) struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn begin(busy: &Arc<AtomicUsize>) -> Self {
        busy.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(busy))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
