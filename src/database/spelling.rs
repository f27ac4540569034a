//! Texts that a column takes in some forms only: the words of `ENUM` and `SET`, and MariaDB's types that have one spelling
//! for each value.

use std::net::{Ipv4Addr, Ipv6Addr};

/// MariaDB's types of its own that are written and read as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    Uuid,
    Inet4,
    Inet6,
}

impl Spelling {
    pub fn name(self) -> &'static str {
        match self {
            Self::Uuid => "UUID",
            Self::Inet4 => "INET4",
            Self::Inet6 => "INET6",
        }
    }

    /// The one spelling that values have which are equal for the server; `None`: no value of the type.
    pub fn normal(self, text: &str) -> Option<String> {
        match self {
            Self::Uuid => uuid(text),
            Self::Inet4 => inet4(text),
            Self::Inet6 => text.parse::<Ipv6Addr>().ok().map(|address| address.to_string()),
        }
    }
}

/// Four numbers, with zeros in front or not.
fn inet4(text: &str) -> Option<String> {
    let number = |part: &str| {
        let is_short = part.len() <= 3 && part.bytes().all(|digit| digit.is_ascii_digit());
        if is_short { part.parse::<u8>().ok() } else { None }
    };
    let numbers = text.split('.').map(number).collect::<Option<Vec<u8>>>()?;
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(numbers).ok()?).to_string())
}

/// 32 digits, in pairs, with hyphens between pairs or not (MariaDB's `UUID::ascii_to_fbt`).
fn uuid(text: &str) -> Option<String> {
    const HYPHENS: [usize; 4] = [8, 12, 16, 20];
    let mut digits = String::with_capacity(32);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '-' if digits.is_empty() || digits.len() >= 32 => return None,
            '-' => digits.push(letters.next().filter(char::is_ascii_hexdigit)?.to_ascii_lowercase()),
            _ => digits.push(letter.is_ascii_hexdigit().then_some(letter)?.to_ascii_lowercase()),
        }
        digits.push(letters.next().filter(char::is_ascii_hexdigit)?.to_ascii_lowercase());
    }
    if digits.len() != 32 {
        return None;
    }
    HYPHENS.iter().rev().for_each(|place| digits.insert(*place, '-'));
    Some(digits)
}

/// The words of an ENUM or a SET, as it is declared: `enum('a','it''s')`.
pub(super) fn words(declared: &str) -> Vec<String> {
    let (mut words, mut word, mut is_open) = (Vec::new(), String::new(), false);
    let mut letters = declared.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' if is_open && letters.peek() == Some(&'\'') => {
                letters.next();
                word.push('\'');
            }
            '\'' if is_open => {
                words.push(std::mem::take(&mut word));
                is_open = false;
            }
            '\'' => is_open = true,
            letter if is_open => word.push(letter),
            _ => {}
        }
    }
    words
}

/// Whether a server would take a text for the place of a word: it is a number, and none of the words. Spaces at the end count
/// neither in words nor in what is written.
pub(super) fn is_place(words: &[String], text: &str) -> bool {
    let is_word = || words.iter().any(|word| word == text.trim_end_matches(' '));
    let number = text.trim_matches(|letter: char| letter.is_ascii_whitespace() || letter == '\u{b}');
    let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()) && !is_word()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_spelling() {
        let uuid = |text| Spelling::Uuid.normal(text);
        let normal = Some("550e8400-e29b-41d4-a716-446655440000".to_owned());
        for text in [
            "550e8400-e29b-41d4-a716-446655440000",
            "550E8400-E29B-41D4-A716-446655440000",
            "550e8400e29b41d4a716446655440000",
            "55-0e8400e29b41d4a71644665544-0000",
        ] {
            assert_eq!(uuid(text), normal, "{text}");
        }
        for text in [
            "",
            "x",
            "550e8400e29b41d4a71644665544000",
            "550e8400e29b41d4a716446655440000-",
            "-550e8400e29b41d4a716446655440000",
            "5-50e8400e29b41d4a716446655440000",
            "550e8400--e29b41d4a716446655440000",
            "550e8400e29b41d4a71644665544000000",
        ] {
            assert_eq!(uuid(text), None, "{text}");
        }
        let inet6 = |text| Spelling::Inet6.normal(text);
        for text in ["::1", "0:0:0:0:0:0:0:1", "0::1", "::0001", "::0.0.0.1"] {
            assert_eq!(inet6(text), Some("::1".into()), "{text}");
        }
        assert_eq!(inet6("::FFFF:1.2.3.4"), inet6("::ffff:102:304"));
        assert_eq!(inet6("::1%eth0"), None);
        let inet4 = |text| Spelling::Inet4.normal(text);
        assert_eq!((inet4("10.0.0.1"), inet4("010.000.0.01")), (Some("10.0.0.1".into()), inet4("10.0.0.1")));
        for text in ["", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.+4", "1.2.3.0004", "1.2.3."] {
            assert_eq!(inet4(text), None, "{text}");
        }
    }
}
