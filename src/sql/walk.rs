//! Walks over parsed statements.
//!
//! Why not the parser's visitors: each of them has the walk over its hundreds of types compiled once more, which was a third
//! of this crate's machine code. Here there is one walk that reads and one that writes, and what looks at the parts is a
//! closure.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Query, Select, TableFactor, Visit, VisitMut, Visitor, VisitorMut,
};

/// A part of a statement, in the order of the text.
pub(super) enum Part<'a> {
    Query(&'a Query),
    /// All parts of the query were met.
    EndOfQuery(&'a Query),
    Select(&'a Select),
    /// Met before its own parts.
    Expression(&'a Expr),
    /// A table of a FROM clause; its name is met after it.
    TableFactor(&'a TableFactor),
    Relation(&'a ObjectName),
}

/// A part of a statement that may be changed.
pub(super) enum PartMut<'a> {
    Query(&'a mut Query),
    /// All parts of the query were met.
    EndOfQuery(&'a mut Query),
    /// Met before its own parts.
    Expression(&'a mut Expr),
    /// All parts of the expression were met.
    EndOfExpression(&'a mut Expr),
    /// A table of a FROM clause.
    TableFactor(&'a mut TableFactor),
}

/// Shows `look` all parts.
///
/// # Errors
/// The first error of `look`; it ends the walk.
pub(super) fn read<E>(whole: &impl Visit, look: &mut dyn FnMut(Part<'_>) -> Result<(), E>) -> Result<(), E> {
    let mut result = Ok(());
    let _ = whole.visit(&mut Reader(&mut |part| kept(look(part), &mut result)));
    result
}

/// Shows `look` the expressions, but for those of subqueries.
///
/// # Errors
/// As [`read`].
pub(super) fn read_own<E>(whole: &impl Visit, look: &mut dyn FnMut(&Expr) -> Result<(), E>) -> Result<(), E> {
    let mut depth = 0;
    read(whole, &mut |part| {
        match part {
            Part::Query(_) => depth += 1,
            Part::EndOfQuery(_) => depth -= 1,
            Part::Expression(expression) if depth == 0 => return look(expression),
            _ => {}
        }
        Ok(())
    })
}

/// Lets `rewrite` change all parts.
///
/// # Errors
/// The first error of `rewrite`; it ends the walk.
pub(super) fn write<E>(
    whole: &mut impl VisitMut,
    rewrite: &mut dyn FnMut(PartMut<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut result = Ok(());
    let _ = whole.visit(&mut Writer(&mut |part| kept(rewrite(part), &mut result)));
    result
}

/// Puts an error aside: the walk itself breaks with nothing, so that walks with any errors are one.
fn kept<E>(looked: Result<(), E>, result: &mut Result<(), E>) -> ControlFlow<()> {
    *result = looked;
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}

struct Reader<'a>(&'a mut dyn FnMut(Part<'_>) -> ControlFlow<()>);

impl Visitor for Reader<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        (self.0)(Part::Query(query))
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        (self.0)(Part::EndOfQuery(query))
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        (self.0)(Part::Select(select))
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        (self.0)(Part::Expression(expression))
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        (self.0)(Part::TableFactor(factor))
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        (self.0)(Part::Relation(relation))
    }
}

struct Writer<'a>(&'a mut dyn FnMut(PartMut<'_>) -> ControlFlow<()>);

impl VisitorMut for Writer<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        (self.0)(PartMut::Query(query))
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        (self.0)(PartMut::EndOfQuery(query))
    }

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        (self.0)(PartMut::Expression(expression))
    }

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        (self.0)(PartMut::EndOfExpression(expression))
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        (self.0)(PartMut::TableFactor(factor))
    }
}
