//! JSON as it is written: numbers keep their digits, and objects their order and names that come twice. So what `consume`
//! prints can be encoded again without loss: a decimal of 76 digits, a map with the same key twice.

use std::fmt;

use serde_json::value::RawValue;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Vec<Value>),
    Object(Map),
}

/// A number, as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Number(String);

/// The entries of an object, as they are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map(Vec<(String, Value)>);

/// How deep arrays and objects may be in each other, as in `serde_json`.
const DEPTH_MAX: usize = 128;
/// The same in a schema: a type in another takes up to three of them.
const SCHEMA_DEPTH_MAX: usize = 256;

/// Reads a schema's JSON, which may be deeper than `serde_json` reads it.
///
/// # Errors
/// The text is not JSON; the error says where.
pub(crate) fn read_schema(text: &str) -> Result<serde_json::Value, serde_json::Error> {
    serde_json::from_str(text).or_else(|error| {
        let deep = Value::parse_within(text, SCHEMA_DEPTH_MAX).ok().and_then(Value::into_serde);
        deep.ok_or(error)
    })
}

impl Value {
    /// Reads one value and nothing else.
    ///
    /// # Errors
    /// The text is not JSON; the error says where.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::parse_within(text, DEPTH_MAX)
    }

    fn parse_within(text: &str, depth_max: usize) -> Result<Self, String> {
        // Why: from here on the text is known to be JSON, and only its parts are looked for.
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Reader { text: raw.get(), at: 0, depth_max }.value(0)
    }

    /// The value as `serde_json` has it, if it has all numbers in it.
    fn into_serde(self) -> Option<serde_json::Value> {
        Some(match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => serde_json::Value::Bool(value),
            Self::Number(Number(text)) => serde_json::Value::Number(text.parse().ok()?),
            Self::String(text) => serde_json::Value::String(text),
            Self::Array(items) => {
                let items = items.into_iter().map(Self::into_serde);
                serde_json::Value::Array(items.collect::<Option<_>>()?)
            }
            Self::Object(Map(entries)) => {
                let entries = entries.into_iter().map(|(name, value)| Some((name, value.into_serde()?)));
                serde_json::Value::Object(entries.collect::<Option<_>>()?)
            }
        })
    }

    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(number) => number.0.parse().ok(),
            _ => None,
        }
    }

    pub fn as_object(&self) -> Option<&Map> {
        match self {
            Self::Object(entries) => Some(entries),
            _ => None,
        }
    }

    pub fn is_object(&self) -> bool {
        self.as_object().is_some()
    }
}

impl From<&serde_json::Value> for Value {
    fn from(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => Self::Number(Number(number.to_string())),
            serde_json::Value::String(text) => Self::String(text.clone()),
            serde_json::Value::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            serde_json::Value::Object(entries) => {
                let entry = |(name, value): (&String, &serde_json::Value)| (name.clone(), Self::from(value));
                Self::Object(Map(entries.iter().map(entry).collect()))
            }
        }
    }
}

/// As JSON again.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| serde_json::Value::from(text);
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(number) => f.write_str(&number.0),
            Self::String(text) => write!(f, "{}", quoted(text)),
            Self::Array(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Object(Map(entries)) => {
                f.write_str("{")?;
                for (index, (name, value)) in entries.iter().enumerate() {
                    write!(f, "{}{}:{value}", if index > 0 { "," } else { "" }, quoted(name))?;
                }
                f.write_str("}")
            }
        }
    }
}

impl Number {
    /// A number by its text, in any form that Rust reads as a double: `.5` too.
    pub fn written(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A whole number, written as one.
    pub fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }

    /// The nearest double; infinite beyond the largest.
    pub fn as_f64(&self) -> Option<f64> {
        self.0.parse().ok()
    }

    /// The nearest float; infinite beyond the largest.
    pub fn as_f32(&self) -> Option<f32> {
        self.0.parse().ok()
    }
}

