//! The commands of the prompt, which start with a backslash: what was typed becomes a [`Command`].

use std::path::PathBuf;
use std::time::Duration;

use super::diff::Base;
use super::seek::Seek;
use crate::diagnostic::Finding;
use crate::print::{Format, Records};

/// Something other than a query that a person asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// All relations, or the columns of one.
    Describe(Option<String>),
    /// All functions, those whose name contains this, or all of the one with this name.
    Functions(Option<String>),
    Batch,
    Next,
    Seek(Seek),
    Save(PathBuf),
    Load(PathBuf),
    View(String),
    Graph,
    /// The plan of a view or of a query; run, with the rows and times of each step.
    Explain {
        what: String,
        is_run: bool,
    },
    Reload,
    /// Begins or goes on with a draft of a view.
    Edit(String),
    /// Writes drafts to the files of their views: of one, or all.
    Apply(Option<String>),
    /// Forgets drafts.
    Revert(Option<String>),
    /// What has changed in one view, or in which views something has.
    Diff {
        name: Option<String>,
        base: Base,
    },
    /// The last query again: on the screen, as records, or into a file.
    Again {
        to: Option<PathBuf>,
        as_records: bool,
    },
    /// The last query again and again.
    Watch(Duration),
    /// The queries and commands of a file.
    Include(PathBuf),
    /// The rows of a query, a view or a table, into a file.
    Copy {
        what: String,
        to: PathBuf,
    },
    /// On, off, or the other of the two.
    Timing(Option<bool>),
    /// The format, or a question which it is.
    Format(Option<Format>),
    /// When rows are printed as records; `None`: the other of always and where a table is too wide.
    Records(Option<Records>),
    /// Where results go; to the terminal if there is no file.
    Out(Option<PathBuf>),
    Quit,
    Help,
}

/// Every command: its name, its arguments, and what it does.
pub const COMMANDS: &[(&str, &str, &str)] = &[
    ("d", "[NAME]", "the tables and views, or the columns of one"),
    ("df", "[NAME]", "the functions, or the arguments and an example of one"),
    ("batch", "", "the messages of this batch: partitions, offsets, times"),
    ("next", "", "go on to the messages after this batch"),
    ("seek", "WHERE", "another batch: beginning, end, stored, an offset,"),
    ("save", "FILE", "keep this batch: NAME.arrow, .jsonl or .csv"),
    ("load", "FILE", "take a batch that was kept as .arrow or .jsonl"),
    ("view", "NAME", "the text of a view"),
    ("graph", "", "the views in order: what they read, rows and times"),
    ("explain", "[analyze] QUERY", "the plan of a query or view; analyze: run it"),
    ("edit", "NAME", "edit a draft of a view with $VISUAL or $EDITOR"),
    ("diff", "[NAME] [against B]", "the rows, or the views, that have changed; B is start,"),
    ("apply", "[NAME]", "write the drafts to the files that the job reads"),
    ("revert", "[NAME]", "forget the drafts"),
    ("reload", "", "read config.yaml, the views and the tables again"),
    ("g", "[FILE]", "run the last query again, or write its rows to a file"),
    ("gx", "", "run the last query again, each row as a record"),
    ("watch", "[SECONDS]", "run the last query every 2 s, over newly read messages"),
    ("i", "FILE", "run the queries and commands of a file"),
    ("copy", "QUERY|NAME TO FILE", "write rows to NAME.csv, .jsonl or .arrow"),
    ("timing", "[on|off]", "report how long each query took"),
    ("format", "[table|json|csv]", "how rows are printed"),
    ("x", "[on|off|auto]", "print rows as records; auto: if a table is too wide"),
    ("o", "[FILE]", "print results into a file; without one, on stdout"),
    ("q", "", "leave (as quit, exit and Ctrl-D do)"),
    ("?", "", "this list (as help does)"),
];

/// What `\?` adds below a command.
const MORE: &[(&str, &str)] = &[
    ("seek", "PARTITION=OFFSET ..., or a time (2026-03-01)"),
    ("diff", "last (before the last edit) or deployed (the job's)"),
];

