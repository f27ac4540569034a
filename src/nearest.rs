//! "Did you mean": the name that was probably meant, for messages about a name that is not known.

/// One letter in so many may be wrong: `custmer` is `customer`, `xyz` is no name at all.
const LETTERS_A_FAULT: usize = 3;

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
fn distance(one: &str, other: &str) -> usize {
    strsim::damerau_levenshtein(&one.to_lowercase(), &other.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_letter_in_three_may_be_wrong() {
        assert_eq!(nearest("kafka_topik", ["kafka_topic", "job"]), Some("kafka_topic"));
        assert_eq!(nearest("zzz", ["kafka_topic", "job"]), None);
        assert_eq!(did_you_mean("nmae", ["name"]).as_deref(), Some("did you mean `name`?"));
    }
}
