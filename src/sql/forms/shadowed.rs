//! A WITH that has a name of a WITH around it. In SQL the inner one counts; DataFusion refuses it. Here the inner one gets
//! another name.

use std::convert::Infallible;

use datafusion::sql::sqlparser::ast::{Ident, ObjectNamePart, Query, TableAlias, TableFactor, VisitMut};

use crate::sql::walk::{self, PartMut};

/// The names of the WITHs around a query, the outermost first.
#[derive(Debug, Default)]
pub(super) struct Names {
    around: Vec<Vec<String>>,
    renamed: usize,
}

impl Names {
    /// Before the parts of a query.
    pub(super) fn enter(&mut self, query: &Query) {
        let names =
            query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| cte.alias.name.value.clone());
        self.around.push(names.collect());
    }

    /// After the parts of a query: what reads a name inside reads that of its own WITH already.
    pub(super) fn leave(&mut self, query: &mut Query) {
        self.around.pop();
        let Query { with: Some(with), body, order_by, .. } = query else { return };
        for place in 0..with.cte_tables.len() {
            let name = with.cte_tables[place].alias.name.clone();
            if !self.around.iter().flatten().any(|around| *around == name.value) {
                continue;
            }
            self.renamed += 1;
            let value = format!("{} {}", name.value, self.renamed);
            let rename = Rename { to: Ident { value, quote_style: Some('"'), span: name.span }, from: name };
            with.cte_tables[place].alias.name = rename.to.clone();
            // Without RECURSIVE, a query that reads its own name reads that of the WITH around.
            let first = if with.recursive { place } else { place + 1 };
            for cte in &mut with.cte_tables[first..] {
                rename.within(&mut cte.query);
            }
            rename.within(body);
            rename.within(order_by);
        }
    }
}

/// Reads a query by another name; its columns keep the name before them.
struct Rename {
    from: Ident,
    to: Ident,
}

impl Rename {
    fn within(&self, part: &mut impl VisitMut) {
        let Ok(()) = walk::write::<Infallible>(part, &mut |part| {
            if let PartMut::TableFactor(TableFactor::Table { name, alias, args: None, .. }) = part
                && let [ObjectNamePart::Identifier(name)] = name.0.as_mut_slice()
                && name.value == self.from.value
            {
                let old = || TableAlias { explicit: true, name: name.clone(), columns: Vec::new(), at: None };
                alias.get_or_insert_with(old);
                name.value.clone_from(&self.to.value);
                name.quote_style = self.to.quote_style;
            }
            Ok(())
        });
    }
}
