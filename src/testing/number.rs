//! Decimal numbers as text, compared without becoming floats.

/// Whether two texts are the same number, whatever zeros, signs and exponents they are written with.
pub(super) fn are_equal(a: &str, b: &str) -> bool {
    match (Decimal::parse(a), Decimal::parse(b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// A number as JSON writes it: no plus, no zeros in front, no exponent where digits do.
pub(super) fn plain(text: &str) -> Option<String> {
    let Decimal { is_negative, digits, exponent } = Decimal::parse(text)?;
    if digits.is_empty() {
        return Some("0".into());
    }
    let sign = if is_negative { "-" } else { "" };
    Some(match exponent {
        0..=DIGITS_WRITTEN_MAX => format!("{sign}{digits}{}", "0".repeat(exponent.unsigned_abs() as usize)),
        _ if (-DIGITS_WRITTEN_MAX..0).contains(&exponent) => {
            let behind = exponent.unsigned_abs() as usize;
            let padded = format!("{digits:0>width$}", width = behind + 1);
            let (whole, fraction) = padded.split_at(padded.len() - behind);
            format!("{sign}{whole}.{fraction}")
        }
        _ => format!("{sign}{digits}e{exponent}"),
    })
}

/// Beyond this many zeros a number keeps its exponent.
const DIGITS_WRITTEN_MAX: i64 = 80;

/// `digits` times ten to the power of `exponent`; without zeros at either end, so that equal numbers are equal.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (is_negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?.into()),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = all.trim_start_matches('0').trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { is_negative: false, digits, exponent: 0 });
        }
        let zeros = all.len() - all.trim_end_matches('0').len();
        let exponent = exponent - i64::try_from(fraction.len()).ok()? + i64::try_from(zeros).ok()?;
        Some(Self { is_negative, digits, exponent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_equal_however_they_are_written() {
        for (a, b) in [
            ("1", "1.0"),
            ("0100", "1e2"),
            ("-0.50", "-.5"),
            ("+7", "7"),
            ("0", "-0.00"),
            ("12.5e-1", "1.25"),
        ] {
            assert!(are_equal(a, b), "{a} {b}");
        }
        for (a, b) in [("1", "-1"), ("1.1", "1.10000000000000000000001"), ("x", "x"), ("", ""), ("1", "10")] {
            assert!(!are_equal(a, b), "{a} {b}");
        }
    }

    #[test]
    fn plain_numbers_are_json() {
        let plain: Vec<_> =
            ["+007", "-0.50", "1e3", "1.25e-3", "0.0", "1e999"].map(|text| plain(text).unwrap()).into();
        assert_eq!(plain, ["7", "-0.5", "1000", "0.00125", "0", "1e999"]);
    }
}
