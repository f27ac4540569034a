//! What librdkafka says in words alone, in its log and in the reasons of its errors. Whatever is read out of those words is
//! read here; the error codes are the same for a broker that is down and for one that speaks another protocol.

use std::borrow::Cow;

/// Why a broker that was reached is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    Protocol,
    Tls,
    Credentials,
}

/// A line of its log about a connection that failed, without the name of the thread before it.
pub(super) fn failure_of<'m>(facility: &str, message: &'m str) -> Option<&'m str> {
    (facility == "FAIL").then(|| message.split_once("]: ").map_or(message, |(_, line)| line))
}

/// True for a line that says of all brokers together that none answers.
pub(super) fn is_vague(line: &str) -> bool {
    line.contains("brokers are down") || line.contains("broker(s) are down")
}

/// What a connection failed at, if the broker was reached.
pub(super) fn mismatch(line: &str) -> Option<Mismatch> {
    const WORDS: [(&str, Mismatch); 4] = [
        ("APIVERSION_QUERY", Mismatch::Protocol),
        ("SSL", Mismatch::Tls),
        ("certificate", Mismatch::Tls),
        ("SASL", Mismatch::Credentials),
    ];
    WORDS.into_iter().find(|(word, _)| line.contains(word)).map(|(_, mismatch)| mismatch)
}

/// The part of its debug log that says when a topic has another id than before. It is the only way to learn of it: a
/// topic that is deleted and created again keeps its name, and librdkafka goes on at the old offset.
///
/// Why that is in time: messages are asked for by the topic's id (from Kafka 3.1 on), and a log line is seen before the
/// messages that come after it. It is a few lines for each look at the topics, twice a minute.
pub(super) const TOPIC_IDS_LOGGED: &str = "metadata";

/// The topic, and its ids before and now, where a log line says that they are not the same.
pub(super) fn changed_id(message: &str) -> Option<(&str, (String, String))> {
    let (before, now) = message.split_once(" changed id from ")?;
    let (_, topic) = before.rsplit_once("Topic ")?;
    let (from, to) = now.split_once(" to ")?;
    // An id of zeros: it was not known before.
    let is_known = from.trim_end_matches('=').bytes().any(|byte| byte != b'A');
    is_known.then(|| (topic, (from.to_owned(), to.to_owned())))
}

/// What it says of a property, without the property's value, which may be a password.
pub(super) fn without_value(description: &str, value: &str) -> String {
    const SHORT_MAX: usize = 3;
    let quoted = description.replace(&format!("\"{value}\""), "\"...\"");
    // Why: a value of a few letters is part of many words.
    if value.len() > SHORT_MAX { quoted.replace(value, "...") } else { quoted }
}

/// What it logs, without the property that it repeats where it is wrong. All others that may hold a secret it leaves out
/// itself (`_RK_SENSITIVE` in its `rdkafka_conf.c`).
pub(crate) fn without_secrets(message: &str) -> Cow<'_, str> {
    const REPEATED: &str = "sasl.oauthbearer.config";
    match message.split_once(REPEATED) {
        Some((before, _)) => format!("{before}{REPEATED} is not valid").into(),
        None => message.into(),
    }
}