/// The pause between two runs of `\watch`, in seconds: if none is given, and the limits.
const WATCH_DEFAULT: f64 = 2.0;
const WATCH_MIN: f64 = 0.1;
const WATCH_MAX: f64 = 86_400.0;

impl Command {
    /// Reads what follows the backslash.
    ///
    /// # Errors
    /// An unknown command, with the nearest right one; an argument too many, too few or of another form.
    pub fn parse(text: &str) -> Result<Self, Finding> {
        let (name, rest) = match text.split_once(char::is_whitespace) {
            Some((name, rest)) => (name, rest.trim()),
            None => (text, ""),
        };
        let name = match name.to_ascii_lowercase().as_str() {
            "quit" | "exit" => "q",
            "help" => "?",
            _ => name,
        };
        let Some((known, usage, _)) = COMMANDS.iter().find(|(known, _, _)| *known == name) else {
            return Err(unknown(name));
        };
        let wrong = |found: &str| {
            Finding::new(format!("\\{known}: {found}"))
                .with_hint(format!("write `{}`", format!("\\{known} {usage}").trim_end()))
        };
        let expected = |what: &str| wrong(&format!("found `{rest}`, expected {what}"));
        let needed =
            || if rest.is_empty() { Err(wrong("something is missing")) } else { Ok(rest.to_owned()) };
        let optional = (!rest.is_empty()).then(|| rest.to_owned());
        let base_of =
            |name: &str| Base::parse(name).ok_or_else(|| expected("`against` start, last or deployed"));
        let nothing = |command: Self| if rest.is_empty() { Ok(command) } else { Err(expected("nothing")) };
        match *known {
            "d" => Ok(Self::Describe(optional)),
            "df" => Ok(Self::Functions(optional)),
            "batch" => nothing(Self::Batch),
            "next" => nothing(Self::Next),
            "seek" => Seek::parse(&needed()?).map(Self::Seek).ok_or_else(|| expected(&Seek::forms())),
            "save" => Ok(Self::Save(needed()?.into())),
            "load" => Ok(Self::Load(needed()?.into())),
            "view" => Ok(Self::View(needed()?)),
            "graph" => nothing(Self::Graph),
            "explain" => {
                let what = needed()?;
                let (first, query) = what.split_once(char::is_whitespace).unwrap_or((&what, ""));
                let is_run = first.eq_ignore_ascii_case("analyze") && !query.is_empty();
                let what = if is_run { query.trim().to_owned() } else { what };
                Ok(Self::Explain { what, is_run })
            }
            "edit" => Ok(Self::Edit(needed()?)),
            "apply" => Ok(Self::Apply(optional)),
            "revert" => Ok(Self::Revert(optional)),
            "diff" => match rest.split_whitespace().collect::<Vec<_>>()[..] {
                [] => Ok(Self::Diff { name: None, base: Base::default() }),
                [name] => Ok(Self::Diff { name: Some(name.to_owned()), base: Base::default() }),
                ["against", base] => base_of(base).map(|base| Self::Diff { name: None, base }),
                [name, "against", base] => {
                    base_of(base).map(|base| Self::Diff { name: Some(name.to_owned()), base })
                }
                _ => Err(expected("a view, and `against` start, last or deployed")),
            },
            "reload" => nothing(Self::Reload),
            "g" => Ok(Self::Again { to: optional.map(PathBuf::from), as_records: false }),
            "gx" => nothing(Self::Again { to: None, as_records: true }),
            "watch" if rest.is_empty() => Ok(Self::Watch(Duration::from_secs_f64(WATCH_DEFAULT))),
            "watch" => {
                let seconds =
                    rest.parse::<f64>().ok().filter(|seconds| (WATCH_MIN..=WATCH_MAX).contains(seconds));
                let expected = || expected(&format!("seconds from {WATCH_MIN} to {WATCH_MAX}"));
                Ok(Self::Watch(Duration::from_secs_f64(seconds.ok_or_else(expected)?)))
            }
            "i" => Ok(Self::Include(unquoted(&needed()?).into())),
            "copy" => copy(&needed()?).ok_or_else(|| wrong("found no `TO FILE`")),
            "timing" => match rest {
                "" => Ok(Self::Timing(None)),
                "on" => Ok(Self::Timing(Some(true))),
                "off" => Ok(Self::Timing(Some(false))),
                _ => Err(expected("on or off")),
            },
            "format" => match rest {
                "" => Ok(Self::Format(None)),
                _ => match Format::parse(rest) {
                    Some(format) => Ok(Self::Format(Some(format))),
                    None => Err(expected("table, json or csv")),
                },
            },
            "x" => match rest {
                "" => Ok(Self::Records(None)),
                "on" => Ok(Self::Records(Some(Records::Always))),
                "off" => Ok(Self::Records(Some(Records::Never))),
                "auto" => Ok(Self::Records(Some(Records::IfTooWide))),
                _ => Err(expected("on, off or auto")),
            },
            "o" => Ok(Self::Out(optional.map(PathBuf::from))),
            "q" => nothing(Self::Quit),
            _ => Ok(Self::Help),
        }
    }
}

