//! What was typed, or is in a file, cut into its parts: commands, which start with a backslash and end with their line,
//! and queries, which end with a semicolon. `\g`, `\gx` and `\watch` end the query before them too.

/// One part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub kind: PartKind,
    /// For a command, what follows its backslash. For a query the whole text with all but the query blanked
    /// out, so that its places are those of the text.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    Command,
    Query,
    /// A query that is not run by itself: the command after it runs it.
    Draft,
}

/// Commands that take the query before them.
const SENDING: [&str; 3] = ["g", "gx", "watch"];
/// Commands that need no backslash if they are alone on their line.
const WORDS: [&str; 3] = ["quit", "exit", "help"];

/// Where the end of the text finds a scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    /// Between two parts.
    Nothing,
    /// In a query that no semicolon has ended.
    Query,
}

/// The parts of a text, in order. The last query need not end with a semicolon.
pub fn parts(text: &str) -> Vec<Part> {
    scan(text).0
}

/// Whether a text ends where a person may stop typing: behind a semicolon or a command.
pub fn is_complete(text: &str) -> bool {
    scan(text).1 == Within::Nothing
}

fn scan(text: &str) -> (Vec<Part>, Within) {
    let bytes = text.as_bytes();
    let (mut parts, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        match bytes[at] {
            byte if byte.is_ascii_whitespace() || byte == b';' => at += 1,
            b'\\' => {
                let end = line_end(bytes, at);
                let command = text[at + 1..end].trim().trim_end_matches(';').trim_end();
                parts.push(Part { kind: PartKind::Command, text: command.to_owned() });
                at = end;
            }
            _ => {
                if let Some(word) = word(&text[at..line_end(bytes, at)]) {
                    parts.push(Part { kind: PartKind::Command, text: word.to_owned() });
                    at = line_end(bytes, at);
                    continue;
                }
                let end = query_end(bytes, at);
                let is_sent = bytes.get(end) == Some(&b'\\');
                // What is nothing but comments is no query.
                if !is_blank(bytes, at, end) {
                    let kind = if is_sent { PartKind::Draft } else { PartKind::Query };
                    parts.push(Part { kind, text: blanked(text, at, end) });
                }
                if end == bytes.len() {
                    let within = if is_blank(bytes, at, end) { Within::Nothing } else { Within::Query };
                    return (parts, within);
                }
                at = if is_sent { end } else { end + 1 };
            }
        }
    }
    (parts, Within::Nothing)
}

/// The command that a line without a backslash is.
fn word(line: &str) -> Option<&'static str> {
    let line = line.trim().trim_end_matches(';').trim_end();
    WORDS.into_iter().find(|word| line.eq_ignore_ascii_case(word))
}

/// Where the semicolon or the command is that ends the query at `at`; the end of the text if there is none.
fn query_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        at = match bytes[at] {
            b';' => return at,
            b'\\' if is_sending(&bytes[at + 1..]) => return at,
            _ => skip(bytes, at),
        };
    }
    bytes.len()
}

/// Whether a command that takes the query before it starts here, after its backslash.
fn is_sending(rest: &[u8]) -> bool {
    let length = rest.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(rest.len());
    SENDING.iter().any(|command| command.as_bytes() == &rest[..length])
}

/// Whether there is nothing but blanks and comments.
fn is_blank(bytes: &[u8], mut at: usize, end: usize) -> bool {
    while at < end {
        if !bytes[at].is_ascii_whitespace() && !is_comment(bytes, at) {
            return false;
        }
        at = skip(bytes, at);
    }
    true
}

fn is_comment(bytes: &[u8], at: usize) -> bool {
    matches!(bytes.get(at..at + 2), Some(b"--" | b"/*"))
}

/// Behind the character, the text in quotes or the comment that starts at `at`.
fn skip(bytes: &[u8], at: usize) -> usize {
    match bytes[at] {
        // E'it\'s': a backslash takes the next character with it.
        b'\'' if has_escapes(bytes, at) => {
            let mut end = at + 1;
            while end < bytes.len() && bytes[end] != b'\'' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            bytes.len().min(end + 1)
        }
        // $$it's$$, and with a word between the two.
        b'$' => {
            let Some(mark) = dollar_mark(bytes, at) else { return at + 1 };
            let behind = at + mark.len();
            let closing = bytes[behind..].windows(mark.len()).position(|found| found == mark);
            closing.map_or(bytes.len(), |length| behind + length + mark.len())
        }
        quote @ (b'\'' | b'"') => {
            let closing = bytes[at + 1..].iter().position(|byte| *byte == quote);
            closing.map_or(bytes.len(), |length| at + length + 2)
        }
        b'-' if is_comment(bytes, at) => line_end(bytes, at),
        b'/' if is_comment(bytes, at) => {
            let closing = bytes[at + 2..].windows(2).position(|pair| pair == b"*/");
            closing.map_or(bytes.len(), |length| at + length + 4)
        }
        _ => at + 1,
    }
}

