//! "Did you mean": the name that was probably meant, for messages about a name that is not known.

/// One letter in this many may be wrong: `custmer` is `customer`, `xyz` is no name at all.
const LETTERS_A_FAULT: usize = 3;
/// From here on two names in different styles are probably the same. Of Jaro-Winkler, 1 is equal.
const LIKENESS_MIN: f64 = 0.8;

/// The name that was probably meant by `wrong`, if one is near enough. Of several, the nearest that comes first.
pub(crate) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance_max = (wrong.chars().count() / LETTERS_A_FAULT).max(1);
    known
        .into_iter()
        .map(|name| (distance(wrong, name), name))
        .filter(|(distance, _)| *distance <= distance_max)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The nearest name as a hint.
pub(crate) fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(wrong, known).map(|name| format!("did you mean `{name}`?"))
}

/// How many letters are added, left out, changed, or swapped with the next one. Case does not count.
pub(crate) fn distance(one: &str, other: &str) -> usize {
    strsim::damerau_levenshtein(&one.to_lowercase(), &other.to_lowercase())
}

/// The name most like `wanted` among names that somebody else chose, perhaps in another style: `order_no`, `orderNumber`.
/// What is compared is how they begin, so these are no typing errors.
pub(crate) fn same_in_another_style<'a>(
    wanted: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace(['_', '-', ' '], "");
    let wanted = plain(wanted);
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&wanted, &plain(name)), name))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_letter_in_three_may_be_wrong() {
        assert_eq!(nearest("kafka_topik", ["kafka_topic", "job"]), Some("kafka_topic"));
        assert_eq!(nearest("CUSTMER", ["agency", "customer"]), Some("customer"));
        assert_eq!(nearest("ab", ["b", "a"]), Some("b"), "the first of two that are equally near");
        assert_eq!(nearest("zzz", ["kafka_topic", "job"]), None);
        assert_eq!(nearest("nmae", ["name"]), Some("name"), "letters that are swapped are one fault");
        assert_eq!(did_you_mean("nmae", ["name"]).as_deref(), Some("did you mean `name`?"));
    }

    #[test]
    fn names_in_another_style_begin_alike() {
        assert_eq!(same_in_another_style("order_no", ["customer", "orderNumber"]), Some("orderNumber"));
        assert_eq!(same_in_another_style("order_no", ["agency"]), None);
    }
}
