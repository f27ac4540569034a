//! Sending with receipts: a message counts when all replicas have acknowledged it, and the first that fails
//! ends the sending.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};

use crate::config::KafkaConfig;
use crate::source::{LastFailure, base_config, no_answer, refused, without_secrets};

/// How long a full queue or a receipt is waited for before looking again.
const POLL_WAIT: Duration = Duration::from_millis(50);
/// How long librdkafka tries to deliver one message.
const DELIVERY_WAIT_MAX: Duration = Duration::from_secs(60);

/// Sends messages to one topic.
pub(crate) struct Sender {
    producer: BaseProducer<Receipts>,
    topic: String,
    sent: u64,
    started: Instant,
    rate: Option<u32>,
}

#[derive(Debug, Default)]
struct Receipts {
    acknowledged: AtomicU64,
    failure: Mutex<Option<String>>,
    connection: LastFailure,
}

impl ClientContext for Receipts {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        self.connection.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.connection.note(reason);
        tracing::warn!("Kafka: {error}: {}", without_secrets(reason));
    }
}

impl ProducerContext for Receipts {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, message)) => {
                let text = format!("a message to {} was not acknowledged: {error}", message.topic());
                let mut failure = self.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                failure.get_or_insert(text);
            }
        }
    }
}

impl Sender {
    /// Connects. `rate` is in messages a second.
    ///
    /// # Errors
    /// librdkafka refuses a property, or no broker answers.
    pub fn connect(config: &KafkaConfig, topic: &str, rate: Option<u32>) -> Result<Self, String> {
        let mut client = base_config(config);
        client
            .set("enable.idempotence", "true")
            .set("allow.auto.create.topics", "true")
            .set("linger.ms", "5")
            .set("delivery.timeout.ms", DELIVERY_WAIT_MAX.as_millis().to_string());
        let producer: BaseProducer<Receipts> =
            client.create_with_context(Receipts::default()).map_err(|error| refused(error).to_string())?;
        let asked = producer.client().fetch_metadata(Some(topic), Duration::from_secs(10));
        asked.map_err(|error| {
            // What is reported of connections comes by polling.
            producer.poll(Duration::ZERO);
            no_answer(&config.server, &error, &producer.context().connection).to_string()
        })?;
        Ok(Self { producer, topic: topic.to_owned(), sent: 0, started: Instant::now(), rate })
    }

    /// Messages acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.producer.context().acknowledged.load(Ordering::Relaxed)
    }

    /// Queues one message; waits while the queue is full or the rate is exceeded.
    ///
    /// # Errors
    /// This or an earlier message could not be delivered.
    pub fn send(&mut self, key: Option<&[u8]>, payload: &[u8]) -> Result<(), String> {
        self.keep_rate();
        loop {
            self.check()?;
            let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic).payload(payload);
            record.key = key;
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.producer.poll(POLL_WAIT);
                }
                Err((error, _)) => return Err(format!("a message was not sent: {error}")),
            }
        }
        self.sent += 1;
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    fn keep_rate(&self) {
        let Some(rate) = self.rate else { return };
        let due = Duration::from_secs_f64(self.sent as f64 / f64::from(rate));
        while let Some(early) = due.checked_sub(self.started.elapsed()).filter(|early| !early.is_zero()) {
            // Why not a poll that waits: rdkafka's spins for the last millisecond of its time, which is half of that between
            // two messages at 500 a second.
            self.producer.poll(Duration::ZERO);
            std::thread::sleep(early.min(POLL_WAIT));
        }
    }

    fn check(&self) -> Result<(), String> {
        let failure =
            self.producer.context().failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match failure.as_ref() {
            Some(failure) => Err(format!("{failure} ({} of {} were)", self.acknowledged(), self.sent)),
            None => Ok(()),
        }
    }

    /// Waits until every message is acknowledged, and says how many were. `seen` follows.
    ///
    /// # Errors
    /// A message could not be delivered.
    pub fn finish(self, seen: &dyn Fn(u64)) -> Result<u64, String> {
        loop {
            self.check()?;
            seen(self.acknowledged());
            if self.acknowledged() >= self.sent {
                return Ok(self.sent);
            }
            // librdkafka gives each message up by itself in the end, so this ends.
            self.producer.poll(POLL_WAIT);
        }
    }
}
