//! Formats of dates as other databases write them, in the fields that are known here: those of C's `strftime`, with a
//! percent sign.

use chrono::format::{Item, StrftimeItems};

/// What is wrong with a format, and the same format as it is written here, where that can be said.
pub(super) struct FormatFault {
    pub(super) reason: &'static str,
    pub(super) instead: Option<String>,
}

/// The fault of a format that a date is read or written with.
pub(super) fn fault(format: &str) -> Option<FormatFault> {
    if format.is_empty() {
        return None;
    }
    if !format.contains('%') {
        return Some(FormatFault { reason: "no field: a field has a `%`", instead: of_letters(format) });
    }
    let fields = || StrftimeItems::new(format);
    if fields().any(|item| matches!(item, Item::Error)) {
        return Some(FormatFault { reason: "a field that is unknown here", instead: of_mysql(format) });
    }
    // In MySQL it is the name of the month.
    if format.contains("%M")
        && !["%H", "%I", "%k", "%l", "%-", "%S", "%s", "%T", "%R"].iter().any(|field| format.contains(field))
    {
        return Some(FormatFault {
            reason: "`%M`, which is the minute, without an hour or a second",
            instead: Some(format.replace("%M", "%B")),
        });
    }
    let has_others = fields().any(|item| matches!(item, Item::Numeric(field, _) if !is_epoch(&field)));
    let has_epoch = fields().any(|item| matches!(item, Item::Numeric(field, _) if is_epoch(&field)));
    (has_epoch && has_others).then(|| FormatFault {
        reason: "`%s`, which is all seconds since 1970",
        instead: Some(format.replace("%s", "%S")),
    })
}

fn is_epoch(field: &chrono::format::Numeric) -> bool {
    *field == chrono::format::Numeric::Timestamp
}

/// Letters of Java, PostgreSQL and T-SQL, the longest of a kind first, and the field that they are here.
const LETTERS: &[(&str, &str)] = &[
    ("HH24", "%H"),
    ("hh24", "%H"),
    ("HH12", "%I"),
    ("hh12", "%I"),
    ("SSSSSS", "%6f"),
    ("ffffff", "%6f"),
    ("yyyy", "%Y"),
    ("YYYY", "%Y"),
    ("uuuu", "%Y"),
    ("MMMM", "%B"),
    ("Month", "%B"),
    ("EEEE", "%A"),
    ("dddd", "%A"),
    ("MMM", "%b"),
    ("Mon", "%b"),
    ("MON", "%b"),
    ("SSS", "%3f"),
    ("fff", "%3f"),
    ("Day", "%A"),
    ("EEE", "%a"),
    ("ddd", "%a"),
    ("DDD", "%j"),
    ("XXX", "%:z"),
    ("xxx", "%:z"),
    ("yy", "%y"),
    ("YY", "%y"),
    ("MM", "%m"),
    ("dd", "%d"),
    ("DD", "%d"),
    ("Dy", "%a"),
    ("HH", "%H"),
    ("hh", "%I"),
    ("MI", "%M"),
    ("mi", "%M"),
    ("mm", "%M"),
    ("ss", "%S"),
    ("SS", "%S"),
    ("MS", "%3f"),
    ("US", "%6f"),
    ("AM", "%p"),
    ("PM", "%p"),
    ("tt", "%p"),
    ("XX", "%z"),
    ("y", "%Y"),
    ("M", "%-m"),
    ("d", "%-d"),
    ("H", "%-H"),
    ("h", "%-I"),
    ("m", "%-M"),
    ("s", "%-S"),
    ("a", "%p"),
    ("E", "%a"),
    ("T", "T"),
    ("X", "%z"),
    ("Z", "%z"),
];

/// A format of letters; `None` if some letter is none of a field.
fn of_letters(format: &str) -> Option<String> {
    let mut written = String::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        if first == '\'' || first == '"' {
            let quoted = rest[1..].split(first).next().unwrap_or_default();
            written.push_str(quoted);
            rest = rest.get(quoted.len() + 2..).unwrap_or_default();
        } else if first.is_ascii_alphabetic() {
            let (letters, field) = LETTERS.iter().find(|(letters, _)| rest.starts_with(letters))?;
            // In PostgreSQL case does not matter: before the hours, `mm` is the month.
            let has_hours = ["%H", "%I", "%-H", "%-I"].iter().any(|hours| written.contains(hours));
            written.push_str(if *letters == "mm" && !has_hours { "%m" } else { field });
            rest = &rest[letters.len()..];
        } else {
            written.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    written.contains('%').then_some(written)
}

/// MySQL's fields that are others here.
const OF_MYSQL: &[(char, &str)] = &[
    ('i', "%M"),
    ('s', "%S"),
    ('h', "%I"),
    ('M', "%B"),
    ('W', "%A"),
    ('c', "%-m"),
    ('e', "%-d"),
    ('k', "%-H"),
    ('l', "%-I"),
    ('f', "%6f"),
    ('r', "%I:%M:%S %p"),
];

/// A format of MySQL's, if that is what it is.
fn of_mysql(format: &str) -> Option<String> {
    let mut written = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            written.push(c);
            continue;
        }
        let field = chars.next()?;
        match OF_MYSQL.iter().find(|(of_mysql, _)| *of_mysql == field) {
            Some((_, instead)) => written.push_str(instead),
            None => written.extend(['%', field]),
        }
    }
    let is_known = !StrftimeItems::new(&written).any(|item| matches!(item, Item::Error));
    is_known.then_some(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_others_are_translated() {
        for (format, instead) in [
            ("yyyy-MM-dd HH:mm:ss", "%Y-%m-%d %H:%M:%S"),
            ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "%Y-%m-%dT%H:%M:%S.%3f%:z"),
            ("yyyy-MM", "%Y-%m"),
            ("dd/MM/yy hh:mm a", "%d/%m/%y %I:%M %p"),
            ("YYYY-MM-DD HH24:MI:SS", "%Y-%m-%d %H:%M:%S"),
            ("DD Mon YYYY", "%d %b %Y"),
            ("yyyy-mm-dd hh24:mi:ss", "%Y-%m-%d %H:%M:%S"),
            ("%Y-%m-%d %H:%i:%s", "%Y-%m-%d %H:%M:%S"),
            ("%H:%M:%s", "%H:%M:%S"),
            ("%d %M %Y %h:%i", "%d %B %Y %I:%M"),
            ("%M %Y", "%B %Y"),
        ] {
            let fault = fault(format).unwrap_or_else(|| panic!("{format} is refused"));
            assert_eq!(fault.instead.as_deref(), Some(instead), "{format}");
        }
    }

    #[test]
    fn formats_of_here_stay_and_others_have_no_translation() {
        for format in [
            "",
            "%Y-%m-%d",
            "%s",
            "%H:%M",
            "%M:%S",
            "%-I:%M %p",
            "%Y%m%dT%H%M%S%.3f",
            "100%%",
            "week %V of %G",
            "%:z",
        ] {
            assert!(fault(format).is_none(), "{format}");
        }
        assert!(fault("as it is").is_some_and(|fault| fault.instead.is_none()));
    }
}
