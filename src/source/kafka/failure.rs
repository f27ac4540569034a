//! Why a broker does not answer. librdkafka says in its log, and partly in its events, how each connection failed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;

use super::words::{self, Mismatch, without_secrets};
use crate::diagnostic::Finding;
use crate::source::SourceError;

/// Events that may wait before the report of a connection that failed. A job's client has lines of its debug log among them.
const EVENTS_MAX: usize = 1_000;

/// The last line about a connection that failed; shared by a client and its callers.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastFailure(Arc<Mutex<Option<String>>>);

/// A client that keeps its last failure.
pub(crate) trait KeepsFailure {
    fn last_failure(&self) -> &LastFailure;
}

/// What a client does that belongs to no group: it logs, and keeps its last failure.
#[derive(Debug, Default)]
pub(crate) struct Logged {
    failure: LastFailure,
}

impl KeepsFailure for Logged {
    fn last_failure(&self) -> &LastFailure {
        &self.failure
    }
}

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.failure.log(level, facility, message);
    }

    fn error(&self, _: KafkaError, reason: &str) {
        self.failure.note(reason);
    }
}

impl ConsumerContext for Logged {}

impl LastFailure {
    /// Logs a line of librdkafka's, and takes it if it is about a connection that failed.
    pub fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if let Some(line) = words::failure_of(facility, message) {
            self.note(line);
        }
        tracing::debug!(target: "librdkafka", ?level, facility, "{}", without_secrets(message));
    }

    /// Takes the line about a connection that failed.
    pub fn note(&self, line: &str) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none() || !words::is_vague(line) {
            *last = Some(without_secrets(line).into_owned());
        }
    }

    /// The line, if the broker was reached and the two did not understand each other.
    pub fn misunderstanding(&self) -> Option<Misunderstanding> {
        let line = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(Misunderstanding { kind: words::mismatch(&line)?, line })
    }
}

/// A broker that was reached, and with which nothing can be agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misunderstanding {
    kind: Mismatch,
    line: String,
}

impl Misunderstanding {
    /// What is wrong, with librdkafka's own line, and what to do.
    pub fn found(&self, server: &str) -> Finding {
        let line = &self.line;
        let (message, hint) = match self.kind {
            Mismatch::Protocol => (
                format!(
                    "the Kafka broker at {server} hangs up at once, as a listener for another `security.protocol` does: {line}"
                ),
                "set `security.protocol` under kafka_properties to that of the broker's listener: PLAINTEXT, SSL, \
                 SASL_PLAINTEXT or SASL_SSL",
            ),
            Mismatch::Tls => (
                format!("the TLS handshake with the Kafka broker at {server} fails: {line}"),
                "compare `security.protocol` and the `ssl.` properties under kafka_properties with the broker's \
                 listener and certificate",
            ),
            Mismatch::Credentials => (
                format!("the Kafka broker at {server} does not accept the credentials: {line}"),
                "see the `sasl.` properties under kafka_properties, and whether the broker's listener has the same \
                 `security.protocol`",
            ),
        };
        Finding::new(message).with_hint(hint)
    }
}

/// A question of this consumer that no broker has answered.
pub(super) fn not_answered<C: ConsumerContext + KeepsFailure>(
    consumer: &BaseConsumer<C>,
    server: &str,
    error: &KafkaError,
) -> SourceError {
    // Invariant: polled before it reads anything, so there is no message to lose.
    for _ in 0..EVENTS_MAX {
        if consumer.context().last_failure().misunderstanding().is_some() {
            break;
        }
        // It takes one event, and says nothing of whether others wait.
        let _ = consumer.poll(Duration::ZERO);
    }
    no_answer(server, error, consumer.context().last_failure())
}

/// A question that no broker has answered.
pub(crate) fn no_answer(server: &str, error: &KafkaError, failure: &LastFailure) -> SourceError {
    SourceError::Unavailable(match failure.misunderstanding() {
        Some(misunderstanding) => misunderstanding.found(server),
        None => Finding::new(format!("no Kafka broker answers at {server}: {error}"))
            .with_hint("is it running, and is `kafka_server` right?"),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use super::*;
    use rdkafka::ClientConfig;

    /// A listener for TLS hangs up on whoever does not begin with a handshake.
    #[test]
    fn a_broker_that_speaks_tls_is_no_broker_that_is_down() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                let _ = connection.read(&mut [0; 1024]);
            }
        });
        for debug in [None, Some(words::TOPIC_IDS_LOGGED)] {
            let mut client = ClientConfig::new();
            client.set_log_level(RDKafkaLogLevel::Info).set("bootstrap.servers", &server);
            if let Some(debug) = debug {
                client.set("debug", debug);
            }
            let consumer: BaseConsumer<Logged> = client.create_with_context(Logged::default()).unwrap();
            let error =
                consumer.fetch_metadata(Some("topic"), Duration::from_secs(3)).expect_err("no answer");
            let told = not_answered(&consumer, &server, &error).to_string();
            assert!(told.contains("hangs up at once"), "debug {debug:?}: {told}");
            assert!(told.contains("Disconnected"), "librdkafka's own line: {told}");
        }
    }

    #[test]
    fn handshakes_and_credentials_are_told_apart_from_a_broker_that_is_down() {
        let of = |line: &str| {
            let failure = LastFailure::default();
            failure.note(line);
            failure.note("1/1 brokers are down");
            failure.misunderstanding().map(|found| found.found("b:9093").to_string())
        };
        let tls = "ssl://b:9093/bootstrap: error:0A00010B:SSL routines::wrong version number (in state SSL_HANDSHAKE)";
        assert!(
            of(tls).unwrap().starts_with("the TLS handshake with the Kafka broker at b:9093 fails: ssl://b")
        );
        let sasl = "sasl_ssl://b:9093/1: SASL authentication error: Authentication failed";
        assert!(of(sasl).unwrap().contains("does not accept the credentials"));
        assert_eq!(of("b:9093/bootstrap: Connect to ipv4#127.0.0.1:9093 failed: Connection refused"), None);
    }
}
