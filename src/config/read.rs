//! How values are read as the table of keys says: in one of its types, within its limits, and from the default if a key
//! is absent.

use std::time::Duration;

use super::keys::{Absent, Key, Kind};
use crate::yaml::{self, Section};

/// The keys of one section.
#[derive(Clone, Copy)]
pub(super) struct Keys(pub &'static [Key]);

impl Keys {
    fn key(self, name: &str) -> Option<&'static Key> {
        self.0.iter().find(|key| key.name == name)
    }

    /// What `read` makes of the text of a key, or of its default.
    ///
    /// `None` only together with a fault, or if the key has no default.
    pub fn value<T>(
        self,
        section: &mut Section<'_>,
        name: &'static str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        section.value(name, expected, &read).or_else(|| match self.key(name)?.absent {
            Absent::Is(text) => read(text),
            Absent::Error | Absent::Means(_) => None,
        })
    }

    fn read<T>(
        self,
        section: &mut Section<'_>,
        name: &'static str,
        read: impl Fn(Kind, &str) -> Option<T>,
    ) -> Option<T> {
        let kind = self.key(name)?.kind;
        self.value(section, name, &kind.expected(), |text| read(kind, text))
    }

    pub fn text(self, section: &mut Section<'_>, name: &'static str) -> String {
        let read = |_, text: &str| (!text.is_empty()).then(|| text.to_owned());
        self.read(section, name, read).unwrap_or_default()
    }

    pub fn boolean(self, section: &mut Section<'_>, name: &'static str) -> bool {
        self.read(section, name, |_, text| yaml::boolean(text)).unwrap_or_default()
    }

    /// One of the words of the key, as what each of them means.
    pub fn choice<T: Copy + Default>(
        self,
        section: &mut Section<'_>,
        name: &'static str,
        meanings: &[(&str, T)],
    ) -> T {
        let read = |kind, text: &str| match kind {
            Kind::Choice(words) if words.contains(&text) => {
                meanings.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning)
            }
            _ => None,
        };
        self.read(section, name, read).unwrap_or_default()
    }

    pub fn duration(self, section: &mut Section<'_>, name: &'static str) -> Duration {
        self.read(section, name, |_, text| yaml::duration(text)).unwrap_or_default()
    }

    /// Bytes.
    pub fn size(self, section: &mut Section<'_>, name: &'static str) -> usize {
        let read = |kind, text: &str| match kind {
            Kind::Size { least } => yaml::size(text).filter(|bytes| *bytes >= least),
            _ => None,
        };
        self.read(section, name, read).unwrap_or_default()
    }

    pub fn count(self, section: &mut Section<'_>, name: &'static str) -> usize {
        let read = |kind, text: &str| match kind {
            Kind::Count { most } => yaml::count(text).filter(|count| (1..=most).contains(count)),
            _ => None,
        };
        self.read(section, name, read).unwrap_or_default()
    }

    pub fn ratio(self, section: &mut Section<'_>, name: &'static str) -> f64 {
        let read = |text: &str| text.parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        self.read(section, name, |_, text| read(text)).unwrap_or_default()
    }
}

impl Kind {
    /// What is allowed, for messages.
    fn expected(self) -> String {
        match self {
            Self::Boolean => "true or false".into(),
            Self::Choice(words) => words.join(" or "),
            Self::Duration => "a time with its unit, such as 100ms, 5s, 1m or 1h".into(),
            Self::Size { least } => format!("a size of at least {least} bytes, such as 64MiB"),
            Self::Count { most } => format!("a whole number from 1 to {most}"),
            Self::Ratio => "a number from 0 to 1".into(),
            _ => "a text".into(),
        }
    }
}
