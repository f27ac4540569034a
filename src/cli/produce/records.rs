//! The records of a JSON file, whichever of the usual forms it has: an array, an object that holds one array,
//! or one value after the other (JSON lines).

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::Path;

use serde_json::value::RawValue;

/// The whole text of a file, or of stdin for `-`.
pub(super) fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    if file == Path::new("-") {
        io::stdin().read_to_string(&mut text)?;
    } else {
        text = std::fs::read_to_string(file)?;
    }
    if let Some(rest) = text.strip_prefix('\u{feff}') {
        text = rest.to_owned();
    }
    Ok(text)
}

/// The records, as they stand in the file.
#[derive(Debug)]
pub(super) struct Records<'a> {
    text: &'a str,
    values: Vec<&'a RawValue>,
}

/// One record and its place in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    /// From 1.
    pub line: usize,
    pub json: &'a RawValue,
}

impl<'a> Records<'a> {
    /// Finds the records. `is_field` tells a record from an object that only holds them.
    ///
    /// # Errors
    /// Broken JSON, as `line: column: what`.
    pub fn parse(text: &'a str, is_field: &dyn Fn(&str) -> bool) -> Result<Self, String> {
        let mut values = Vec::new();
        for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
            values.push(value.map_err(|error| {
                format!("{}:{}: this is not JSON: {error}", error.line(), error.column())
            })?);
        }
        let values = match values.as_slice() {
            [only] if only.get().starts_with('[') => elements(only)?,
            [only] if only.get().starts_with('{') => match held_array(only, is_field) {
                Some(array) => elements(array)?,
                None => values,
            },
            _ => values,
        };
        Ok(Self { text, values })
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = Record<'a>> {
        let text = self.text;
        let mut line = 1;
        let mut counted_to = 0;
        self.values.iter().map(move |json| {
            // The values borrow from the text, in its order.
            let offset = (json.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
            line += text.as_bytes()[counted_to..offset].iter().filter(|byte| **byte == b'\n').count();
            counted_to = offset;
            Record { line, json }
        })
    }
}

fn elements(array: &RawValue) -> Result<Vec<&RawValue>, String> {
    serde_json::from_str(array.get()).map_err(|error| format!("1: this is not a JSON array: {error}"))
}

/// The one array that an object holds, where the object is no record itself.
fn held_array<'a>(object: &'a RawValue, is_field: &dyn Fn(&str) -> bool) -> Option<&'a RawValue> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(object.get()).ok()?;
    let mut arrays = members.iter().filter(|(_, value)| value.get().starts_with('['));
    let (name, array) = arrays.next()?;
    (arrays.next().is_none() && !is_field(name)).then_some(*array)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(usize, String)> {
        let records = Records::parse(text, &|name| name == "tags").expect("JSON");
        records.iter().map(|record| (record.line, record.json.get().to_owned())).collect()
    }

    #[test]
    fn arrays_objects_with_an_array_and_lines_hold_the_same_records() {
        let expected = |lines: [usize; 2]| {
            vec![(lines[0], r#"{"a":1}"#.to_owned()), (lines[1], r#"{"a":2}"#.to_owned())]
        };
        assert_eq!(found("[{\"a\":1},\n{\"a\":2}]"), expected([1, 2]));
        assert_eq!(found("{\"version\": 1, \"rows\":\n[{\"a\":1},{\"a\":2}]}"), expected([2, 2]));
        assert_eq!(found("{\"a\":1}\n\n{\"a\":2}\n"), expected([1, 3]));
        assert_eq!(found(""), []);
    }

    #[test]
    fn a_single_record_with_an_array_of_its_own_is_a_record() {
        assert_eq!(found("{\"tags\":[1,2]}"), [(1, "{\"tags\":[1,2]}".to_owned())]);
    }

    #[test]
    fn broken_json_is_named_by_line_and_column() {
        let error = Records::parse("{\"a\":1}\n{\"a\":}\n", &|_| false).expect_err("broken");
        assert!(error.starts_with("2:6: this is not JSON"), "{error}");
    }
}
