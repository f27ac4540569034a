//! Names in SELECT lists that are probably not what was meant: a comma that is missing, and `*` where columns should
//! stay.

use std::collections::BTreeSet;
use std::convert::Infallible;

use datafusion::sql::sqlparser::ast::{Expr, Ident, Select, SelectItem, SetExpr};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::super::columns;
use super::super::locate;
use super::super::view_files::ViewFile;
use super::super::walk::{self, Part};
use super::{Code, Diagnostic, Planned, Project, warning};

pub(super) fn warnings(project: &Project<'_>, view: &Planned<'_>) -> Vec<Diagnostic> {
    let is_output = project.survey.graph.outputs.iter().any(|output| output == view.name);
    let stars = columns::wildcards(view.file).filter(|_| is_output).map(|(star, place)| {
        let message = format!(
            "`{star}` in output `{}`: its columns change with whatever it reads, and its table does not",
            view.name
        );
        warning(Code::Star, place, message, "write the columns out")
    });
    let mut aliases = Aliases { file: view.file, known: columns_read(project, view.file), found: Vec::new() };
    let Ok(()) = walk::read::<Infallible>(&view.file.statement, &mut |part| {
        if let Part::Query(query) = part {
            aliases.body(&query.body);
        }
        Ok(())
    });
    stars.chain(aliases.found).collect()
}

/// The names of all columns of what a view reads.
fn columns_read(project: &Project<'_>, file: &ViewFile) -> BTreeSet<String> {
    let slots = project.survey.planned.iter().flat_map(|planned| &planned.slots);
    let read = slots.filter(|(name, _)| file.reads.iter().any(|reference| reference.relation == **name));
    let columns = read.flat_map(|(_, slot)| slot.schema().fields().iter().map(|field| field.name().clone()));
    columns.collect()
}

/// Finds `a b` in a SELECT list, where `b` is the name of another column.
struct Aliases<'a> {
    file: &'a ViewFile,
    known: BTreeSet<String>,
    found: Vec<Diagnostic>,
}

impl Aliases<'_> {
    /// Queries inside are met by themselves.
    fn body(&mut self, body: &SetExpr) {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left);
                self.body(right);
            }
            _ => {}
        }
    }

    fn select(&mut self, select: &Select) {
        for item in &select.projection {
            let SelectItem::ExprWithAlias { expr: Expr::Identifier(_) | Expr::CompoundIdentifier(_), alias } =
                item
            else {
                continue;
            };
            let SelectItem::ExprWithAlias { expr, .. } = item else { continue };
            if !self.known.contains(&alias.value) || self.has_as(alias) {
                continue;
            }
            let start = alias.span.start;
            let place = self.file.place(start.line, start.column, locate::width(alias.span));
            let message = format!("`{expr}` gets the name `{alias}`, which is another column's");
            let hint =
                format!("a comma is missing: `{expr}, {alias}`; if the name is meant: `{expr} AS {alias}`");
            self.found.push(warning(Code::MissingComma, place, message, &hint));
        }
    }

    fn has_as(&self, alias: &Ident) -> bool {
        let tokens = &self.file.tokens;
        let position = tokens.iter().position(|token| token.span.start == alias.span.start);
        let before = position.and_then(|position| tokens.get(position.checked_sub(1)?));
        before.is_some_and(|token| matches!(&token.token, Token::Word(word) if word.keyword == Keyword::AS))
    }
}
