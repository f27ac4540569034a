//! The right name for a wrong one, as a sentence for a hint: the nearest, or what a function of another dialect is
//! called here.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;

use crate::nearest::did_you_mean;

/// How many names are listed where none is near.
const NAMES_LISTED_MAX: usize = 12;

/// A hint for `wrong` out of `right` names: the same name in other letters, the nearest, or a list of all.
pub(crate) fn hint<'a>(wrong: &str, right: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut right: Vec<&str> = right.into_iter().collect();
    right.sort_unstable();
    right.dedup();
    near(wrong, &right).or_else(|| list(&right))
}

/// Where a view or table gets its name.
pub(super) const WHERE_NAMED: &str = "a view is a file NAME.sql of the project, and tables are named in the configuration, \
                                      under `reference_tables` and `state_tables`";

/// As [`hint`], for the name of a view or table. If none is near, it also says where names come from.
pub(super) fn relation_hint<'a>(wrong: &str, right: impl IntoIterator<Item = &'a str>) -> String {
    let mut right: Vec<&str> = right.into_iter().collect();
    right.sort_unstable();
    right.dedup();
    near(wrong, &right).unwrap_or_else(|| match list(&right) {
        Some(list) => format!("{list}; {WHERE_NAMED}"),
        None => WHERE_NAMED.to_owned(),
    })
}

/// The part of [`hint`] that knows which name was meant.
pub(super) fn near(wrong: &str, right: &[&str]) -> Option<String> {
    let folded = wrong.to_lowercase();
    if let Some(name) = right.iter().find(|name| name.to_lowercase() == folded) {
        return Some(format!("the name is `{name}`: upper and lower case differ in names"));
    }
    did_you_mean(wrong, right.iter().copied())
}

fn list(right: &[&str]) -> Option<String> {
    if right.is_empty() {
        return None;
    }
    let listed: Vec<String> = right.iter().take(NAMES_LISTED_MAX).map(|name| format!("`{name}`")).collect();
    let more = right.len().saturating_sub(NAMES_LISTED_MAX);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!("there is {}{tail}", listed.join(", ")))
}

/// Functions by the names that they have elsewhere, too.
const ALIASES: [(&str, &str); 4] =
    [("character_length", "len"), ("lower", "lcase"), ("now", "getdate"), ("upper", "ucase")];

pub(super) fn install(state: &mut SessionState) -> Result<()> {
    for (name, alias) in ALIASES {
        let function = state.udf(name)?.as_ref().clone().with_aliases([alias]);
        state.register_udf(Arc::new(function))?;
    }
    Ok(())
}

