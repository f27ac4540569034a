//! `${NAME}` and `${NAME:-default}` in the texts of a configuration become the values of environment variables, before
//! anything else is read, so `${ROWS}` may be a number.

use std::ops::Range;

use crate::yaml::{Fault, Node, Value};

/// Replaces the references of a tree. `variable` returns the value of an environment variable.
///
/// Adds a fault for every missing variable; the tree has nothing there, so that the rest can still be checked.
pub(super) fn replace(node: &mut Node, variable: &dyn Fn(&str) -> Option<String>, faults: &mut Vec<Fault>) {
    match &mut node.value {
        Value::Null => {}
        Value::List(items) => items.iter_mut().for_each(|item| replace(item, variable, faults)),
        Value::Map(entries) => {
            for (key, value) in entries {
                replace(key, variable, faults);
                replace(value, variable, faults);
            }
        }
        Value::Scalar { text, inserted, .. } => match expand(text, variable) {
            Ok(expanded) => (*text, *inserted) = expanded,
            Err(fault) => {
                faults.push(Fault { spot: Some(node.spot), ..fault });
                node.value = Value::Null;
            }
        },
    }
}

/// Replaces `${NAME}` and `${NAME:-default}`; `$${` is an escaped `${`. Also returns where the values are in the result.
///
/// # Errors
/// A reference that has no value. The text around it may be a password, so nothing of it is repeated.
fn expand(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<(String, Vec<Range<usize>>), Fault> {
    let mut expanded = String::with_capacity(text.len());
    let mut inserted = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            expanded.push_str(&rest[..at]);
            expanded.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        expanded.push_str(&rest[..at]);
        let Some(length) = rest[at..].find('}') else {
            let fault = Fault::new(None, "`${` without its `}`").without_line();
            return Err(fault.hint("for `${` itself, write `$${`"));
        };
        let reference = &rest[at + 2..at + length];
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            let fault = Fault::new(None, "`${...}` does not hold the name of a variable").without_line();
            return Err(fault.hint("write ${NAME} or ${NAME:-default}; for `${` itself, `$${`"));
        }
        let start = expanded.len();
        match (variable(name).filter(|value| !value.is_empty()), default) {
            (Some(value), _) => expanded.push_str(&value),
            (None, Some(default)) => expanded.push_str(default),
            (None, None) => {
                return Err(Fault::new(None, format!("the environment variable {name} is not set"))
                    .hint(format!("set it, or write ${{{name}:-default}}")));
            }
        }
        inserted.push(start..expanded.len());
        rest = &rest[at + length + 1..];
    }
    expanded.push_str(rest);
    Ok((expanded, inserted))
}
