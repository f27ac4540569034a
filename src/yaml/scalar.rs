//! What the text of a scalar means: booleans, numbers, times with a unit, sizes. And a text as a scalar.

use std::time::Duration;

pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// Whether a plain scalar is a decimal number.
pub(crate) fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let has_digits = unsigned.bytes().any(|byte| byte.is_ascii_digit());
    let characters = unsigned.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    has_digits && characters && !unsigned.starts_with(['e', 'E']) && unsigned.parse::<f64>().is_ok()
}

/// `100ms`, `5s`, `1m`, `2h`, `7d`; a fraction is allowed, a missing unit is not (but for 0).
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().ok()?;
    let seconds = match unit.trim() {
        "us" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        "d" => number * 86400.0,
        "" if number == 0.0 => 0.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

/// `1000`, `64KiB`, `64MiB`, `1GiB` and the decimal units `kB`, `MB`, `GB`.
pub(crate) fn size(text: &str) -> Option<usize> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.replace('_', "").parse().ok()?;
    let factor = match unit.trim() {
        "" | "B" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        _ => return None,
    };
    let bytes = number * factor;
    (0.0..1e15).contains(&bytes).then_some(bytes as usize)
}

/// A whole number; its digits may be grouped: `1_000`.
pub(crate) fn count(text: &str) -> Option<usize> {
    text.replace('_', "").parse().ok()
}

/// A text as YAML takes it for the same text, also within braces: in quotes where it needs them.
pub(crate) fn quoted(text: &str) -> String {
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let is_harmless = |c: char| {
        c.is_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.' | '/' | '(' | ')' | '+' | ';' | '=')
    };
    let is_plain = text.chars().all(is_harmless)
        && text.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '('))
        && !text.ends_with(' ')
        && !text.starts_with(|c: char| c.is_ascii_digit() && is_number(&text.replace('_', "")))
        && !WORDS.contains(&text.to_lowercase().as_str());
    if is_plain {
        return text.to_owned();
    }
    let mut quoted = String::new();
    crate::database::json::string(&mut quoted, text);
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_carry_their_unit() {
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(duration("0"), Some(Duration::ZERO));
        assert_eq!(duration("5"), None);
        assert_eq!(duration("-5s"), None);
        assert_eq!(size("64KiB"), Some(65_536));
        assert_eq!(size("1_000"), Some(1000));
        assert_eq!(size("1 TB"), None);
    }
}
