//! `sql`: the prompt, and queries from the command line, a file or a pipe.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::terminal;
use crate::config::Config;
use crate::print::{Format, Screen};
use crate::prompt::{self, Flow, RunningJob, Seek, Session, SessionOptions, Shell, StateOf};

/// Run SQL queries over a batch, with the tables and views of the job.
///
/// The command reads a batch of messages from the topic. It works beside the running job: it joins no consumer group, stores
/// no offset and writes nothing. Queries see the tables and views as the job computes them. `dead_letters` has the
/// messages that cannot be decoded, with the reason. `db.NAME` is a whole table of the database.
///
/// On a terminal it is a prompt. A query ends with `;`, Tab completes names, Ctrl-C cancels a query, and commands start
/// with a backslash: `\?` lists them, `\d` lists tables and views, `\edit` changes a view, `\diff` shows the effect. With
/// `-c`, `-f` or a pipe, the command prints the answers and ends. The first query that fails ends it with exit code 1.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::help_end(&[
    "realtime-processor sql",
    "realtime-processor sql -c 'SELECT reaction, count(*) AS n FROM reactions GROUP BY reaction'",
    "realtime-processor sql --from end --rows 1000 --format csv -f report.sql > report.csv",
    "echo 'SELECT * FROM db.dead_letters LIMIT 3;' | realtime-processor sql --format json",
    "realtime-processor sql --job http://127.0.0.1:9464 -c 'SELECT count(*) AS n FROM batch'",
    "realtime-processor sql -c '\\load monday.arrow' -c 'SELECT count(*) AS n FROM reactions'",
]))]
pub(super) struct Arguments {
    #[command(flatten)]
    asked: Asked,
    /// How rows are printed: a table for people, one JSON object per line, or CSV.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Which messages; `\seek` takes the same: `beginning` or `end` (the first or last of each partition), `stored` (those that
    /// the job reads next), an offset, offsets by partition (`0=1200 1=900`), or a time (a date, or RFC 3339).
    #[arg(long, value_name = "WHERE", default_value = "beginning")]
    from: Seek,
    /// The largest number of messages in a batch [default: `batch_rows_max` of the configuration].
    #[arg(long, value_name = "N", value_parser = parse_rows)]
    rows: Option<usize>,
    /// Take the dead letters in the database as messages, instead of the topic.
    ///
    /// `dead_letters` then has their payloads and the stored reasons, and `batch` has those that can be decoded.
    #[arg(long)]
    dead_letters: bool,
    /// Which state the views start from.
    ///
    /// The stored state may already include the messages of the batch. `before` computes the state before the batch from the
    /// earlier messages of the topic. `auto` does so if the topic still has all of them and they are few. Otherwise, and for a
    /// file that does not begin with the first messages, it takes the stored state, and a note says so.
    #[arg(long, value_enum, value_name = "WHICH", default_value = "auto")]
    state: StateOf,
    /// The messages are the last batches of a running job, and the views are those that it uses.
    ///
    /// URL is the address that `http` in the configuration of the job names. `\next` takes the batches since then, `\watch`
    /// runs a query again over newer ones, and `\diff` shows which rows an edited view would have returned.
    #[arg(long, value_name = "URL", conflicts_with_all = ["from", "dead_letters"])]
    job: Option<String>,
}

/// What is asked on the command line, in its order.
#[derive(Debug)]
struct Asked(Vec<Part>);

#[derive(Debug)]
enum Part {
    Query(String),
    File(PathBuf),
}

#[derive(Debug, clap::Args)]
struct Parts {
    /// A query, or a command with its backslash. The option may be repeated; `-c` and `-f` are run in their order.
    #[arg(short, long, value_name = "QUERY")]
    command: Vec<String>,
    /// A file of queries and commands. The option may be repeated.
    #[arg(short, long, value_name = "FILE")]
    file: Vec<PathBuf>,
}

impl clap::FromArgMatches for Asked {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let Parts { command, file } = Parts::from_arg_matches(matches)?;
        let places = |option| matches.indices_of(option).into_iter().flatten();
        let queries = places("command").zip(command.into_iter().map(Part::Query));
        let mut parts: Vec<(usize, Part)> =
            queries.chain(places("file").zip(file.into_iter().map(Part::File))).collect();
        parts.sort_by_key(|(place, _)| *place);
        Ok(Self(parts.into_iter().map(|(_, part)| part).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for Asked {
    fn augment_args(command: clap::Command) -> clap::Command {
        Parts::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Parts::augment_args_for_update(command)
    }
}

/// As many as `batch_rows_max` may say.
const ROWS_LIMIT: usize = 10_000_000;

fn parse_rows(text: &str) -> Result<usize, String> {
    let rows = text.parse::<usize>().ok().filter(|rows| (1..=ROWS_LIMIT).contains(rows));
    rows.ok_or_else(|| format!("expected a number from 1 to {ROWS_LIMIT}"))
}

pub(super) async fn run(config: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(config)?;
    let text = |part: &Part| match part {
        Part::Query(text) => Ok(("query".to_owned(), text.clone())),
        Part::File(path) => {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|error| Failure::failed(format!("{name} cannot be read: {error}")))?;
            Ok((name, text))
        }
    };
    let asked = arguments.asked.0.iter().map(text).collect::<Result<Vec<(String, String)>, Failure>>()?;
    let options = SessionOptions {
        from: arguments.from.clone(),
        rows_max: arguments.rows,
        dead_letters: arguments.dead_letters,
        state: arguments.state,
    };
    let session = match &arguments.job {
        None => Session::open(config, options)
            .await
            .map_err(|refusal| Failure::bad_config(refusal.to_string()))?,
        Some(url) => {
            let token = config.http.as_ref().and_then(|http| http.token.clone());
            let opened = Session::beside(config, options, RunningJob::new(url, token)).await;
            let (session, note) = opened?;
            note.iter().for_each(|note| terminal::say(note));
            session
        }
    };
    if let Some(faults) = session.faults() {
        terminal::say(&faults);
    }
    let is_prompt = asked.is_empty() && io::stdin().is_terminal();
    let mut shell = Shell::new(session, arguments.format, is_prompt, Screen::of_stdout(is_prompt));
    if is_prompt {
        terminal::say("\\? lists the commands, \\q leaves.");
        return Ok(prompt::run(shell).await?);
    }
    if asked.is_empty() {
        return pipe(&mut shell).await;
    }
    for (name, text) in &asked {
        if shell.execute(name, text).await? == Flow::Quit {
            break;
        }
    }
    Ok(())
}

/// Carries out what comes through stdin, each part as soon as it is whole.
async fn pipe(shell: &mut Shell) -> Result<(), Failure> {
    let mut text = String::new();
    for line in io::stdin().lock().lines() {
        text.push_str(&line.map_err(|error| Failure::failed(format!("stdin: {error}")))?);
        text.push('\n');
        if prompt::is_complete(&text) {
            if shell.execute("query", &text).await? == Flow::Quit {
                return Ok(());
            }
            text.clear();
        }
    }
    shell.execute("query", &text).await?;
    Ok(())
}