/// Functions of other databases that are written otherwise here, and those that need a window; `forms` knows those that it can
/// write itself.
pub(super) const FUNCTIONS_ELSEWHERE: &[(&str, &str)] = &[
    ("add_months", "`x + INTERVAL '1 month'`"),
    ("adddate", "`x + INTERVAL '1 day'`"),
    ("approx_count_distinct", "`approx_distinct(x)`"),
    ("arg_max", "`last_value(x ORDER BY a)`"),
    ("arg_min", "`first_value(x ORDER BY a)`"),
    ("array", "`array_agg(x)`"),
    ("array_size", "`cardinality(x)`"),
    ("charindex", "`strpos(x, 'part')`"),
    ("collect_list", "`array_agg(x)`"),
    ("collect_set", "`array_agg(DISTINCT x)`"),
    ("count_if", "`count(*) FILTER (WHERE condition)`"),
    ("curdate", "`current_date()`"),
    ("date", "`CAST(x AS DATE)`"),
    ("date_add", "`x + INTERVAL '1 day'`"),
    ("date_diff", "`CAST(x AS DATE) - DATE '2024-01-01'`"),
    ("date_sub", "`x - INTERVAL '1 day'`"),
    ("dateadd", "`x + INTERVAL '1 day'`"),
    ("datediff", "`CAST(x AS DATE) - DATE '2024-01-01'`"),
    ("datefromparts", "`make_date(2024, 1, 31)`"),
    ("datename", "`to_char(x, '%B')`"),
    ("dayname", "`to_char(x, '%A')`"),
    ("dayofweek", "`extract(DOW FROM x) + 1`"),
    ("dense_rank", "`dense_rank() OVER (ORDER BY x)`"),
    ("eomonth", "`date_trunc('month', x) + INTERVAL '1 month' - INTERVAL '1 day'`"),
    ("error", "`raise_error('why')`"),
    ("every", "`bool_and(condition)`"),
    ("explode", "`unnest(x)`"),
    ("format", "`to_char(x, '%Y-%m-%d')`"),
    ("from_utc_timestamp", "`to_local_time(x AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Lisbon')`"),
    ("gen_random_uuid", "`uuid()`"),
    ("get_json_object", "`json_get_str(x, 'key', 'inner key')`"),
    ("getutcdate", "`now()`"),
    ("group_concat", "`string_agg(x, ',')`"),
    ("hex", "`to_hex(a)`"),
    ("isnumeric", "`TRY_CAST(x AS DOUBLE) IS NOT NULL`"),
    ("json_extract", "`json_get_str(x, 'key', 'inner key')`"),
    ("json_value", "`json_get_str(x, 'key', 'inner key')`"),
    ("lag", "`lag(x) OVER (ORDER BY a)`"),
    ("last_day", "`date_trunc('month', x) + INTERVAL '1 month' - INTERVAL '1 day'`"),
    ("lead", "`lead(x) OVER (ORDER BY a)`"),
    ("listagg", "`string_agg(x, ',')`"),
    ("locate", "`strpos(x, 'part')`"),
    ("max_by", "`last_value(x ORDER BY a)`"),
    ("min_by", "`first_value(x ORDER BY a)`"),
    ("mod", "`a % b`"),
    ("monthname", "`to_char(x, '%B')`"),
    ("newid", "`uuid()`"),
    ("ntile", "`ntile(4) OVER (ORDER BY x)`"),
    ("percentile_approx", "`approx_percentile_cont(a, 0.5)`"),
    ("rank", "`rank() OVER (ORDER BY x)`"),
    ("regexp_extract", "`regexp_match(x, '(pattern)')[1]`"),
    ("replicate", "`repeat(x, 3)`"),
    ("row_number", "`row_number() OVER (ORDER BY x)`"),
    ("sha2", "`encode(sha256(x), 'hex')`"),
    ("sign", "`signum(a)`"),
    ("size", "`cardinality(x)`"),
    ("space", "`repeat(' ', 3)`"),
    ("split", "`string_to_array(x, ',')`"),
    ("str_to_date", "`to_timestamp(x, '%Y-%m-%d %H:%M:%S')`"),
    ("string_split", "`string_to_array(x, ',')`"),
    ("stuff", "`overlay(x PLACING 'new' FROM 1 FOR 2)`"),
    ("subdate", "`x - INTERVAL '1 day'`"),
    ("sysdate", "`now()`"),
    ("sysdatetime", "`now()`"),
    ("timestamp", "`CAST(x AS TIMESTAMP)`"),
    ("timestamp_diff", "`extract(epoch FROM x - TIMESTAMP '2024-01-01 00:00:00')`"),
    ("timestampdiff", "`extract(epoch FROM x - TIMESTAMP '2024-01-01 00:00:00')`"),
    ("to_number", "`CAST(x AS DECIMAL(12, 2))`"),
    ("to_utc_timestamp", "`CAST(x AT TIME ZONE 'Europe/Lisbon' AT TIME ZONE 'UTC' AS TIMESTAMP)`"),
    ("truncate", "`trunc(a)`"),
    ("unix_timestamp", "`to_unixtime(x)`"),
    ("utc_timestamp", "`now()`"),
    ("variance", "`var_samp(a)`"),
    ("week", "`extract(WEEK FROM x)`"),
    ("weekday", "`extract(ISODOW FROM x) - 1`"),
    ("weekofyear", "`extract(WEEK FROM x)`"),
];

/// What is written here instead of a function that other dialects have.
pub(super) fn function_elsewhere(name: &str) -> Option<&'static str> {
    let known = FUNCTIONS_ELSEWHERE.iter().find(|(elsewhere, _)| elsewhere.eq_ignore_ascii_case(name));
    known.map(|(_, instead)| *instead)
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn the_case_then_the_nearest_then_all() {
        let names = ["customer", "agency", "operation_value"];
        assert_eq!(
            hint("Customer", names).unwrap(),
            "the name is `customer`: upper and lower case differ in names"
        );
        assert_eq!(hint("custmer", names).unwrap(), "did you mean `customer`?");
        assert_eq!(hint("xyz", names).unwrap(), "there is `agency`, `customer`, `operation_value`");
        assert_eq!(hint("xyz", []), None);
    }
}
