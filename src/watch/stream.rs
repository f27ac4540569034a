//! Events as they happen, for a page that is open: server-sent events. A caller that does not read is waited for, and loses
//! events; it holds up nobody.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::{Response, StatusCode};
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use super::routes::{Body, unavailable, with_headers};
use super::{Shared, json};

/// Pages that are open at once.
const STREAMS_MAX: usize = 32;
/// Events that wait to be sent.
const WAITING_MAX: usize = 16;
/// How often a page is sent the state of the job.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Pages that are open.
#[derive(Debug, Default)]
pub(super) struct Streams(AtomicUsize);

/// One of them, until it is dropped.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.streams.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The events from now on.
pub(super) fn events(shared: &Arc<Shared>) -> Response<Body> {
    if shared.streams.0.fetch_add(1, Ordering::Relaxed) >= STREAMS_MAX {
        shared.streams.0.fetch_sub(1, Ordering::Relaxed);
        return unavailable("too many pages are open");
    }
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    tokio::spawn(send_all(Open(Arc::clone(shared)), sender));
    let frames = futures::stream::unfold(receiver, |mut receiver: mpsc::Receiver<Bytes>| async {
        let bytes = receiver.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(bytes)), receiver))
    });
    let body = Body::new(StreamBody::new(frames).boxed_unsync());
    with_headers(StatusCode::OK, "text/event-stream", body)
}

/// Sends events until nobody takes them any more.
async fn send_all(open: Open, sender: mpsc::Sender<Bytes>) {
    let shared = &open.0;
    let mut told = shared.job.events().listen();
    let mut ticks = tokio::time::interval(STATUS_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last_point = shared.job.points().last().map(|point| point.at);
    loop {
        let frames = tokio::select! {
            _ = ticks.tick() => {
                let mut frames = vec![frame("status", &json::status(shared))];
                let point = shared.job.points().pop().filter(|point| Some(point.at) != last_point);
                if let Some(point) = point {
                    last_point = Some(point.at);
                    frames.push(frame("history", &json::point(&point)));
                }
                frames
            }
            event = told.recv() => match event {
                Ok(event) => vec![frame("log", &json::event(&event))],
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            },
        };
        for frame in frames {
            if sender.send(frame).await.is_err() {
                return;
            }
        }
    }
}

/// JSON has no line break outside its texts, where it is escaped.
fn frame(event: &str, data: &Value) -> Bytes {
    format!("event: {event}\ndata: {data}\n\n").into()
}
