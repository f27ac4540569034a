//! Expressions as they are written: rows of values are compared column by column, `= ANY (array)` becomes what it means, LIKE
//! has backslashes in the place of another ESCAPE, fields are named after any value, a text is cut to the length of its type,
//! and `ARRAY[a, b]` calls `make_array`. Why: inside the brackets, the planner knows neither outer columns nor WITH.
//!
//! DataFusion compares rows as structs, for which NULL is a value like others, and looks for a value in an array without the
//! NULLs in it. Written out, both have the three-valued truth of the standard.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CaseWhen, CharacterLength, DataType, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart, Query,
    SelectItem, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, UnaryOperator, Value,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::patterns;

/// What an expression means, if DataFusion would answer it wrongly.
pub(super) fn rewritten(expression: &Expr) -> Option<Expr> {
    match expression {
        Expr::BinaryOp { left, op, right } => {
            let (left, right) = (row(left)?, row(right)?);
            (left.len() == right.len()).then_some(())?;
            compared(left, op, right)
        }
        Expr::IsDistinctFrom(left, right) => differs(row(left)?, row(right)?),
        Expr::IsNotDistinctFrom(left, right) => differs(row(left)?, row(right)?).map(not),
        Expr::IsNull(inner) => all(row(inner)?.iter().map(|part| Expr::IsNull(Box::new(part.clone())))),
        Expr::IsNotNull(inner) => all(row(inner)?.iter().map(|part| Expr::IsNotNull(Box::new(part.clone())))),
        Expr::Between { expr, negated, low, high } => {
            let (value, low, high) = (row(expr)?, row(low)?, row(high)?);
            let low = compared(value, &BinaryOperator::GtEq, low)?;
            let high = compared(value, &BinaryOperator::LtEq, high)?;
            let between = both(low, BinaryOperator::And, high);
            Some(if *negated { not(between) } else { between })
        }
        Expr::InList { expr, list, negated } => {
            let value = row(expr)?;
            let equal = list.iter().map(|item| compared(value, &BinaryOperator::Eq, row(item)?));
            let any = equal.collect::<Option<Vec<_>>>()?.into_iter();
            let any = any.reduce(|left, right| both(left, BinaryOperator::Or, right))?;
            Some(if *negated { not(any) } else { nested(any) })
        }
        Expr::InSubquery { expr, subquery, negated } => {
            let is_in = is_in_rows(row(expr)?, subquery)?;
            Some(if *negated { not(is_in) } else { is_in })
        }
        Expr::AnyOp { left, compare_op, right, .. } if !is_query(right) => {
            let compare_op = opposite(compare_op)?;
            Some(not(Expr::AllOp { left: left.clone(), compare_op, right: right.clone() }))
        }
        Expr::Array(array) if !array.elem.is_empty() => Some(call("make_array", array.elem.clone())),
        Expr::Cast { expr, data_type, array: false, .. } => cut(expression, expr, data_type),
        Expr::RLike { negated, expr, pattern, .. } => {
            let op = match negated {
                true => BinaryOperator::PGRegexNotMatch,
                false => BinaryOperator::PGRegexMatch,
            };
            Some(both(expr.as_ref().clone(), op, pattern.as_ref().clone()))
        }
        Expr::CompoundFieldAccess { root, access_chain } => with_names_of_fields(root, access_chain),
        Expr::Like { escape_char: Some(escape), pattern, .. }
        | Expr::ILike { escape_char: Some(escape), pattern, .. } => {
            let pattern = patterns::with_backslashes(text(pattern)?, &escape.value)?;
            let mut rewritten = expression.clone();
            if let Expr::Like { pattern: own, escape_char, .. }
            | Expr::ILike { pattern: own, escape_char, .. } = &mut rewritten
            {
                **own = Expr::Value(Value::SingleQuotedString(pattern).with_empty_span());
                *escape_char = None;
            }
            Some(rewritten)
        }
        _ => None,
    }
}

