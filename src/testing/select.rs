//! Which test files there are, and which of their tests are wanted.

use std::path::{Path, PathBuf};

use super::TestsError;
use super::suite::Suite;
use crate::config::Config;
use crate::diagnostic::{Code, Diagnostic, Finding, Place, shown};
use crate::nearest::did_you_mean;

/// The folder of test files, in that of the views.
pub fn tests_folder(config: &Config) -> PathBuf {
    config.sql.join("tests")
}

/// All test files of a project, in the order of their names, and those of `names` that are files elsewhere. Beside them the
/// faults of files that cannot be read at all.
///
/// # Errors
/// There is no test file.
pub(super) fn read(config: &Config, names: &[String]) -> Result<(Vec<Suite>, Vec<Diagnostic>), TestsError> {
    let folder = tests_folder(config);
    let elsewhere: Vec<PathBuf> = names.iter().map(PathBuf::from).filter(|path| path.is_file()).collect();
    let mut paths = match files(&folder) {
        Err(_) if !elsewhere.is_empty() => Vec::new(),
        paths => paths?,
    };
    for path in elsewhere {
        if !paths.iter().any(|known| is_same_file(known, &path)) {
            paths.push(path);
        }
    }
    let (mut suites, mut faults) = (Vec::new(), Vec::new());
    for path in paths {
        match Suite::read(&path) {
            Ok(suite) => suites.push(suite),
            Err(found) => faults.extend(found),
        }
    }
    if suites.is_empty() && faults.is_empty() { Err(no_tests(&folder)) } else { Ok((suites, faults)) }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    real(one).is_some_and(|one| real(other) == Some(one))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, TestsError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(no_tests(folder)),
        Err(error) => {
            let message = format!("the folder cannot be read: {error}");
            let place = Place::of_file(shown(folder));
            return Err(TestsError::Faults(vec![Diagnostic::error(Code::File, place, message)]));
        }
    };
    let is_test = |path: &PathBuf| {
        let is_hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        let extension = path.extension().and_then(|extension| extension.to_str());
        !is_hidden && matches!(extension, Some("yaml" | "yml")) && path.is_file()
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_test).collect();
    paths.sort();
    Ok(paths)
}

fn no_tests(folder: &Path) -> TestsError {
    let folder = shown(folder);
    let hint = format!(
        "tests of the view `reactions` could stand in {folder}/reactions.yaml; `realtime-processor test --help` shows one"
    );
    let error = Diagnostic::error(Code::TestFile, Place::of_file(folder), "no tests").with_hint(hint);
    TestsError::Faults(vec![error])
}

/// The tests that the names choose: those of a file (its path or name), and those whose own name has it as a part. Beside
/// them those of the faults of `unread` files that count: if all names are those of files that were read, what is wrong with
/// other files does not.
///
/// # Errors
/// A name that chooses nothing.
pub(super) fn chosen(
    suites: Vec<Suite>,
    names: &[String],
    unread: Vec<Diagnostic>,
) -> Result<(Vec<Suite>, Vec<Diagnostic>), TestsError> {
    if names.is_empty() {
        return Ok((suites, unread));
    }
    // A test that could not be read may be the one that is meant: its fault says more.
    let is_sound = unread.is_empty() && suites.iter().all(|suite| suite.faults.is_empty());
    for name in names.iter().filter(|_| is_sound) {
        let is_wanted = suites
            .iter()
            .any(|suite| is_file(suite, name) || suite.tests.iter().any(|test| is_named(&test.name, name)));
        if !is_wanted {
            let known = suites.iter().flat_map(|suite| {
                [stem(suite)].into_iter().chain(suite.tests.iter().map(|test| test.name.as_str()))
            });
            let files = || format!("files: {}", suites.iter().map(stem).collect::<Vec<_>>().join(", "));
            let hint = did_you_mean(name, known).unwrap_or_else(files);
            return Err(TestsError::NoSuchTest(Finding::new(format!("no test `{name}`")).with_hint(hint)));
        }
    }
    let are_files = names.iter().all(|name| suites.iter().any(|suite| is_file(suite, name)));
    let wanted = suites.into_iter().filter_map(|mut suite| {
        let is_meant = names.iter().any(|name| is_file(&suite, name));
        if !is_meant {
            suite.tests.retain(|test| names.iter().any(|name| is_named(&test.name, name)));
        }
        let has_faults = !suite.faults.is_empty() && (is_meant || !are_files);
        (!suite.tests.is_empty() || has_faults).then_some(suite)
    });
    Ok((wanted.collect(), if are_files { Vec::new() } else { unread }))
}

fn stem(suite: &Suite) -> &str {
    suite.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
}

fn is_file(suite: &Suite, name: &str) -> bool {
    stem(suite) == name || suite.path.ends_with(name) || is_same_file(&suite.path, Path::new(name))
}

fn is_named(test: &str, name: &str) -> bool {
    test.to_lowercase().contains(&name.to_lowercase())
}
