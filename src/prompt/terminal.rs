//! The prompt in a terminal: a line editor with history and completion, in a thread of its own, and a loop that carries
//! out what was typed. While a person types, the batch is loaded and the views are computed.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};

use rustyline::completion::FilenameCompleter;
use rustyline::config::{CompletionType, Config as EditorConfig};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{ColorMode, Editor};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc as answers;

use super::complete::Assistant;
use super::execute::{Flow, Shell};
use super::refusal::Refusal;
use super::script::is_complete;

const PROMPT: &str = "sql> ";
/// Before the lines of a query that goes on.
const CONTINUED: &str = "  -> ";
/// Lines that are kept from one session to the next.
const HISTORY_MAX: usize = 10_000;
/// Candidates that are listed without asking.
const LISTED_MAX: usize = 200;

/// Asks and answers until the person leaves.
///
/// # Errors
/// The terminal cannot be used. A query that fails is reported, and the prompt goes on.
pub async fn run(mut shell: Shell) -> Result<(), Refusal> {
    tokio::spawn(leave_with_terminal(hangups()?));
    let ended = converse(&mut shell).await;
    if let Some(drafts) = shell.session.drafts.shown() {
        shell.say(&drafts);
    }
    ended
}

async fn converse(shell: &mut Shell) -> Result<(), Refusal> {
    let mut lines = Lines::start(shell)?;
    loop {
        lines.ask()?;
        let mut is_tried = false;
        let line = loop {
            tokio::select! {
                biased;
                line = lines.answers.recv() => break line,
                () = shell.session.warm_up(), if !is_tried => {
                    is_tried = true;
                    shell.learn_words();
                }
            }
        };
        match line {
            Some(Ok(text)) => {
                if carry_out(shell, &text).await? == Flow::Quit {
                    return Ok(());
                }
            }
            // Ctrl-C at the prompt drops the line.
            Some(Err(ReadlineError::Interrupted)) => {}
            Some(Err(ReadlineError::Eof)) | None => return Ok(()),
            Some(Err(error)) => return Err(Refusal::error(format!("the terminal cannot be read: {error}"))),
        }
    }
}

/// What a shell reports for a process ended by SIGHUP.
const HUNG_UP: i32 = 129;

fn hangups() -> Result<Signal, Refusal> {
    signal(SignalKind::hangup()).map_err(|error| Refusal::error(format!("no signals: {error}")))
}

/// Ends the program at a SIGHUP if its terminal has gone. As long as the terminal is there, the signal was meant for
/// another process of this name.
async fn leave_with_terminal(mut hangups: Signal) {
    while hangups.recv().await.is_some() {
        // A process without a terminal has no /dev/tty.
        if std::fs::File::open("/dev/tty").is_err() {
            std::process::exit(HUNG_UP);
        }
    }
}

/// Carries out one text; Ctrl-C cancels it.
async fn carry_out(shell: &mut Shell, text: &str) -> Result<Flow, Refusal> {
    let interrupted = signal(SignalKind::interrupt());
    let mut interrupted = interrupted.map_err(|error| Refusal::error(format!("no signals: {error}")))?;
    let progress = Arc::clone(&shell.session.progress);
    progress.start();
    let drawn = std::io::stderr().is_terminal().then(|| {
        let width =
            || terminal_size::terminal_size_of(std::io::stderr()).map_or(80, |(width, _)| width.0.into());
        tokio::spawn(Arc::clone(&progress).draw(width))
    });
    let ended = tokio::select! {
        ended = shell.execute("query", text) => Some(ended),
        _ = interrupted.recv() => None,
    };
    drawn.inspect(tokio::task::JoinHandle::abort);
    progress.hide();
    match ended {
        Some(Ok(flow)) => return Ok(flow),
        Some(Err(refusal)) => shell.say(&shown(&refusal, shell.colours)),
        None => shell.say("cancelled"),
    }
    Ok(Flow::GoOn)
}

/// A refusal with its word `error` in red.
fn shown(refusal: &Refusal, colours: bool) -> String {
    let text = refusal.to_string();
    if colours { text.replacen("error:", "\x1b[1;31merror:\x1b[0m", 1) } else { text }
}

/// The thread that reads lines.
struct Lines {
    questions: mpsc::Sender<()>,
    answers: answers::Receiver<Result<String, ReadlineError>>,
}

impl Lines {
    fn start(shell: &Shell) -> Result<Self, Refusal> {
        let assistant = Assistant {
            before: String::new(),
            words: shell.words(),
            files: FilenameCompleter::new(),
            colours: shell.colours,
        };
        let prompt = |text: &str| match shell.colours {
            true => (text.to_owned(), format!("\x1b[1;36m{text}\x1b[0m")),
            false => (text.to_owned(), text.to_owned()),
        };
        let prompts = [prompt(PROMPT), prompt(CONTINUED)];
        let config = EditorConfig::builder()
            .completion_type(CompletionType::List)
            .completion_prompt_limit(LISTED_MAX)
            .max_history_size(HISTORY_MAX)
            .and_then(|config| config.history_ignore_dups(true))
            .map_err(Refusal::error)?
            .history_ignore_space(true)
            .color_mode(if shell.colours { ColorMode::Enabled } else { ColorMode::Disabled })
            .build();
        let (questions, asked) = mpsc::channel();
        let (sender, answers) = answers::channel(1);
        let read = move || {
            let mut editor = match Editor::<Assistant, FileHistory>::with_config(config) {
                Ok(editor) => editor,
                Err(error) => return drop(sender.blocking_send(Err(error))),
            };
            editor.set_helper(Some(assistant));
            let history = history_file();
            if let Some(file) = &history {
                // Why: the first time there is none.
                let _ = editor.load_history(file);
            }
            while asked.recv().is_ok() {
                let line = read_whole(&mut editor, &prompts);
                if let Ok(text) = &line
                    && editor.add_history_entry(text.as_str()).unwrap_or(false)
                    && let Some(file) = &history
                {
                    // Why: a history that cannot be kept is no reason to stop.
                    let _ = editor.append_history(file);
                }
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("prompt".into()).spawn(read).map_err(Refusal::error)?;
        Ok(Self { questions, answers })
    }

    fn ask(&self) -> Result<(), Refusal> {
        self.questions.send(()).map_err(|_| Refusal::error("the terminal cannot be read"))
    }
}

/// Reads lines up to the end of a query or a command.
fn read_whole(
    editor: &mut Editor<Assistant, FileHistory>,
    prompts: &[(String, String); 2],
) -> Result<String, ReadlineError> {
    let mut text = String::new();
    loop {
        let prompt = &prompts[usize::from(!text.is_empty())];
        if let Some(assistant) = editor.helper_mut() {
            assistant.before.clone_from(&text);
        }
        text.push_str(&editor.readline(prompt)?);
        if is_complete(&text) {
            return Ok(text);
        }
        text.push('\n');
    }
}

/// Where the history is kept, in a folder that is there; `None` where there is no place for it.
fn history_file() -> Option<PathBuf> {
    let of = |variable: &str| std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    let state = of("XDG_STATE_HOME").or_else(|| Some(of("HOME")?.join(".local/state")))?;
    let folder = state.join("realtime-processor");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("sql_history"))
}
