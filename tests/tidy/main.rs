//! The style of the code, as a test: what a reader may rely on in every file of `src`.
//!
//! Each rule is a function over text, and a test shows that it finds what it is for.

mod modules;

use std::fs;
use std::path::{Path, PathBuf};

/// A file is one idea; one that needs more lines holds two.
const LINES_MAX: usize = 600;
/// Characters of a line. rustfmt keeps code to `max_width`; it breaks neither comments nor texts.
const WIDTH_MAX: usize = 130;
/// Lines of a function. The longest is a dispatch over types; this may become smaller, not larger.
const FUNCTION_LINES_MAX: usize = 95;
/// What ends the program.
const PANICS: [&str; 5] = [".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!("];
/// The walks of the parser and of DataFusion that `sql::walk` and `sql::tree` have once for all. (Those over a physical plan
/// have the same names as some of these, and are short.)
const WALKS: [&str; 7] = [
    "Visitor for",
    "VisitorMut for",
    ".apply_with_subqueries(",
    ".apply_children(",
    ".transform_up_with_subqueries(",
    ".map_expressions(",
    ".map_children(",
];

fn sources() -> Vec<(PathBuf, String)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("src is there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("UTF-8");
                files.push((path, text));
            }
        }
    }
    assert!(files.len() > 20, "the sources were found");
    files
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
        || path
            .file_name()
            .is_some_and(|name| name == "tests.rs" || name.to_string_lossy().ends_with("_tests.rs"))
}

/// The part of a file before its tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or_default()
}

fn faults(find: impl Fn(&Path, &str) -> Vec<String>) -> Vec<String> {
    let files = sources();
    let files = files.iter().filter(|(path, _)| !is_test(path));
    files.flat_map(|(path, text)| find(path, text)).collect()
}

/// Whether a file begins with the paragraph that says what it is.
fn has_paragraph(text: &str) -> bool {
    text.starts_with("//! ") || text.starts_with("#!")
}

/// The lines of code with one of these.
fn lines_with(words: &[&str], text: &str) -> Vec<usize> {
    let has_one =
        |line: &str| !line.trim_start().starts_with("//") && words.iter().any(|word| line.contains(word));
    numbered(text).filter(|(_, line)| has_one(line)).map(|(number, _)| number).collect()
}

/// The stages that a file of `stage` imports.
fn imported_stages(stage: &str, text: &str) -> Vec<&'static str> {
    const STAGES: [&str; 5] = ["source", "decode", "tables", "sql", "sink"];
    if !STAGES.contains(&stage) {
        return Vec::new();
    }
    let is_imported = |other: &&str| *other != stage && text.contains(&format!("crate::{other}::"));
    STAGES.into_iter().filter(is_imported).collect()
}

/// The lines that are too long, with their widths.
fn long_lines(text: &str) -> Vec<(usize, usize)> {
    let lines = numbered(text).map(|(number, line)| (number, line.chars().count()));
    lines.filter(|(_, width)| *width > WIDTH_MAX).collect()
}

/// The functions that are too long, with their first line and how many they have. It trusts rustfmt: a function ends with the
/// first brace that stands where its first word does.
fn long_functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let is_start = |line: &str| {
        let words = line.split_whitespace();
        let mut words = words.skip_while(|word| {
            word.starts_with("pub") || ["async", "const", "unsafe", "super)", "crate)"].contains(word)
        });
        words.next() == Some("fn")
    };
    let starts = lines.iter().enumerate().filter(|(_, line)| is_start(line));
    let length = |(start, first): (usize, &&str)| {
        let is_end = |line: &&str| line.starts_with(&format!("{}}}", " ".repeat(indent(first))));
        let is_one_line = first.ends_with(['}', ';']);
        let length = if is_one_line { 1 } else { lines[start..].iter().position(is_end)? + 1 };
        Some((start + 1, length))
    };
    starts.filter_map(length).filter(|(_, length)| *length > FUNCTION_LINES_MAX).collect()
}

/// The lines with their numbers, from 1.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

#[test]
fn every_file_says_first_what_it_is() {
    let found =
        faults(|path, text| if has_paragraph(text) { Vec::new() } else { vec![path.display().to_string()] });
    assert!(found.is_empty(), "files without a paragraph at the top: {found:#?}");
}

