//! The commands of the prompt, which start with a backslash: what was typed becomes a [`Command`].

use std::path::PathBuf;

use chrono::{DateTime, NaiveDate};

use super::print::Format;

/// Something other than a query that a person asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// All relations, or the columns of one.
    Describe(Option<String>),
    Batch,
    Next,
    Seek(Seek),
    Save(PathBuf),
    Load(PathBuf),
    View(String),
    Graph,
    /// The plan of a view, or of a query.
    Explain(String),
    Reload,
    Edit(String),
    Diff(String),
    /// On, off, or the other of the two.
    Timing(Option<bool>),
    /// The format, or a question which it is.
    Format(Option<Format>),
    /// Where results go; to the terminal where there is no file.
    Out(Option<PathBuf>),
    Quit,
    Help,
}

/// Where the batch is to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seek {
    Beginning,
    /// The last messages.
    End,
    Stored,
    /// This offset, in every partition.
    Offset(i64),
    /// These offsets, by partition; the other partitions are left out.
    Partitions(Vec<(i32, i64)>),
    /// The first message at or after it, milliseconds since the epoch.
    Moment(i64),
}

/// What is wrong with a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error: {message}\nhint: {hint}")]
pub struct CommandError {
    pub message: String,
    pub hint: String,
}

/// Every command: its name, what stands behind it, and what it does.
pub const COMMANDS: &[(&str, &str, &str)] = &[
    ("d", "[NAME]", "the tables and views and where each comes from, or the columns of one"),
    ("batch", "", "which messages this batch has: partitions, offsets, times"),
    ("next", "", "go on to the messages that follow this batch"),
    ("seek", "WHERE", "another batch: beginning, end, stored, an offset, PARTITION=OFFSET ..., or a moment"),
    ("save", "FILE", "keep this batch as a file: NAME.arrow, or NAME.jsonl"),
    ("load", "FILE", "take a batch that was kept as a file"),
    ("view", "NAME", "the text of a view"),
    ("graph", "", "the views in the order they are computed, what they read, the rows and time of each"),
    ("explain", "NAME|QUERY", "the plan of a view or of a query"),
    ("edit", "NAME", "edit a view with $VISUAL or $EDITOR, and read it again"),
    ("diff", "NAME", "the rows that a view gives now against those before it was edited, over this batch"),
    ("reload", "", "read the views and the reference tables again"),
    ("timing", "[on|off]", "say how long each query took"),
    ("format", "[table|json|csv]", "how rows are printed"),
    ("o", "[FILE]", "print results into a file; without one, on stdout again"),
    ("q", "", "leave (as Ctrl-D does)"),
    ("?", "", "this list"),
];

impl Command {
    /// Reads what stands behind the backslash.
    ///
    /// # Errors
    /// An unknown command, with the nearest right one; an argument too many, too few or of another form.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        let (name, rest) = match text.split_once(char::is_whitespace) {
            Some((name, rest)) => (name, rest.trim()),
            None => (text, ""),
        };
        let Some((known, usage, _)) = COMMANDS.iter().find(|(known, _, _)| *known == name) else {
            return Err(unknown(name));
        };
        let wrong = |found: &str| CommandError {
            message: format!("\\{known}: {found}"),
            hint: format!("write `{}`", format!("\\{known} {usage}").trim_end()),
        };
        let needed =
            || if rest.is_empty() { Err(wrong("something is missing")) } else { Ok(rest.to_owned()) };
        let optional = (!rest.is_empty()).then(|| rest.to_owned());
        let nothing = |command: Self| {
            if rest.is_empty() {
                Ok(command)
            } else {
                Err(wrong(&format!("found `{rest}`, expected nothing")))
            }
        };
        match *known {
            "d" => Ok(Self::Describe(optional)),
            "batch" => nothing(Self::Batch),
            "next" => nothing(Self::Next),
            "seek" => Seek::parse(&needed()?).map(Self::Seek).ok_or_else(|| {
                wrong(&format!(
                    "found `{rest}`, expected beginning, end, stored, an offset, 0=1200 1=900, or a moment \
                     (2026-03-01, 2026-03-01T06:00:00Z)"
                ))
            }),
            "save" => Ok(Self::Save(needed()?.into())),
            "load" => Ok(Self::Load(needed()?.into())),
            "view" => Ok(Self::View(needed()?)),
            "graph" => nothing(Self::Graph),
            "explain" => Ok(Self::Explain(needed()?)),
            "edit" => Ok(Self::Edit(needed()?)),
            "diff" => Ok(Self::Diff(needed()?)),
            "reload" => nothing(Self::Reload),
            "timing" => match rest {
                "" => Ok(Self::Timing(None)),
                "on" => Ok(Self::Timing(Some(true))),
                "off" => Ok(Self::Timing(Some(false))),
                _ => Err(wrong(&format!("found `{rest}`, expected on or off"))),
            },
            "format" => match rest {
                "" => Ok(Self::Format(None)),
                _ => match Format::parse(rest) {
                    Some(format) => Ok(Self::Format(Some(format))),
                    None => Err(wrong(&format!("found `{rest}`, expected table, json or csv"))),
                },
            },
            "o" => Ok(Self::Out(optional.map(PathBuf::from))),
            "q" => nothing(Self::Quit),
            _ => Ok(Self::Help),
        }
    }
}

