//! A page of the manual as its reader follows it: its files are written, its commands are run in their order, and they print
//! what the page says.

use std::path::Path;
use std::process::{Command, Stdio};

/// What the page has for its reader to do.
#[derive(Debug)]
enum Step {
    File {
        path: String,
        text: String,
    },
    /// A command, and what it prints.
    Command {
        line: String,
        prints: String,
    },
}

/// Follows a page in a folder, with other addresses in place of those that it shows. Returns how many files and commands it has.
pub fn follow(page: &str, folder: &Path, addresses: &[(&str, &str)]) -> (usize, usize) {
    let page = std::fs::read_to_string(page).expect("the page");
    let page = addresses.iter().fold(page, |page, (shown, real)| page.replace(shown, real));
    let (mut files, mut commands) = (0, 0);
    for step in steps(&page) {
        match step {
            Step::File { path, text } => {
                std::fs::write(folder.join(path), text).expect("written");
                files += 1;
            }
            Step::Command { line, prints } => {
                let found = run(folder, &line);
                assert!(prints.is_empty() || found == prints, "{line} prints\n{found}instead of\n{prints}");
                commands += 1;
            }
        }
    }
    (files, commands)
}

fn steps(page: &str) -> Vec<Step> {
    let (mut steps, mut path) = (Vec::new(), None);
    let mut lines = page.lines().map(str::trim_end);
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        let text = line.trim_start();
        if let Some(named) = text.strip_prefix('`').and_then(|line| line.strip_suffix("`:")) {
            path = Some(named.to_owned());
        } else if let Some(language) = text.strip_prefix("```") {
            let block = lines.by_ref().map(|line| line.get(indent..).unwrap_or_default());
            let block: Vec<&str> = block.take_while(|line| *line != "```").collect();
            if language == "console" {
                steps.extend(commands(&block));
            } else {
                let path = path.take().unwrap_or_else(|| panic!("a block without a path: {block:?}"));
                steps.push(Step::File { path, text: block.join("\n") + "\n" });
            }
        }
    }
    steps
}

fn commands(block: &[&str]) -> Vec<Step> {
    let mut found = Vec::new();
    for line in block {
        match (line.strip_prefix("$ "), found.last_mut()) {
            (Some(command), _) => {
                found.push(Step::Command { line: command.to_owned(), prints: String::new() });
            }
            (None, Some(Step::Command { prints, .. })) => prints.push_str(&format!("{line}\n")),
            _ => panic!("an output without a command: {line}"),
        }
    }
    found
}

/// Runs a line of a shell; its stdout, if it ends well.
fn run(folder: &Path, line: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_realtime-processor"));
    let path = std::env::var("PATH").unwrap_or_default();
    let folder_of_program = program.parent().expect("a folder").display().to_string();
    let done = Command::new("sh")
        .args(["-c", line])
        .current_dir(folder)
        .env("PATH", format!("{folder_of_program}:{path}"))
        // A page's project writes where the page says.
        .env_remove("DATABASE_URL")
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{line}: {}\n{out}\n{err}", done.status);
    out.into_owned()
}