/// `CAST(x AS VARCHAR(2))` with the characters after the second cut off. The planner does not read the length.
fn cut(cast: &Expr, value: &Expr, to: &DataType) -> Option<Expr> {
    let (DataType::Varchar(length)
    | DataType::CharVarying(length)
    | DataType::CharacterVarying(length)
    | DataType::Char(length)
    | DataType::Character(length)) = to
    else {
        return None;
    };
    let Some(CharacterLength::IntegerLength { length, .. }) = length else { return None };
    let mut text = cast.clone();
    if let Expr::Cast { data_type, .. } = &mut text {
        *data_type = DataType::Varchar(None);
    }
    // A text is short enough as it is written.
    if self::text(value).is_some_and(|text| text.chars().count() as u64 <= *length) {
        return Some(text);
    }
    let number =
        |number: u64| Some(Box::new(Expr::Value(Value::Number(number.to_string(), false).with_empty_span())));
    let (substring_from, substring_for) = (number(1), number(*length));
    Some(Expr::Substring {
        expr: Box::new(text),
        substring_from,
        substring_for,
        special: true,
        shorthand: true,
    })
}

/// `list[1].field` with the name as a text, as the planner takes it.
fn with_names_of_fields(root: &Expr, chain: &[AccessExpr]) -> Option<Expr> {
    fn is_name(access: &AccessExpr) -> bool {
        matches!(access, AccessExpr::Dot(Expr::Identifier(_)))
    }
    // `relation.column[1]` begins with the name of a column, which the planner finds.
    let of_column = match root {
        Expr::Identifier(_) => chain.iter().take_while(|access| is_name(access)).count(),
        _ => 0,
    };
    if !chain.iter().skip(of_column).any(is_name) {
        return None;
    }
    let named = chain.iter().enumerate().map(|(place, access)| match access {
        AccessExpr::Dot(Expr::Identifier(field)) if place >= of_column => {
            let name = Value::SingleQuotedString(field.value.clone());
            AccessExpr::Dot(Expr::Value(name.with_span(field.span)))
        }
        other => other.clone(),
    });
    Some(Expr::CompoundFieldAccess { root: Box::new(root.clone()), access_chain: named.collect() })
}

pub(super) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let argument = |value| FunctionArg::Unnamed(FunctionArgExpr::Expr(value));
    Expr::Function(Function {
        name: ObjectName(vec![ObjectNamePart::Identifier(Ident::new(name))]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.into_iter().map(argument).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// The values of a row: `(a, b)`.
fn row(expression: &Expr) -> Option<&[Expr]> {
    match expression {
        Expr::Tuple(values) if values.len() > 1 => Some(values),
        Expr::Nested(inner) => row(inner),
        _ => None,
    }
}

fn text(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        Expr::Nested(inner) => text(inner),
        _ => None,
    }
}

fn is_query(expression: &Expr) -> bool {
    matches!(expression, Expr::Subquery(_))
}

fn nested(expression: Expr) -> Expr {
    Expr::Nested(Box::new(expression))
}

fn not(expression: Expr) -> Expr {
    let not = Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(nested(expression)) };
    nested(not)
}

fn both(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    nested(Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) })
}

/// Both conditions.
pub(super) fn and(left: Expr, right: Expr) -> Expr {
    both(nested(left), BinaryOperator::And, right)
}

fn all(parts: impl Iterator<Item = Expr>) -> Option<Expr> {
    parts.reduce(|left, right| both(left, BinaryOperator::And, right))
}

fn opposite(op: &BinaryOperator) -> Option<BinaryOperator> {
    Some(match op {
        BinaryOperator::Eq => BinaryOperator::NotEq,
        BinaryOperator::NotEq => BinaryOperator::Eq,
        BinaryOperator::Lt => BinaryOperator::GtEq,
        BinaryOperator::LtEq => BinaryOperator::Gt,
        BinaryOperator::Gt => BinaryOperator::LtEq,
        BinaryOperator::GtEq => BinaryOperator::Lt,
        _ => return None,
    })
}