impl Seek {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "beginning" => return Some(Self::Beginning),
            "end" => return Some(Self::End),
            "stored" => return Some(Self::Stored),
            _ => {}
        }
        let offset = |text: &str| text.parse::<i64>().ok().filter(|offset| *offset >= 0);
        if let Some(offset) = offset(text) {
            return Some(Self::Offset(offset));
        }
        if text.contains('=') {
            let pairs = text.split_whitespace().map(|pair| {
                let (partition, at) = pair.split_once('=')?;
                Some((partition.parse::<i32>().ok().filter(|partition| *partition >= 0)?, offset(at)?))
            });
            return pairs.collect::<Option<Vec<_>>>().map(Self::Partitions);
        }
        let exact = DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.timestamp_millis());
        let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
        exact.or_else(|| day().map(|midnight| midnight.and_utc().timestamp_millis())).map(Self::Moment)
    }
}

fn unknown(name: &str) -> CommandError {
    // What people of psql and the mysql client type.
    let elsewhere = match name {
        "dt" | "dv" | "l" | "dn" | "tables" => Some("d"),
        "h" | "help" => Some("?"),
        "quit" | "exit" => Some("q"),
        "e" => Some("edit"),
        "a" | "x" | "pset" => Some("format"),
        _ => None,
    };
    let near = crate::config::nearest(name, COMMANDS.iter().map(|(known, _, _)| *known));
    let hint = match elsewhere.or(near) {
        Some(right) => format!("did you mean `\\{right}`? `\\?` lists all"),
        None => "`\\?` lists all commands".to_owned(),
    };
    CommandError { message: format!("no command `\\{name}`"), hint }
}

/// The list that `\?` prints.
pub fn help() -> String {
    let width = COMMANDS.iter().map(|(name, usage, _)| name.len() + usage.len()).max().unwrap_or(0) + 3;
    let line = |(name, usage, what): &(&str, &str, &str)| {
        let left = format!("\\{name} {usage}");
        format!("  {left:<width$} {what}\n")
    };
    let mut text: String = COMMANDS.iter().map(line).collect();
    text.push_str(
        "\nA query ends with `;` and may have several lines. Ctrl-C cancels it; Tab completes names.\n\
         `batch`, the tables and the views are as a job sees them: of a table with a key, the rows whose key occurs in \
         the batch.\n`dead_letters` has the messages that cannot be decoded, `db.NAME` are the whole tables of the \
         database.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_their_arguments() {
        assert_eq!(Command::parse("d"), Ok(Command::Describe(None)));
        assert_eq!(Command::parse("d  db.reactions "), Ok(Command::Describe(Some("db.reactions".into()))));
        assert_eq!(Command::parse("explain SELECT 1"), Ok(Command::Explain("SELECT 1".into())));
        assert_eq!(Command::parse("timing off"), Ok(Command::Timing(Some(false))));
        assert_eq!(Command::parse("format csv"), Ok(Command::Format(Some(Format::Csv))));
        assert_eq!(Command::parse("save a file.arrow"), Ok(Command::Save("a file.arrow".into())));
        assert_eq!(Command::parse("?"), Ok(Command::Help));
        let seek = |text: &str| match Command::parse(&format!("seek {text}")) {
            Ok(Command::Seek(seek)) => Some(seek),
            _ => None,
        };
        assert_eq!(seek("stored"), Some(Seek::Stored));
        assert_eq!(seek("1200"), Some(Seek::Offset(1200)));
        assert_eq!(seek("0=5 3=7"), Some(Seek::Partitions(vec![(0, 5), (3, 7)])));
        assert_eq!(seek("1970-01-02"), Some(Seek::Moment(86_400_000)));
        assert_eq!(seek("1970-01-01T00:00:01Z"), Some(Seek::Moment(1000)));
        for wrong in ["-5", "0=x", "yesterday"] {
            assert_eq!(seek(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_unknown_command_is_told_the_nearest() {
        let said = |text: &str| Command::parse(text).unwrap_err().to_string();
        assert_eq!(
            said("grpah"),
            "error: no command `\\grpah`\nhint: did you mean `\\graph`? `\\?` lists all"
        );
        assert_eq!(said("dt"), "error: no command `\\dt`\nhint: did you mean `\\d`? `\\?` lists all");
        assert_eq!(said("view"), "error: \\view: something is missing\nhint: write `\\view NAME`");
        assert_eq!(
            said("format xml"),
            "error: \\format: found `xml`, expected table, json or csv\nhint: write `\\format [table|json|csv]`"
        );
        assert_eq!(said("next x"), "error: \\next: found `x`, expected nothing\nhint: write `\\next`");
    }

    #[test]
    fn help_has_a_line_for_each() {
        let help = help();
        assert!(COMMANDS.iter().all(|(name, _, _)| help.contains(&format!("  \\{name} "))));
        assert!(help.lines().all(|line| line.chars().count() <= 130), "{help}");
    }
}
