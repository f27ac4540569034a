//! The SQL dialect: that of `GenericDialect`, with operators that bind as in PostgreSQL.
//!
//! From tight to loose: `.`; `::`, `[]`; `AT TIME ZONE`; `* / %`; `+ -`; `||`, `->`, `->>` and other operators; shifts; `&`; `^`;
//! `|`; BETWEEN, IN, LIKE; comparisons; IS; NOT; AND; XOR; OR. In `GenericDialect`, the right side of `IS DISTINCT FROM`
//! is all that follows, AND and OR included (apache/datafusion#23692), `->` is looser than `=`, a shift is looser than `&`,
//! XOR is tighter than `=`, `||` is as tight as `*`, and the NOT of NOT EXISTS is tighter than all others.
//! Here, too, digits may be in groups: `1_000`.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{Expr, UnaryOperator};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

/// How all SQL here is read.
#[derive(Debug, Default)]
pub(super) struct SqlDialect;

/// `||`, `->` and operators of no other kind.
const OTHER_OPERATORS: u8 = 26;
const SHIFTS: u8 = 25;

/// What is as in [`GenericDialect`].
macro_rules! as_generic {
    ($($feature:ident),* $(,)?) => {
        $(fn $feature(&self) -> bool { GenericDialect.$feature() })*
    };
}

impl Dialect for SqlDialect {
    // Why: the parser asks in places which dialect this is.
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        GenericDialect.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        GenericDialect.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        GenericDialect.is_identifier_part(ch)
    }

    fn supports_numeric_literal_underscores(&self) -> bool {
        true
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        match precedence {
            Precedence::PgOther => OTHER_OPERATORS,
            Precedence::Like => GenericDialect.prec_value(Precedence::Between),
            Precedence::Eq => 18,
            Precedence::Xor => 7,
            other => GenericDialect.prec_value(other),
        }
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        match &parser.peek_token_ref().token {
            Token::StringConcat => Some(Ok(OTHER_OPERATORS)),
            Token::ShiftLeft | Token::ShiftRight => Some(Ok(SHIFTS)),
            _ => None,
        }
    }

    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        if !parser.parse_keywords(&[Keyword::NOT, Keyword::EXISTS]) {
            return None;
        }
        parser.prev_token();
        let operand = parser.parse_subexpr(self.prec_value(Precedence::UnaryNot));
        Some(operand.map(|operand| match operand {
            Expr::Exists { subquery, negated: false } => Expr::Exists { subquery, negated: true },
            operand => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(operand) },
        }))
    }

    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        left: &Expr,
        precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        const IS_DISTINCT: [Keyword; 3] = [Keyword::IS, Keyword::DISTINCT, Keyword::FROM];
        const IS_NOT_DISTINCT: [Keyword; 4] = [Keyword::IS, Keyword::NOT, Keyword::DISTINCT, Keyword::FROM];
        let is_equal = parser.parse_keywords(&IS_NOT_DISTINCT);
        if !is_equal && !parser.parse_keywords(&IS_DISTINCT) {
            return None;
        }
        let left = Box::new(left.clone());
        let right = parser.parse_subexpr(precedence).map(Box::new);
        Some(right.map(|right| match is_equal {
            true => Expr::IsNotDistinctFrom(left, right),
            false => Expr::IsDistinctFrom(left, right),
        }))
    }

    as_generic!(
        supports_unicode_string_literal,
        supports_partition_by_after_order_by,
        supports_array_join_syntax,
        supports_group_by_expr,
        supports_group_by_with_modifier,
        supports_left_associative_joins_without_parens,
        supports_connect_by,
        supports_match_recognize,
        supports_pipe_operator,
        supports_start_transaction_modifier,
        supports_window_function_null_treatment_arg,
        supports_dictionary_syntax,
        supports_window_clause_named_window_reference,
        supports_parenthesized_set_variables,
        supports_select_wildcard_except,
        support_map_literal_syntax,
        allow_extract_custom,
        allow_extract_single_quotes,
        supports_extract_comma_syntax,
        supports_create_view_comment_syntax,
        supports_parens_around_table_factor,
        supports_values_as_table_factor,
        supports_create_index_with_clause,
        supports_explain_with_utility_options,
        supports_limit_comma,
        supports_update_order_by,
        supports_from_first_select,
        supports_projection_trailing_commas,
        supports_asc_desc_in_column_definition,
        supports_try_convert,
        supports_bitwise_shift_operators,
        supports_comment_on,
        supports_load_extension,
        supports_named_fn_args_with_assignment_operator,
        supports_struct_literal,
        supports_empty_projections,
        supports_nested_comments,
        supports_multiline_comment_hints,
        supports_user_host_grantee,
        supports_string_escape_constant,
        supports_array_typedef_with_brackets,
        supports_match_against,
        supports_set_names,
        supports_comma_separated_set_assignments,
        supports_filter_during_aggregation,
        supports_select_wildcard_exclude,
        supports_data_type_signed_suffix,
        supports_interval_options,
        supports_quote_delimited_string,
        supports_select_wildcard_replace,
        supports_select_wildcard_ilike,
        supports_select_wildcard_rename,
        supports_optimize_table,
        supports_install,
        supports_detach,
        supports_prewhere,
        supports_with_fill,
        supports_limit_by,
        supports_interpolate,
        supports_settings,
        supports_select_format,
        supports_comment_optimizer_hint,
        supports_constraint_keyword_without_name,
        supports_key_column_option,
        supports_comma_separated_trim,
        supports_cte_without_as,
        supports_select_item_multi_column_alias,
        supports_xml_expressions,
    );
}