#[test]
fn no_file_is_longer_than_one_idea() {
    let found = faults(|path, text| {
        let lines = without_tests(text).lines().count();
        if lines <= LINES_MAX { Vec::new() } else { vec![format!("{}: {lines} lines", path.display())] }
    });
    assert!(found.is_empty(), "long files: {found:#?}");
}

#[test]
fn no_line_and_no_function_is_too_long() {
    let found = faults(|path, text| {
        let text = without_tests(text);
        let place = |number: usize| format!("{}:{number}", path.display());
        let lines = long_lines(text).into_iter();
        let lines = lines.map(|(number, width)| format!("{}: a line of {width} characters", place(number)));
        let functions = long_functions(text).into_iter();
        lines
            .chain(functions.map(|(at, lines)| format!("{}: a function of {lines} lines", place(at))))
            .collect()
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn nothing_panics_on_what_users_data_and_servers_can_cause() {
    let found = faults(|path, text| {
        lines_with(&PANICS, without_tests(text))
            .iter()
            .map(|line| format!("{}:{line}", path.display()))
            .collect()
    });
    assert!(found.is_empty(), "panics outside tests: {found:#?}");
}

#[test]
fn walks_over_sql_are_compiled_once() {
    let found = faults(|path, text| {
        if path.ends_with("sql/walk.rs") || path.ends_with("sql/tree.rs") {
            return Vec::new();
        }
        let lines = lines_with(&WALKS, without_tests(text)).into_iter();
        lines.map(|line| format!("{}:{line}: see `sql/walk.rs` and `sql/tree.rs`", path.display())).collect()
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn stages_do_not_import_each_other() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let found = faults(|path, text| {
        let inside = path.strip_prefix(&source).unwrap_or(path);
        let stage = inside.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned());
        let others = imported_stages(&stage.unwrap_or_default(), without_tests(text)).into_iter();
        others.map(|other| format!("{} imports {other}", path.display())).collect()
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn each_rule_finds_what_it_is_for() {
    assert!(
        has_paragraph("//! What it is.\n") && !has_paragraph("use std::fs;\n") && !has_paragraph("//!\n")
    );
    let code = "fn f() {\n    x.unwrap();\n    // never panic!()\n    y.expect(\"it is there\");\n}\n";
    assert_eq!(lines_with(&PANICS, code), [2, 4]);
    assert_eq!(
        lines_with(&PANICS, without_tests("fn f() {}\n#[cfg(test)]\nmod tests { panic!(\"no\") }")),
        [0; 0]
    );
    assert_eq!(
        lines_with(
            &WALKS,
            "impl VisitorMut for A {\n// .map_children(\n    plan.map_expressions(|part| part)"
        ),
        [1, 3]
    );
    assert_eq!(imported_stages("sql", "use crate::sink::Sink;\nuse crate::sql::View;"), ["sink"]);
    assert_eq!(imported_stages("engine", "use crate::sink::Sink;"), [""; 0]);
    let line = |width: usize| format!("    /// {}\n", "é".repeat(width - 8));
    assert_eq!(long_lines(&(line(WIDTH_MAX) + &line(WIDTH_MAX + 1))), [(2, WIDTH_MAX + 1)]);
    let function = |lines: usize| {
        let body = "        if a {\n        }\n".repeat((lines - 2) / 2);
        format!("impl A {{\n    pub(super) async fn f(&self) {{\n{body}    }}\n\n    fn g() {{}}\n}}\n")
    };
    assert_eq!(long_functions(&function(FUNCTION_LINES_MAX / 2 * 2)), []);
    assert_eq!(
        long_functions(&function(FUNCTION_LINES_MAX / 2 * 2 + 2)),
        [(2, FUNCTION_LINES_MAX / 2 * 2 + 2)]
    );
}

/// `scripts/guards` takes hours; that each guard can be taken out at all shows at once.
#[test]
fn the_patches_that_take_guards_out_apply() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join("tests/guards")).expect("the guards are there") {
        let path = entry.expect("an entry").path();
        let patch = fs::read_to_string(&path).expect("UTF-8");
        let is_described = ["Guard: ", "Test: "].iter().all(|field| patch.contains(field));
        let file = patch.lines().find_map(|line| line.strip_prefix("--- a/")).unwrap_or_default();
        let text = fs::read_to_string(root.join(file)).unwrap_or_default();
        for hunk in patch.split("\n@@ ").skip(1) {
            let lines = hunk.lines().skip(1).filter(|line| !line.starts_with('+'));
            let before: String =
                lines.map(|line| format!("{}\n", line.get(1..).unwrap_or_default())).collect();
            if !is_described || !text.contains(&before) {
                found.push(format!("{} and {file}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "patches that say nothing, or do not fit their file any more: {found:#?}");
}

/// Somebody who asks what a script does gets an answer at once: no server is started, and nothing is built or installed.
#[test]
fn scripts_say_what_they_do_and_do_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::temp_dir().join(format!("scripts-help-{}", std::process::id()));
    let (services, tools) = (folder.join("services"), folder.join("tools"));
    fs::create_dir_all(&tools).expect("a folder");
    // Whoever builds or installs fails here.
    for tool in ["cargo", "apt-get", "pip", "npm", "node", "java", "mvn", "debootstrap"] {
        std::os::unix::fs::symlink("/bin/false", tools.join(tool)).expect("a tool");
    }
    let path = std::env::join_paths(
        std::iter::once(tools.clone())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join("scripts")).expect("the scripts are there") {
        let script = entry.expect("an entry").path();
        let answer = std::process::Command::new(&script)
            .arg("--help")
            .env("PATH", path.as_ref().expect("a path"))
            .env("SERVICES_DIR", &services)
            .env_remove("REALTIME_PROCESSOR")
            .output()
            .expect("a script can be started");
        let usage = String::from_utf8_lossy(&answer.stdout).to_lowercase();
        if !answer.status.success() || !usage.contains("usage:") || services.exists() {
            found.push(format!("{}: {}", script.display(), String::from_utf8_lossy(&answer.stderr)));
        }
    }
    // Why: what is left are a few links in the folder for temporary files.
    let _ = fs::remove_dir_all(&folder);
    assert!(found.is_empty(), "{found:#?}");
}

/// Phrases that are no plain English in the meaning that they had here, and what to write instead.
const DIALECT: [(&str, &str); 17] = [
    ("anew", "again, or re-"),
    ("whoever", "name who it is"),
    ("in hand", "current"),
    ("at hand", "available"),
    ("so many", "n, or up to n"),
    ("so long", "n, or for that long"),
    ("stands", "is"),
    ("what came of", "the result of"),
    ("what comes of", "the result of"),
    ("what became of", "the result of"),
    ("look away", "skip"),
    ("looks away", "skips"),
    ("made ready", "prepared"),
    ("in doubt", "not known"),
    ("is said", "is logged, or is reported"),
    ("on its way", "in flight"),
    ("on their way", "in flight"),
];

/// The documents for people, with their paths from the root.
fn documents() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"].map(PathBuf::from).into();
    for folder in ["docs", "docs/upstream"] {
        for entry in fs::read_dir(root.join(folder)).expect("the manual") {
            let name = entry.expect("an entry").file_name();
            if name.to_string_lossy().ends_with(".md") {
                paths.push(Path::new(folder).join(name));
            }
        }
    }
    let read = |path: PathBuf| (path.clone(), fs::read_to_string(root.join(path)).expect("UTF-8"));
    paths.into_iter().map(read).collect()
}

/// The lines of a document without its code: blocks are empty, and so is what is in backticks.
fn prose(text: &str) -> Vec<String> {
    let mut is_fenced = false;
    let line = |line: &str| {
        let is_fence = line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        match is_fenced || is_fence || line.starts_with("    ") {
            true => String::new(),
            false => line.split('`').step_by(2).collect::<Vec<_>>().join("``"),
        }
    };
    text.lines().map(line).collect()
}

/// What people read in a file of the program: messages, and comments without the code in backticks.
fn readable(text: &str) -> Vec<String> {
    let line = |line: &str| match line.split_once("//") {
        Some((code, comment)) => {
            format!("{code} {}", comment.split('`').step_by(2).collect::<Vec<_>>().join("``"))
        }
        None => line.to_owned(),
    };
    text.lines().map(line).collect()
}

/// The code of a file without its comments.
fn code(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned()).collect()
}

/// Each phrase of [`DIALECT`] in these lines, with the number of its line. A phrase may go on in the next line.
fn dialect(lines: &[String]) -> Vec<(usize, &'static str)> {
    let lines: Vec<String> = lines.iter().map(|line| line.to_lowercase()).collect();
    let words = lines.iter().enumerate().flat_map(|(index, line)| {
        let words = line.split(|letter: char| !letter.is_alphanumeric() && !matches!(letter, '\'' | '_'));
        words.filter(|word| !word.is_empty()).map(move |word| (index + 1, word))
    });
    let words: Vec<(usize, &str)> = words.collect();
    let mut found = Vec::new();
    for (phrase, _) in DIALECT {
        let parts: Vec<&str> = phrase.split(' ').collect();
        let is_here = |place: &&[(usize, &str)]| place.iter().map(|(_, word)| word).eq(parts.iter());
        found.extend(words.windows(parts.len()).filter(is_here).map(|place| (place[0].0, phrase)));
    }
    found
}

#[test]
fn documents_are_in_plain_english() {
    let instead =
        |phrase: &str| DIALECT.iter().find(|(known, _)| *known == phrase).map_or("", |(_, plain)| plain);
    let fault = |path: &Path, (line, phrase): (usize, &str)| {
        format!("{}:{line}: `{phrase}`: write {}", path.display(), instead(phrase))
    };
    let documents = documents();
    let found = documents.iter().flat_map(|(path, text)| {
        dialect(&prose(text)).into_iter().map(|found| fault(path, found)).collect::<Vec<_>>()
    });
    let found: Vec<String> = found.collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn each_phrase_is_found_and_code_is_left_alone() {
    for (phrase, _) in DIALECT {
        let (first, rest) = phrase.split_once(' ').unwrap_or((phrase, ""));
        let text = format!("One line.\n{}\n{rest}, and so on.", first.to_uppercase());
        assert_eq!(dialect(&prose(&text)), [(2, phrase)], "{text}");
    }
    let page = "`stands`, `in` hand\n\n    stands anew\n\n```\nwhoever\n```\nstandstill and news";
    assert_eq!(dialect(&prose(page)), []);
    let source =
        "// `It` stands.\nlet is_said = true; // `anew`\nlet hint = \"the batch in \\\n    hand\";\n";
    assert_eq!(dialect(&readable(source)), [(3, "in hand"), (1, "stands")]);
}

/// Messages, help and comments.
#[test]
fn the_program_is_in_plain_english() {
    let found = faults(|path, text| {
        let faults = dialect(&readable(without_tests(text))).into_iter();
        faults.map(|(line, phrase)| format!("{}:{line}: `{phrase}`", path.display())).collect()
    });
    assert!(found.is_empty(), "{found:#?}");
}

/// The address of a heading, as the usual forges make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// Links and pictures of a document that lead nowhere. `read` is a file's text, if it is there.
fn broken_links(path: &Path, text: &str, read: &dyn Fn(&Path) -> Option<String>) -> Vec<String> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let lines = prose(text);
    let targets =
        lines.iter().flat_map(|line| line.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
    let is_broken = |target: &&str| {
        let (file, place) = target.split_once('#').unwrap_or((target, ""));
        let text = if file.is_empty() { Some(text.to_owned()) } else { read(&folder.join(file)) };
        let lines = text.as_deref().unwrap_or_default();
        let prose = prose(lines);
        let mut headings = lines.lines().zip(&prose).filter(|(_, prose)| prose.starts_with('#'));
        let is_there = text.is_some()
            && (place.is_empty() || headings.any(|(line, _)| anchor(line.trim_start_matches('#')) == place));
        !target.contains("://") && !is_there
    };
    targets.filter(is_broken).map(|target| format!("{}: {target}", path.display())).collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &Path| match root.join(path) {
        path if path.is_dir() => Some(String::new()),
        // A picture is no text, and nothing leads into it.
        path => fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    };
    let documents = documents();
    let broken: Vec<String> =
        documents.iter().flat_map(|(path, text)| broken_links(path, text, &read)).collect();
    assert!(broken.is_empty(), "{broken:#?}");
    // And the other way round: each page of the manual is found from its index.
    let (_, index) =
        documents.iter().find(|(path, _)| path == Path::new("docs/README.md")).expect("the index");
    let missing: Vec<&Path> = documents
        .iter()
        .map(|(path, _)| path.as_path())
        .filter(|path| path.parent() == Some(Path::new("docs")) && !path.ends_with("README.md"))
        .filter(|path| {
            !index.contains(&format!("]({})", path.strip_prefix("docs").expect("below it").display()))
        })
        .collect();
    assert!(missing.is_empty(), "pages that docs/README.md does not name: {missing:?}");
}

#[test]
fn links_that_lead_nowhere_are_found() {
    let read = |path: &Path| (path == Path::new("docs/b.md")).then(|| "# Top-N: `per` key!\n".to_owned());
    let good = "# Here\n\n[b](b.md#top-n-per-key), [here](#here), [web](https://x.org/y), `[code](gone.md)`\n\n    [block](gone.md)\n";
    assert_eq!(broken_links(Path::new("docs/a.md"), good, &read), [""; 0]);
    for (bad, target) in
        [("[c](c.md)", "c.md"), ("![p](b.md#nowhere)", "b.md#nowhere"), ("[h](#there)", "#there")]
    {
        assert_eq!(broken_links(Path::new("docs/a.md"), bad, &read), [format!("docs/a.md: {target}")]);
    }
}

/// Where words of others are read, which have no code: of servers, of DataFusion, of librdkafka, of Arrow's reader of files.
const WORDS_OF_OTHERS: [&str; 4] =
    ["src/database/error.rs", "src/sql/upstream.rs", "src/source/kafka/words.rs", "src/tables/file.rs"];

/// Lines that paste a hint into a message, or that look for something in the words of one.
fn words_as_values(text: &str) -> Vec<usize> {
    let looks_into = |line: &str| {
        let subjects = ["message", "message()", "reason", "to_string()", "error"];
        let finds = [".contains(", ".starts_with(", ".ends_with(", ".split_once(", ".strip_prefix("];
        subjects.iter().any(|subject| {
            finds.iter().any(|find| {
                let call = format!("{subject}{find}");
                line.match_indices(&call).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
                })
            })
        })
    };
    let is_continued = |line: &str| line.trim_end().ends_with('\\');
    let lines: Vec<&str> = without_tests(text).lines().collect();
    let found = lines.iter().enumerate().filter(|(index, line)| {
        let code = line.trim_start();
        let is_pasted = code.contains("\\nhint: ")
            || code.starts_with("hint: ") && *index > 0 && is_continued(lines[index - 1]);
        !code.starts_with("//") && (is_pasted || looks_into(code))
    });
    found.map(|(index, _)| index + 1).collect()
}

#[test]
fn errors_are_values_and_their_words_are_for_people() {
    let found = faults(|path, text| {
        let is_of_others = WORDS_OF_OTHERS.iter().any(|allowed| path.ends_with(allowed));
        // The one place that puts a message and its hint together.
        if is_of_others || path.ends_with("src/diagnostic.rs") {
            return Vec::new();
        }
        words_as_values(text).iter().map(|line| format!("{}:{line}", path.display())).collect()
    });
    assert!(found.is_empty(), "words of errors that something depends on: {found:#?}");
}

#[test]
fn words_that_something_depends_on_are_found() {
    for bad in [
        "    format!(\"{message}\\nhint: look\")",
        "    \"no such table\\n\\\n     hint: make it\"",
        "    if error.to_string().contains(\"librdkafka\") {",
        "    let (message, hint) = error.message().split_once(\"x\")?;",
    ] {
        assert_eq!(words_as_values(bad).len(), 1, "{bad}");
    }
    for good in [
        "    Diagnostic { hint: None, ..found }",
        "    // message.contains(\"x\")",
        "    is_error.contains(&x)",
    ] {
        assert_eq!(words_as_values(good), [0; 0], "{good}");
    }
}