/// Whether the text in quotes at `at` has an E before it, which is no part of a name.
fn has_escapes(bytes: &[u8], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map(|place| bytes[place]);
    before(1).is_some_and(|letter| letter.eq_ignore_ascii_case(&b'e')) && !before(2).is_some_and(is_of_name)
}

/// `$$` or `$word$`, where a text in dollars starts.
fn dollar_mark(bytes: &[u8], at: usize) -> Option<&[u8]> {
    if at > 0 && is_of_name(bytes[at - 1]) {
        return None;
    }
    let word = bytes[at + 1..].iter().position(|byte| !is_of_name(*byte))?;
    let end = at + 1 + word;
    (bytes[end] == b'$' && !bytes[at + 1..].first()?.is_ascii_digit()).then(|| &bytes[at..=end])
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length)
}

/// The text up to `end` with a blank for each character before `start`.
fn blanked(text: &str, start: usize, end: usize) -> String {
    let before = text[..start].chars().map(|c| if c == '\n' || c == '\t' { c } else { ' ' });
    let mut blanked: String = before.collect();
    blanked.push_str(text[start..end].trim_end());
    blanked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let mark = |part: Part| match part.kind {
            PartKind::Command => format!("\\{}", part.text),
            PartKind::Query => part.text,
            PartKind::Draft => format!("{}...", part.text),
        };
        parts(text).into_iter().map(mark).collect()
    }

    #[test]
    fn queries_end_with_a_semicolon_and_commands_with_their_line() {
        assert_eq!(shown("SELECT 1; SELECT 2"), ["SELECT 1", "          SELECT 2"]);
        assert_eq!(
            shown("\\d batch;\n\\timing\nSELECT\n1;"),
            ["\\d batch", "\\timing", "         \n       \nSELECT\n1"]
        );
        assert_eq!(
            shown("SELECT ';' , \"a;b\" -- x; y\n, 2 /* ; */; ;;"),
            ["SELECT ';' , \"a;b\" -- x; y\n, 2 /* ; */"]
        );
        assert_eq!(shown("SELECT 'it''s; é';"), ["SELECT 'it''s; é'"]);
        for text in
            ["SELECT $$a';b$$", "SELECT $x$ $$;' $x$", "SELECT E'a\\';b'", "SELECT 'a\\'", "SELECT $1"]
        {
            let both = format!("{text}; SELECT 2");
            assert_eq!((shown(&both).len(), shown(&both)[0].as_str()), (2, text));
        }
        assert_eq!(shown("-- nothing here\n; /* nor here */ ;\n"), Vec::<String>::new());
        assert_eq!(shown("SELECT 1\n\\d"), ["SELECT 1\n\\d"]);
    }

    #[test]
    fn some_commands_send_the_query_before_them() {
        assert_eq!(shown("SELECT 1 \\g"), ["SELECT 1...", "\\g"]);
        assert_eq!(shown("SELECT 1\n\\watch 2\n\\d"), ["SELECT 1...", "\\watch 2", "\\d"]);
        assert_eq!(shown("SELECT '\\g' \\gx out.csv"), ["SELECT '\\g'...", "\\gx out.csv"]);
        assert_eq!(shown("SELECT 1; \\g"), ["SELECT 1", "\\g"]);
        assert_eq!(shown("SELECT 1 \\graph"), ["SELECT 1 \\graph"]);
        assert!(is_complete("SELECT 1 \\g") && is_complete("SELECT 1 \\g out.csv"));
    }

    #[test]
    fn a_few_words_need_no_backslash() {
        assert_eq!(shown("quit"), ["\\quit"]);
        assert_eq!(shown("SELECT 1;\nHelp ;\nexit"), ["SELECT 1", "\\help", "\\exit"]);
        assert_eq!(shown("help me"), ["help me"]);
        assert_eq!(shown("SELECT\nquit"), ["SELECT\nquit"]);
        assert!(is_complete("quit") && is_complete("exit;"));
    }

    #[test]
    fn a_person_may_stop_behind_a_semicolon_or_a_command() {
        for complete in
            ["", "  ", "SELECT 1;", "\\d", "SELECT 1; -- done", "\\d batch\nSELECT 1;", "SELECT ';';"]
        {
            assert!(is_complete(complete), "{complete}");
        }
        for open in ["SELECT 1", "SELECT 1; SELECT 2", "SELECT ';", "SELECT 1 -- ;", "SELECT /* ;"] {
            assert!(!is_complete(open), "{open}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_cut_without_a_panic(text in "[ -~é\n;'\"\\\\/*-]{0,60}") {
            for part in parts(&text) {
                proptest::prop_assert!(!part.text.trim().is_empty() || part.kind == PartKind::Command);
            }
        }
    }
}
