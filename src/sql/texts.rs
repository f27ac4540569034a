//! Functions of texts that DataFusion answers wrongly.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Int64Array, ListBuilder, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl};
use regex::Regex;

use super::wrapped::{Around, Extent, change_argument, wrap};

pub(super) fn install(state: &mut SessionState) -> Result<()> {
    wrap(state, "regexp_match", EveryGroup)?;
    wrap(state, "regexp_replace", GroupsAlone)?;
    wrap(state, "lpad", NoLessThanNothing)?;
    wrap(state, "split_part", FromTheStart)
}

/// The text that `regexp_replace` puts in has groups after a backslash, as in PostgreSQL: `\1` to `\9`, and `\0` or `\&` for the
/// whole match. DataFusion takes `$` for the start of a group's name, too, and two backslashes for two. And it reads `^a|(b).*$`
/// with `\1` as if `^` were of all that the pattern chooses from, unless something follows the group.
#[derive(Debug)]
struct GroupsAlone;

impl Around for GroupsAlone {
    fn call(&self, function: &dyn ScalarUDFImpl, mut call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let has_choice = matches!(call.args.get(1), Some(ColumnarValue::Scalar(pattern))
            if pattern.try_as_str().flatten().is_some_and(|pattern| pattern.contains('|')));
        let end = if has_choice { NOTHING } else { "" };
        change_argument(&mut call, 2, &DataType::Utf8, |texts| {
            let texts = texts.as_string::<i32>();
            texts.iter().flatten().any(|text| text.contains(['$', '\\'])).then(|| {
                let written = texts.iter().map(|text| text.map(|text| with_groups_alone(text) + end));
                Arc::new(written.collect::<StringArray>()) as ArrayRef
            })
        })?;
        function.invoke_with_args(call)
    }
}

/// A group of a number that no regular expression has: an empty text.
const NOTHING: &str = "${999999}";

/// The text as DataFusion takes it: it reads a backslash and all digits after it as a group, and then each `${1}` too.
fn with_groups_alone(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('$', _) => written.push_str("$$"),
            ('\\', Some(digit)) if digit.is_ascii_digit() => {
                written.extend(['$', '{', *digit, '}']);
                chars.next();
            }
            ('\\', Some('&')) => {
                written.push_str("${0}");
                chars.next();
            }
            ('\\', next) => {
                if next == Some(&'\\') {
                    chars.next();
                }
                written.push('\\');
                written.push_str(NOTHING);
            }
            _ => written.push(c),
        }
    }
    written
}

/// `lpad` to a length below 0 is an empty text. DataFusion panics.
#[derive(Debug)]
struct NoLessThanNothing;

impl Around for NoLessThanNothing {
    fn call(&self, function: &dyn ScalarUDFImpl, mut call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        change_argument(&mut call, 1, &DataType::Int64, |lengths| {
            let lengths = lengths.as_primitive::<Int64Type>();
            let is_below = lengths.iter().flatten().any(|length| length < 0);
            is_below.then(|| Arc::new(lengths.unary::<_, Int64Type>(|length| length.max(0))) as ArrayRef)
        })?;
        function.invoke_with_args(call)
    }
}

/// `split_part(text, delimiter, -1)` is the last part of those that are found from the start. DataFusion looks for them from the
/// end, and finds others if a delimiter can overlap another one.
#[derive(Debug)]
struct FromTheStart;

impl Around for FromTheStart {
    fn call(&self, function: &dyn ScalarUDFImpl, mut call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [texts, delimiters, numbers] = call.args.as_slice() else {
            return function.invoke_with_args(call);
        };
        let extent = Extent::of(&call.args, call.number_rows);
        let column = |values: &ColumnarValue, of: &DataType| values.cast_to(of, None)?.to_array(extent.rows);
        let numbers = column(numbers, &DataType::Int64)?;
        let numbers = numbers.as_primitive::<Int64Type>();
        if numbers.iter().flatten().all(|number| number >= 0) {
            return function.invoke_with_args(call);
        }
        let (texts, delimiters) = (column(texts, &DataType::Utf8)?, column(delimiters, &DataType::Utf8)?);
        let (texts, delimiters) = (texts.as_string::<i32>(), delimiters.as_string::<i32>());
        let parts = texts.iter().zip(delimiters).zip(numbers);
        let from_start =
            parts.map(|((text, delimiter), number)| Some(from_start(text?, delimiter?, number?)));
        let from_start: ArrayRef = Arc::new(from_start.collect::<Int64Array>());
        call.args[2] = extent.answer(from_start)?;
        function.invoke_with_args(call)
    }
}

