//! From the YAML tree to values: a section hands out its keys one after the other, remembers every fault
//! instead of stopping at the first, and names the keys that nobody asked for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Fault;
use super::yaml::{Node, Value};
use crate::nearest::did_you_mean;

/// A mapping of which each key is read at most once.
pub(super) struct Section<'a> {
    /// Where this is, for messages: empty at the top, `outputs.name` below.
    path: String,
    line: usize,
    entries: Vec<(&'a str, &'a Node)>,
    known: Vec<&'static str>,
    faults: Vec<Fault>,
}

impl<'a> Section<'a> {
    pub fn new(path: &str, node: &'a Node) -> Result<Self, Fault> {
        let Value::Map(pairs) = &node.value else {
            let place = if path.is_empty() { String::new() } else { format!("{path}: ") };
            return Err(Fault::new(
                node.line,
                format!("{place}found {}, expected a mapping of keys", node.found()),
            ));
        };
        let mut faults = Vec::new();
        let mut entries = Vec::new();
        for (key, value) in pairs {
            match key.text() {
                Some(name) => entries.push((name, value)),
                None => {
                    faults.push(Fault::new(key.line, format!("found {}, expected a key", key.found())));
                }
            }
        }
        Ok(Self { path: path.to_owned(), line: node.line, entries, known: Vec::new(), faults })
    }

    /// The line of a key that was not read yet; the section's where it is absent.
    pub fn line_of(&self, key: &str) -> usize {
        self.entries.iter().find(|(name, _)| *name == key).map_or(self.line, |(_, node)| node.line)
    }

    /// The full name of a key, for messages.
    pub fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// The node under `key`; `None` where it is absent or null.
    pub fn node(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        let position = self.entries.iter().position(|(name, _)| *name == key)?;
        let (_, node) = self.entries.remove(position);
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    /// What `read` makes of the text under `key`; a fault where it makes nothing of it.
    pub fn value<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let node = self.node(key)?;
        self.value_of(key, node, expected, read)
    }

    fn value_of<T>(
        &mut self,
        key: &str,
        node: &Node,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = node.text().and_then(read);
        if value.is_none() {
            let name = self.name(key);
            self.fault(Fault::new(node.line, format!("{name}: found {}, expected {expected}", node.found())));
        }
        value
    }

    pub fn text(&mut self, key: &'static str) -> Option<String> {
        let node = self.node(key)?;
        self.text_of(key, node)
    }

    fn text_of(&mut self, key: &str, node: &Node) -> Option<String> {
        self.value_of(key, node, "a text", |text| (!text.is_empty()).then(|| text.to_owned()))
    }

    /// A text that must be there.
    pub fn required(&mut self, key: &'static str, example: &str) -> Option<String> {
        let node = self.required_node(key, example)?;
        self.text_of(key, node)
    }

    /// A node that must be there.
    pub fn required_node(&mut self, key: &'static str, example: &str) -> Option<&'a Node> {
        let is_written = self.entries.iter().any(|(name, _)| *name == key);
        let line = self.line_of(key);
        let node = self.node(key);
        if node.is_none() {
            let what = if is_written { "is empty" } else { "is missing" };
            let fault = Fault::new(line, format!("the key `{}` {what}", self.name(key)));
            self.fault(fault.hint(format!("for example `{key}: {example}`")));
        }
        node
    }

    pub fn path(&mut self, key: &'static str, base: &Path) -> Option<PathBuf> {
        self.text(key).map(|text| base.join(text))
    }

    pub fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        self.value(key, "true or false", |text| match text {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        })
        .unwrap_or(default)
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)], default: T) -> T {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let expected = words.join(" or ");
        let find = |text: &str| choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        self.value(key, &expected, find).unwrap_or(default)
    }

    pub fn duration(&mut self, key: &'static str, default: Duration) -> Duration {
        self.value(key, "a time with its unit, such as 100ms, 5s, 1m or 1h", read_duration).unwrap_or(default)
    }

    /// Bytes, at least `least`.
    pub fn size(&mut self, key: &'static str, default: usize, least: usize) -> usize {
        let expected = format!("a size of at least {least} bytes, such as 64MiB");
        self.value(key, &expected, |text| read_size(text).filter(|bytes| *bytes >= least)).unwrap_or(default)
    }

    pub fn count(&mut self, key: &'static str, default: usize, most: usize) -> usize {
        let expected = format!("a whole number from 1 to {most}");
        let read = |text: &str| {
            text.replace('_', "").parse::<usize>().ok().filter(|count| (1..=most).contains(count))
        };
        self.value(key, &expected, read).unwrap_or(default)
    }

    /// A number from 0 to 1.
    pub fn ratio(&mut self, key: &'static str, default: f64) -> f64 {
        let read = |text: &str| text.parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        self.value(key, "a number from 0 to 1", read).unwrap_or(default)
    }

    /// One text, or a list of texts; a fault where it is neither or empty.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        let node = self.node(key)?;
        let texts = list_of_texts(node);
        if texts.is_none() {
            let name = self.name(key);
            let message = format!("{name}: found {}, expected a name or a list of names", node.found());
            self.fault(Fault::new(node.line, message));
        }
        texts
    }

    /// Ends the section: every key that is left is a fault, named with the nearest right one.
    pub fn finish(mut self, faults: &mut Vec<Fault>) {
        for (name, node) in std::mem::take(&mut self.entries) {
            let full = self.name(name);
            let unknown = Fault::new(node.line, format!("unknown key `{full}`"));
            // Why: nobody knows what the value of an unknown key is.
            let unknown = unknown.without_line();
            let all = || format!("allowed here: {}", self.known.join(", "));
            let hint = did_you_mean(name, self.known.iter().copied()).unwrap_or_else(all);
            self.faults.push(unknown.hint(hint));
        }
        faults.append(&mut self.faults);
    }
}

/// A scalar as one text, a list of scalars as several; `None` for anything else and for an empty list.
pub(super) fn list_of_texts(node: &Node) -> Option<Vec<String>> {
    match &node.value {
        Value::Scalar(text) if !text.is_empty() => Some(vec![text.clone()]),
        Value::List(items) if !items.is_empty() => {
            items.iter().map(|item| item.text().filter(|text| !text.is_empty()).map(str::to_owned)).collect()
        }
        _ => None,
    }
}

/// `100ms`, `5s`, `1m`, `2h`, `7d`; a fraction is allowed, a missing unit is not (but for 0).
pub(crate) fn read_duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().ok()?;
    let seconds = match unit.trim() {
        "us" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        "d" => number * 86400.0,
        "" if number == 0.0 => 0.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

/// `1000`, `64KiB`, `64MiB`, `1GiB` and the decimal units `kB`, `MB`, `GB`.
fn read_size(text: &str) -> Option<usize> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.replace('_', "").parse().ok()?;
    let factor = match unit.trim() {
        "" | "B" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        _ => return None,
    };
    let bytes = number * factor;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Why: bounded just before.
    (0.0..1e15).contains(&bytes).then_some(bytes as usize)
}