impl FromIterator<(String, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl Map {
    /// The last value of a name. `place` is where it is if the object has the names that are expected, in their order.
    pub fn get(&self, name: &str, place: usize) -> Option<&Value> {
        let is_named = |(found, _): &&(String, Value)| found == name;
        let there = self.0.get(place).filter(is_named);
        there.or_else(|| self.0.iter().rev().find(is_named)).map(|(_, value)| value)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Drops entries by their names.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }
}

/// Finds the parts of a text that is JSON.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth_max: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, String> {
        let depth_max = self.depth_max;
        if depth >= depth_max {
            return Err(format!("arrays and objects are more than {depth_max} deep in each other"));
        }
        Ok(match self.next() {
            Some(b'{') => {
                let mut entries = Vec::new();
                self.each(b'}', |reader| {
                    let name = reader.string()?;
                    // The colon.
                    reader.next();
                    reader.at += 1;
                    entries.push((name, reader.value(depth + 1)?));
                    Ok(())
                })?;
                Value::Object(Map(entries))
            }
            Some(b'[') => {
                let mut items = Vec::new();
                self.each(b']', |reader| {
                    items.push(reader.value(depth + 1)?);
                    Ok(())
                })?;
                Value::Array(items)
            }
            Some(b'"') => Value::String(self.string()?),
            _ => match self.word() {
                "null" => Value::Null,
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                number => Value::Number(Number(number.to_owned())),
            },
        })
    }

    /// The next byte that is no space.
    fn next(&mut self) -> Option<u8> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
        self.text.as_bytes().get(self.at).copied()
    }

    /// What is between a bracket, which comes next, and its `end`.
    fn each(&mut self, end: u8, mut part: impl FnMut(&mut Self) -> Result<(), String>) -> Result<(), String> {
        self.at += 1;
        loop {
            match self.next() {
                Some(byte) if byte == end => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b',') => self.at += 1,
                Some(_) => part(self)?,
                None => return Err("the text ends inside an array or an object".to_owned()),
            }
        }
    }

    fn string(&mut self) -> Result<String, String> {
        self.next();
        let start = self.at;
        let mut is_escaped = false;
        for byte in self.text[start..].bytes().skip(1) {
            self.at += 1;
            match byte {
                b'"' if !is_escaped => break,
                b'\\' => is_escaped = !is_escaped,
                _ => is_escaped = false,
            }
        }
        self.at += 1;
        serde_json::from_str(&self.text[start..self.at]).map_err(|error| error.to_string())
    }

    fn word(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let length = rest.find([',', ']', '}', ' ', '\t', '\n', '\r']).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_read_as_it_is_written() {
        for text in [
            "null",
            "-0.10000000000000000000000000000000000000000000001e+5",
            "\"a\\\"\\\\\"",
            "{}",
            "[[],{},[1,-2.50,true,false,null]]",
            "{\"b\":1,\"a\":{\"b\":[]},\"b\":\"}\"}",
        ] {
            assert_eq!(Value::parse(text).map(|value| value.to_string()).as_deref(), Ok(text));
        }
        let spaced = Value::parse(" { \"a\" : [ 1 , 2 ] ,\n\"b\"\t: \"\\u00e9\\\\\" } ")
            .map(|value| value.to_string());
        assert_eq!(spaced.as_deref(), Ok("{\"a\":[1,2],\"b\":\"\u{e9}\\\\\"}"));
        for text in ["", "{", "[1,]", "{\"a\" 1}", "1 2", "\"\u{1}\"", "nul"] {
            assert!(Value::parse(text).is_err(), "{text}");
        }
        assert!(Value::parse(&"[".repeat(100_000)).is_err());
        assert!(Value::parse(&format!("{}{}", "[".repeat(129), "]".repeat(129))).is_err());
    }

    #[test]
    fn a_schema_may_be_deep() {
        let nested = |depth: usize| format!("{}1,\"a\",null{}", "[".repeat(depth), "]".repeat(depth));
        for depth in [1, 127, 128, 255] {
            let read = read_schema(&nested(depth)).map(|value| value.to_string());
            assert_eq!(read.ok(), Some(nested(depth)), "{depth}");
        }
        let objects = format!("{}-1.5{}", "{\"a\":".repeat(200), "}".repeat(200));
        assert_eq!(read_schema(&objects).map(|value| value.to_string()).ok(), Some(objects));
        for text in [nested(257), "[".repeat(100_000), "[1,".to_owned(), "{\"a\" 1}".to_owned()] {
            assert!(read_schema(&text).is_err());
        }
        assert_eq!(read_schema("[\n1 2]").unwrap_err().line(), 2);
    }
}