/// `QUERY TO FILE`: the last TO divides them; the query may be in parentheses, and the file in quotes.
fn copy(text: &str) -> Option<Command> {
    let place = text.to_ascii_lowercase().rfind(" to ")?;
    let (what, to) = (text[..place].trim(), unquoted(text[place + " to ".len()..].trim()));
    let is_whole = what.starts_with('(') && what.ends_with(')') && !what[1..what.len() - 1].contains(')');
    let what = if is_whole { what[1..what.len() - 1].trim() } else { what };
    (!what.is_empty() && !to.is_empty()).then(|| Command::Copy { what: what.to_owned(), to: to.into() })
}

/// Without the quotes that other prompts want around the name of a file.
fn unquoted(name: &str) -> &str {
    let inner = name.strip_prefix('\'').and_then(|name| name.strip_suffix('\''));
    inner.unwrap_or(name)
}

fn unknown(name: &str) -> Finding {
    // What people of psql and the mysql client type.
    let elsewhere = match name {
        "dt" | "dv" | "l" | "dn" | "tables" => Some("d"),
        "h" => Some("?"),
        "e" => Some("edit"),
        "G" => Some("gx"),
        "r" | "p" => Some("g"),
        "." | "source" | "ir" => Some("i"),
        "T" | "tee" => Some("o"),
        "a" | "pset" => Some("format"),
        _ => None,
    };
    let near = crate::nearest::nearest(name, COMMANDS.iter().map(|(known, _, _)| *known));
    let hint = match elsewhere.or(near) {
        Some(right) => format!("did you mean `\\{right}`? `\\?` lists all"),
        None => "`\\?` lists all commands".to_owned(),
    };
    Finding::new(format!("no command `\\{name}`")).with_hint(hint)
}

