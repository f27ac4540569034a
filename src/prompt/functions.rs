//! What `\df` prints: the functions as a table, or all that is known of one.

use arrow::array::RecordBatch;

use super::describe::table;
use super::refusal::Refusal;
use super::session::Session;
use crate::diagnostic::Finding;
use crate::nearest::did_you_mean;
use crate::print::texts;
use crate::sql::FunctionHelp;

/// The answer to `\df`.
#[derive(Debug)]
pub(super) enum Functions {
    Table(RecordBatch),
    Page(String),
}

impl Session {
    /// All functions, those whose name contains `name`, or all about the one with this name.
    ///
    /// # Errors
    /// No such function.
    pub(super) fn describe_functions(&self, name: Option<&str>) -> Result<Functions, Refusal> {
        let all = self.queries.function_help();
        let wanted = name.unwrap_or_default().trim_end_matches("()").to_lowercase();
        if let Some(function) = all.get(&wanted) {
            return Ok(Functions::Page(page(function)));
        }
        let found: Vec<&FunctionHelp> =
            all.values().filter(|function| function.name.contains(&wanted)).collect();
        if found.is_empty() {
            let hint = did_you_mean(&wanted, all.keys().map(String::as_str))
                .unwrap_or_else(|| "`\\df` lists all".into());
            return Err(Refusal::Found(Finding::new(format!("no function `{wanted}`")).with_hint(hint)));
        }
        let column =
            |of: &dyn Fn(&FunctionHelp) -> String| texts(found.iter().map(|function| Some(of(function))));
        table([
            ("function", column(&|function| function.name.clone())),
            ("kind", column(&|function| function.kind.to_owned())),
            ("how it is called", column(&|function| function.syntax.clone())),
        ])
        .map(Functions::Table)
    }
}

fn page(function: &FunctionHelp) -> String {
    let FunctionHelp { syntax, kind, description, arguments, example, .. } = function;
    let mut page = format!("{syntax}   ({kind} function)\n");
    if !description.is_empty() {
        page.push_str(&format!("\n{description}\n"));
    }
    if !arguments.is_empty() {
        page.push('\n');
    }
    for (name, what) in arguments {
        page.push_str(&format!("  {name}: {what}\n"));
    }
    if let Some(example) = example {
        page.push_str(&format!("\n{example}\n"));
    }
    page
}
