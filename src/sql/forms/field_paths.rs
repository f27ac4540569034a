//! A field of a record that is called as a relation: `customer.batch.id` beside `FROM batch`.
//!
//! DataFusion takes `customer` for a schema, and does not compare it with that of the relation, which has none. So it reads the
//! column `id` of `batch`, if there is one, and no field. Here what follows the first two names is written as fields: these two
//! are a relation and its column, or a column and its field.

use std::iter;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Ident, ObjectNamePart, Statement, TableFactor, Value,
};

use super::super::walk::{self, Part};

/// The relations of a statement, those of its subqueries too.
#[derive(Default)]
pub(super) struct Relations {
    /// Those of one name, which may be the one after AS.
    names: Vec<String>,
    /// Those with a schema.
    qualified: Vec<Vec<String>>,
}

impl Relations {
    pub(super) fn of(statement: &Statement) -> Self {
        let mut relations = Self::default();
        let _: Result<(), ()> = walk::read(statement, &mut |part| {
            if let Part::TableFactor(factor) = part {
                relations.add(factor);
            }
            Ok(())
        });
        relations
    }

    fn add(&mut self, factor: &TableFactor) {
        match factor {
            TableFactor::Table { alias: Some(alias), .. }
            | TableFactor::Derived { alias: Some(alias), .. }
            | TableFactor::TableFunction { alias: Some(alias), .. }
            | TableFactor::Function { alias: Some(alias), .. }
            | TableFactor::UNNEST { alias: Some(alias), .. }
            | TableFactor::NestedJoin { alias: Some(alias), .. } => self.names.push(alias.name.value.clone()),
            TableFactor::Table { name, .. } => {
                let parts = name.0.iter().filter_map(ObjectNamePart::as_ident);
                let parts: Vec<String> = parts.map(|part| part.value.clone()).collect();
                if parts.len() > 1 {
                    self.qualified.push(parts);
                } else {
                    self.names.extend(parts);
                }
            }
            _ => {}
        }
    }

    /// A path as the fields that it is, if DataFusion could take it for a column.
    pub(super) fn rewritten(&self, path: &Expr) -> Option<Expr> {
        let (names, rest): (Vec<&Ident>, &[AccessExpr]) = match path {
            Expr::CompoundIdentifier(names) => (names.iter().collect(), &[][..]),
            Expr::CompoundFieldAccess { root, access_chain } => {
                let Expr::Identifier(first) = root.as_ref() else { return None };
                let more = access_chain.iter().map_while(|access| match access {
                    AccessExpr::Dot(Expr::Identifier(name)) => Some(name),
                    _ => None,
                });
                let names: Vec<&Ident> = iter::once(first).chain(more).collect();
                let rest = access_chain.get(names.len() - 1..)?;
                (names, rest)
            }
            _ => return None,
        };
        let [first, second, fields @ ..] = names.as_slice() else { return None };
        if fields.is_empty() || !self.may_be_relation(&names) {
            return None;
        }
        let field = |name: &&Ident| {
            let text = Value::SingleQuotedString(name.value.clone());
            AccessExpr::Dot(Expr::Value(text.with_span(name.span)))
        };
        let second = AccessExpr::Dot(Expr::Identifier((*second).clone()));
        let access_chain = iter::once(second).chain(fields.iter().map(field)).chain(rest.iter().cloned());
        let root = Box::new(Expr::Identifier((*first).clone()));
        Some(Expr::CompoundFieldAccess { root, access_chain: access_chain.collect() })
    }

    /// Whether the second or third name is a relation's, with a column after it.
    fn may_be_relation(&self, names: &[&Ident]) -> bool {
        let is_qualified = |table: &Vec<String>| {
            let first = names.iter().take(table.len()).map(|name| &name.value);
            first.eq(table)
        };
        let last = names.len().saturating_sub(1);
        let mut inner = names.iter().take(last).skip(1).take(2);
        inner.any(|name| self.names.contains(&name.value)) && !self.qualified.iter().any(is_qualified)
    }
}