/// The list that `\?` prints.
pub fn help() -> String {
    let width = COMMANDS.iter().map(|(name, usage, _)| name.len() + usage.len()).max().unwrap_or(0) + 2;
    let mut text = String::new();
    for (name, usage, what) in COMMANDS {
        let left = format!("\\{name} {usage}");
        text.push_str(&format!("{left:<width$} {what}\n"));
        for (_, more) in MORE.iter().filter(|(command, _)| command == name) {
            text.push_str(&format!("{:<width$} {more}\n", ""));
        }
    }
    text.push_str(
        "\nA query ends with `;` and may have several lines. Ctrl-C cancels it. Tab\n\
         completes names. `batch`, the tables and the views are as the job sees them:\n\
         of a table with a key, the rows whose key is in the batch. `dead_letters` has\n\
         the messages that cannot be decoded; `db.NAME` are the database's whole tables.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::StartAt;

    #[test]
    fn commands_and_their_arguments() {
        assert_eq!(Command::parse("d"), Ok(Command::Describe(None)));
        assert_eq!(Command::parse("d  db.reactions "), Ok(Command::Describe(Some("db.reactions".into()))));
        let explain = |what: &str, is_run| Ok(Command::Explain { what: what.into(), is_run });
        assert_eq!(Command::parse("explain SELECT 1"), explain("SELECT 1", false));
        assert_eq!(Command::parse("explain ANALYZE SELECT 1"), explain("SELECT 1", true));
        assert_eq!(Command::parse("explain analyze"), explain("analyze", false));
        assert_eq!(Command::parse("timing off"), Ok(Command::Timing(Some(false))));
        assert_eq!(Command::parse("format csv"), Ok(Command::Format(Some(Format::Csv))));
        let records = |when| Ok(Command::Records(when));
        assert_eq!(Command::parse("x"), records(None));
        for (word, when) in [("on", Records::Always), ("off", Records::Never), ("auto", Records::IfTooWide)] {
            assert_eq!(Command::parse(&format!("x {word}")), records(Some(when)), "{word}");
        }
        assert_eq!(Command::parse("save a file.arrow"), Ok(Command::Save("a file.arrow".into())));
        assert_eq!(Command::parse("?"), Ok(Command::Help));
        assert_eq!(Command::parse("exit"), Ok(Command::Quit));
        assert_eq!(Command::parse("watch"), Ok(Command::Watch(Duration::from_secs(2))));
        assert_eq!(Command::parse("watch 0.5"), Ok(Command::Watch(Duration::from_millis(500))));
        let copied = |what: &str, to: &str| Ok(Command::Copy { what: what.into(), to: to.into() });
        assert_eq!(Command::parse("copy reactions TO out.csv"), copied("reactions", "out.csv"));
        assert_eq!(Command::parse("copy (SELECT 1 AS a) to 'a b.csv'"), copied("SELECT 1 AS a", "a b.csv"));
        assert_eq!(
            Command::parse("copy (SELECT 1) UNION (SELECT 2) TO x.csv"),
            copied("(SELECT 1) UNION (SELECT 2)", "x.csv")
        );
        let diff = |name: Option<&str>, base| Ok(Command::Diff { name: name.map(str::to_owned), base });
        assert_eq!(Command::parse("diff"), diff(None, Base::Start));
        assert_eq!(Command::parse("diff reactions"), diff(Some("reactions"), Base::Start));
        assert_eq!(Command::parse("diff against last"), diff(None, Base::Last));
        assert_eq!(Command::parse("diff last against deployed"), diff(Some("last"), Base::Deployed));
        assert!(Command::parse("diff a b").is_err() && Command::parse("diff a against b").is_err());
        assert!(Command::parse("copy reactions").is_err() && Command::parse("watch 0").is_err());
        let seek = |text: &str| match Command::parse(&format!("seek {text}")) {
            Ok(Command::Seek(seek)) => Some(seek),
            _ => None,
        };
        assert_eq!(seek("stored"), Some(Seek::Stored));
        assert_eq!(seek("1200"), Some(Seek::To(StartAt::Offset(1200))));
        assert_eq!(seek("0=5 3=7"), Some(Seek::Partitions(vec![(0, 5), (3, 7)])));
        assert_eq!(seek("1970-01-02"), Some(Seek::To(StartAt::Moment(86_400_000))));
        assert_eq!(seek("1970-01-01T00:00:01Z"), Some(Seek::To(StartAt::Moment(1000))));
        for wrong in ["-5", "0=x", "yesterday"] {
            assert_eq!(seek(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_unknown_command_is_told_the_nearest() {
        let said = |text: &str| Command::parse(text).unwrap_err().to_string();
        assert_eq!(said("grpah"), "no command `\\grpah`\nhint: did you mean `\\graph`? `\\?` lists all");
        assert_eq!(said("dt"), "no command `\\dt`\nhint: did you mean `\\d`? `\\?` lists all");
        assert_eq!(said("view"), "\\view: something is missing\nhint: write `\\view NAME`");
        assert_eq!(
            said("format xml"),
            "\\format: found `xml`, expected table, json or csv\nhint: write `\\format [table|json|csv]`"
        );
        assert_eq!(
            said("x wide"),
            "\\x: found `wide`, expected on, off or auto\nhint: write `\\x [on|off|auto]`"
        );
        assert_eq!(said("next x"), "\\next: found `x`, expected nothing\nhint: write `\\next`");
    }

    #[test]
    fn help_has_a_line_for_each() {
        let help = help();
        assert!(COMMANDS.iter().all(|(name, _, _)| help.contains(&format!("\\{name} "))));
        assert!(help.lines().all(|line| line.chars().count() < 80), "{help}");
    }
}
