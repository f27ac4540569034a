//! What the functions of SQL say of themselves: arguments, a description and an example, as DataFusion documents them.

use std::collections::BTreeMap;

use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Documentation, Signature};

/// A function, for people to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionHelp {
    pub name: String,
    /// Scalar, aggregate or window.
    pub kind: &'static str,
    /// How it is called.
    pub syntax: String,
    /// What it returns; empty if nobody has written it down.
    pub description: String,
    /// Each argument and what it is.
    pub arguments: Vec<(String, String)>,
    pub example: Option<String>,
}

/// All functions of a session, by name. Another name of a function is an entry of its own.
pub(super) fn help(state: &SessionState) -> BTreeMap<String, FunctionHelp> {
    let mut all = BTreeMap::new();
    let mut add = |name: &str, kind, documentation: Option<&Documentation>, signature: &Signature| {
        all.insert(name.to_owned(), FunctionHelp::new(name, kind, documentation, signature));
    };
    for (name, function) in state.window_functions() {
        add(name, "window", function.documentation(), function.signature());
    }
    for (name, function) in state.aggregate_functions() {
        add(name, "aggregate", function.documentation(), function.signature());
    }
    for (name, function) in state.scalar_functions() {
        add(name, "scalar", function.documentation(), function.signature());
    }
    all
}

impl FunctionHelp {
    fn new(
        name: &str,
        kind: &'static str,
        documentation: Option<&Documentation>,
        signature: &Signature,
    ) -> Self {
        let Some(documentation) = documentation else {
            let syntax = format!("{name}({})", arguments_of(signature));
            let (description, arguments, example) = (String::new(), Vec::new(), None);
            return Self { name: name.to_owned(), kind, syntax, description, arguments, example };
        };
        Self {
            name: name.to_owned(),
            kind,
            syntax: documentation.syntax_example.trim().to_owned(),
            description: documentation.description.trim().to_owned(),
            arguments: documentation.arguments.clone().unwrap_or_default(),
            example: documentation.sql_example.as_deref().map(without_fences),
        }
    }
}

/// The types of the arguments, for a function without documentation.
fn arguments_of(signature: &Signature) -> String {
    signature.type_signature.to_string_repr().join(" / ")
}

/// The example without the marks of Markdown around it.
fn without_fences(example: &str) -> String {
    let lines = example.trim().lines().filter(|line| !line.trim_start().starts_with("```"));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::session::session;

    #[test]
    fn most_functions_have_arguments_and_an_example() {
        let all = help(&session(16 << 20).unwrap());
        let concat = &all["concat"];
        assert_eq!((concat.kind, concat.syntax.as_str()), ("scalar", "concat(str[, ..., str_n])"));
        assert!(!concat.arguments.is_empty() && !concat.description.is_empty());
        assert!(concat.example.as_ref().unwrap().starts_with("> select concat("), "{concat:?}");
        // Functions in the place of DataFusion's own keep what those say.
        for name in ["sum", "avg", "repeat", "to_timestamp", "row_number"] {
            assert!(!all[name].description.is_empty(), "{name}");
        }
        let silent = all.values().filter(|function| function.description.is_empty()).count();
        assert!(silent * 5 < all.len(), "{silent} of {} say nothing", all.len());
    }
}