/// The number of a part counted from the start, where a negative one counts from the end. All parts after the last are empty, as
/// are those before the first, so these get a number after the last.
fn from_start(text: &str, delimiter: &str, number: i64) -> i64 {
    if number >= 0 {
        return number;
    }
    // An empty delimiter leaves the text whole.
    let delimiters = if delimiter.is_empty() { 0 } else { text.matches(delimiter).count() };
    let parts = i64::try_from(delimiters).unwrap_or(i64::MAX).saturating_add(1);
    let first = parts.saturating_add(1);
    match first.saturating_add(number) {
        found if found > 0 => found,
        _ => first,
    }
}

/// `regexp_match` returns what each group of the pattern matched: NULL for one that took no part. DataFusion leaves that one out,
/// so the next group has its place.
#[derive(Debug)]
struct EveryGroup;

impl Around for EveryGroup {
    fn call(&self, function: &dyn ScalarUDFImpl, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let extent = Extent::of(&call.args, call.number_rows);
        let column = |values: &ColumnarValue| values.cast_to(&DataType::Utf8, None)?.to_array(extent.rows);
        let columns = call.args.iter().map(column).collect::<Result<Vec<_>>>()?;
        let answer = function.invoke_with_args(call)?;
        let found = answer.to_array(extent.rows)?;
        let Some(found) = found.as_list_opt::<i32>() else { return Ok(answer) };
        let columns: Vec<&StringArray> = columns.iter().map(|column| column.as_string::<i32>()).collect();
        let [texts, patterns, flags @ ..] = columns.as_slice() else { return Ok(answer) };
        let flags = flags.first();

        let flags_of =
            |row: usize| flags.filter(|flags| flags.is_valid(row)).map_or("", |flags| flags.value(row));

        let mut regexes = Regexes::default();
        let mut is_whole = true;
        for row in (0..found.len()).filter(|row| found.is_valid(*row)) {
            let groups = regexes.of(patterns.value(row), flags_of(row))?.captures_len() - 1;
            is_whole &= found.value_length(row) as usize == groups.max(1);
        }
        if is_whole {
            return Ok(answer);
        }
        let mut matched = ListBuilder::new(StringBuilder::new());
        for row in 0..found.len() {
            if found.is_null(row) {
                matched.append_null();
                continue;
            }
            let captures = regexes.of(patterns.value(row), flags_of(row))?.captures(texts.value(row));
            let captures = captures.ok_or_else(|| exec_datafusion_err!("regexp_match has no match"))?;
            let groups = captures.iter().skip(usize::from(captures.len() > 1));
            matched.append_value(groups.map(|group| group.map(|group| group.as_str())));
        }
        extent.answer(cast(&matched.finish(), &answer.data_type())?)
    }
}

/// Regular expressions, each compiled once.
#[derive(Default)]
struct Regexes(HashMap<String, Regex>);

impl Regexes {
    fn of(&mut self, pattern: &str, flags: &str) -> Result<&Regex> {
        let whole = match flags {
            "" => Cow::Borrowed(pattern),
            flags => Cow::Owned(format!("(?{flags}){pattern}")),
        };
        if !self.0.contains_key(whole.as_ref()) {
            let regex = Regex::new(&whole).map_err(|error| exec_datafusion_err!("{error}"))?;
            self.0.insert(whole.to_string(), regex);
        }
        self.0.get(whole.as_ref()).ok_or_else(|| exec_datafusion_err!("no regular expression"))
    }
}