/// A comparison of two rows: the first columns that differ decide.
fn compared(left: &[Expr], op: &BinaryOperator, right: &[Expr]) -> Option<Expr> {
    let pairs = || left.iter().zip(right).map(|(left, right)| (left.clone(), right.clone()));
    let strict = match op {
        BinaryOperator::Eq => {
            return all(pairs().map(|(left, right)| both(left, BinaryOperator::Eq, right)));
        }
        BinaryOperator::NotEq => {
            let equal = compared(left, &BinaryOperator::Eq, right)?;
            return Some(not(equal));
        }
        BinaryOperator::Lt | BinaryOperator::LtEq => BinaryOperator::Lt,
        BinaryOperator::Gt | BinaryOperator::GtEq => BinaryOperator::Gt,
        _ => return None,
    };
    let mut pairs = pairs().rev();
    let (last_left, last_right) = pairs.next()?;
    let last = both(last_left, op.clone(), last_right);
    Some(pairs.fold(last, |rest, (left, right)| {
        let equal = both(left.clone(), BinaryOperator::Eq, right.clone());
        let before = both(left, strict.clone(), right);
        both(before, BinaryOperator::Or, both(equal, BinaryOperator::And, rest))
    }))
}

fn differs(left: &[Expr], right: &[Expr]) -> Option<Expr> {
    let parts = left
        .iter()
        .zip(right)
        .map(|(left, right)| nested(Expr::IsDistinctFrom(Box::new(left.clone()), Box::new(right.clone()))));
    parts.reduce(|left, right| both(left, BinaryOperator::Or, right))
}

/// `(a, b) IN (SELECT ...)`: true if a row is equal, else NULL if a row could be.
fn is_in_rows(values: &[Expr], query: &Query) -> Option<Expr> {
    let names: Vec<Ident> = (0..values.len()).map(|index| Ident::new(format!("__row{index}"))).collect();
    let columns: Vec<Expr> = names.iter().cloned().map(Expr::Identifier).collect();
    let equal = compared(values, &BinaryOperator::Eq, &columns)?;
    let exists = |condition: Expr| {
        let subquery = Box::new(rows_where(query.clone(), &names, condition)?);
        Some(Expr::Exists { subquery, negated: false })
    };
    let truth = |truth: Value| Expr::Value(truth.with_empty_span());
    let whens = vec![
        CaseWhen { condition: exists(equal.clone())?, result: truth(Value::Boolean(true)) },
        CaseWhen { condition: exists(Expr::IsNull(Box::new(nested(equal))))?, result: truth(Value::Null) },
    ];
    Some(case(whens, Some(truth(Value::Boolean(false)))))
}

pub(super) fn case(conditions: Vec<CaseWhen>, otherwise: Option<Expr>) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions,
        else_result: otherwise.map(Box::new),
    }
}

/// `SELECT 1 FROM (query) AS __rows (names) WHERE condition`.
fn rows_where(query: Query, names: &[Ident], condition: Expr) -> Option<Query> {
    let mut rows = Parser::new(&GenericDialect).try_with_sql("SELECT 1 FROM x").ok()?.parse_query().ok()?;
    let SetExpr::Select(select) = rows.body.as_mut() else { return None };
    let column = |name: &Ident| TableAliasColumnDef { name: name.clone(), data_type: None };
    let alias = TableAlias {
        explicit: true,
        name: Ident::new("__rows"),
        columns: names.iter().map(column).collect(),
        at: None,
    };
    let mut query = query;
    if let SetExpr::Select(inner) = query.body.as_mut()
        && query.order_by.is_none()
    {
        // Two columns may have one name there.
        for (item, name) in inner.projection.iter_mut().zip(names) {
            if let SelectItem::UnnamedExpr(expr) = item {
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: name.clone() };
            }
        }
    }
    let subquery = Box::new(query);
    select.from.first_mut()?.relation =
        TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None };
    select.selection = Some(condition);
    Some(*rows)
}
