//! The style of the code, as a test: what a reader may rely on in every file of `src`.

use std::fs;
use std::path::{Path, PathBuf};

/// A file is one idea; one that needs more lines holds two.
const LINES_MAX: usize = 600;

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

#[test]
fn every_file_says_first_what_it_is() {
    let found = faults(|path, text| {
        let is_said = text.starts_with("//! ") || text.starts_with("#!");
        if is_said { Vec::new() } else { vec![path.display().to_string()] }
    });
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
fn nothing_panics_on_what_users_data_and_servers_can_cause() {
    let found = faults(|path, text| {
        let is_panic = |line: &&str| {
            let code = line.trim_start();
            !code.starts_with("//")
                && [".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!("]
                    .iter()
                    .any(|word| code.contains(word))
        };
        let lines = without_tests(text).lines().enumerate();
        lines
            .filter(|(_, line)| is_panic(line))
            .map(|(index, line)| format!("{}:{}: {}", path.display(), index + 1, line.trim()))
            .collect()
    });
    assert!(found.is_empty(), "panics outside tests: {found:#?}");
}

#[test]
fn stages_do_not_import_each_other() {
    const STAGES: [&str; 5] = ["source", "decode", "tables", "sql", "sink"];
    let found = faults(|path, text| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let inside = path.strip_prefix(&source).unwrap_or(path);
        let stage = inside.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned());
        let Some(stage) = stage.filter(|stage| STAGES.contains(&stage.as_str())) else { return Vec::new() };
        STAGES
            .iter()
            .filter(|other| **other != stage)
            .filter(|other| without_tests(text).contains(&format!("crate::{other}::")))
            .map(|other| format!("{} imports {other}", path.display()))
            .collect()
    });
    assert!(found.is_empty(), "{found:#?}");
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
