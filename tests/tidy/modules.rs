//! Which module may know which: the order of `lib.rs`, and no cycles among the files of a module.

use std::collections::{BTreeMap, BTreeSet};

use super::{code, sources, without_tests};

/// Files that may know each other, by the module that they are in: a type and what reads or makes it. A file that joins one is
/// a fault, and so is an entry that nothing needs any more.
const KNOWN_CYCLES: &[(&str, &[&str])] = &[
    ("avro", &["canonical", "parse", "schema"]),
    ("database", &["connection", "mysql", "sqlite"]),
    ("decode", &["plan", "rewrite"]),
    ("prompt", &["describe", "diff", "drafts", "job", "moment", "session", "views"]),
    ("source::kafka", &["browse", "gaps", "poller", "state"]),
    (
        "sql",
        &[
            "columns",
            "forms",
            "literals",
            "locate",
            "moments",
            "numbers",
            "operators",
            "placed",
            "rewrite",
            "run_errors",
            "statement",
            "view_files",
        ],
    ),
    ("sql", &["pipeline", "survey"]),
    ("telemetry", &["sentence", "standing", "tell"]),
    ("testing", &["reader", "suite"]),
    ("watch", &["instances", "json"]),
    ("watch", &["routes", "server", "stream"]),
];

/// A module, as the names on the way to it: `["sink", "offsets"]`.
type Module = Vec<String>;

/// The module of a file, by its path below `src`.
fn module_of(path: &str) -> Module {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let mut names: Module = path.split('/').map(str::to_owned).collect();
    if names.last().is_some_and(|name| ["mod", "lib", "main"].contains(&name.as_str())) {
        names.pop();
    }
    names
}

/// The modules in the order of `lib.rs`.
fn order_of(lib: &str) -> Vec<&str> {
    let names = lib.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "));
    names.filter_map(|name| name.strip_suffix(';')).collect()
}

/// What a file names that starts with `crate::` or `super::`, with groups taken apart: `super::{a, b::c}` is two names.
fn names_in(code: &str) -> Vec<Vec<String>> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_start = matches!(tokens[at], "crate" | "super") && tokens.get(at + 1) == Some(&"::");
        let goes_on = at > 0 && tokens[at - 1] == "::";
        if is_start && !goes_on {
            at = tree(&tokens, at, &mut Vec::new(), &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one path of a tree that starts at `at`, and gives the place after it.
fn tree(tokens: &[&str], mut at: usize, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let depth = path.len();
    while let Some(token) = tokens.get(at) {
        if *token == "{" {
            at += 1;
            while tokens.get(at).is_some_and(|token| *token != "}") {
                at = if tokens[at] == "," { at + 1 } else { tree(tokens, at, path, found) };
            }
            path.truncate(depth);
            return at + 1;
        }
        path.push((*token).to_owned());
        at += 1;
        if tokens.get(at) != Some(&"::") {
            break;
        }
        at += 1;
    }
    found.push(path.clone());
    path.truncate(depth);
    at
}

/// Words, `::`, and every other sign alone.
fn tokens(code: &str) -> Vec<&str> {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            ':' if rest.starts_with("::") => 2,
            first if is_word(first) => rest.find(|letter| !is_word(letter)).unwrap_or(rest.len()),
            first => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

/// The modules that a file knows, itself and those around it left out.
fn known_by(module: &Module, code: &str, modules: &BTreeSet<Module>) -> BTreeSet<Module> {
    let target = |name: Vec<String>| {
        let mut found = module.clone();
        for step in name {
            match step.as_str() {
                "crate" => found.clear(),
                "super" => drop(found.pop()),
                _ => {
                    found.push(step);
                    if !modules.contains(&found) {
                        found.pop();
                        break;
                    }
                }
            }
        }
        found
    };
    names_in(code).into_iter().map(target).filter(|found| !module.starts_with(found)).collect()
}

/// The modules after `module` in the order that its file knows all the same.
fn later_modules(order: &[&str], module: &Module, known: &BTreeSet<Module>) -> Vec<String> {
    let place = |name: &str| order.iter().position(|other| *other == name);
    let Some(here) = module.first().and_then(|name| place(name)) else { return Vec::new() };
    let later = known.iter().filter_map(|known| known.first()).filter(|name| place(name) > Some(here));
    let later: BTreeSet<&String> = later.collect();
    later.into_iter().map(|later| format!("{} uses {later}, which comes later", module.join("::"))).collect()
}

/// The files of `folder` that use one before them in `order`.
fn upward(folder: &str, order: &[&str], known: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<String> {
    let place = |module: &Module| {
        let (first, rest) = module.split_first()?;
        let name = rest.first().filter(|_| first == folder)?;
        order.iter().position(|file| file == name).map(|place| (place, name.clone()))
    };
    let pairs = known.iter().flat_map(|(module, known)| known.iter().map(move |known| (module, known)));
    let pairs = pairs.filter_map(|(module, known)| Some((place(module)?, place(known)?)));
    let upward: BTreeSet<String> = pairs
        .filter(|((from, _), (to, _))| to < from)
        .map(|((_, from), (_, to))| format!("{from} uses {to}, which is above it"))
        .collect();
    upward.into_iter().collect()
}

/// For each module, the groups of its files of which each knows, by way of others, each.
fn cycles(known: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<(String, Vec<String>)> {
    // Edges between files of one folder: what is in a folder of its own counts for that folder.
    let mut folders: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (module, known) in known {
        for other in known {
            let shared = module.iter().zip(other).take_while(|(one, other)| one == other).count();
            if let (Some(from), Some(to)) = (module.get(shared), other.get(shared)) {
                let folder = folders.entry(module[..shared].to_vec()).or_default();
                folder.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    let mut found = Vec::new();
    for (folder, edges) in &folders {
        let reached: BTreeMap<&String, BTreeSet<&String>> =
            edges.keys().map(|from| (from, reachable(edges, from))).collect();
        let mut done = BTreeSet::new();
        for (from, all) in &reached {
            let knows_back = |other: &&&String| reached.get(**other).is_some_and(|all| all.contains(from));
            let group: Vec<String> = all.iter().filter(knows_back).map(|name| (*name).clone()).collect();
            if all.contains(from) && group.len() > 1 && done.insert(group.clone()) {
                found.push((folder.join("::"), group));
            }
        }
    }
    found
}

fn reachable<'a>(edges: &'a BTreeMap<String, BTreeSet<String>>, from: &String) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&String> = edges.get(from).into_iter().flatten().collect();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(edges.get(next).into_iter().flatten());
        }
    }
    reached
}

/// What each module of the program knows.
fn program() -> BTreeMap<Module, BTreeSet<Module>> {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files: BTreeMap<Module, String> = sources()
        .into_iter()
        .filter(|(path, _)| !super::is_test(path))
        .map(|(path, text)| {
            let inside = path.strip_prefix(&source).expect("it is in src").to_string_lossy().into_owned();
            (module_of(&inside), code(without_tests(&text)).join("\n"))
        })
        .collect();
    let modules: BTreeSet<Module> = files.keys().cloned().collect();
    files.iter().map(|(module, code)| (module.clone(), known_by(module, code, &modules))).collect()
}

#[test]
fn modules_use_only_those_before_them() {
    let lib = include_str!("../../src/lib.rs");
    let order = order_of(lib);
    assert!(order.len() > 15, "the modules were found");
    let found: Vec<String> =
        program().iter().flat_map(|(module, known)| later_modules(&order, module, known)).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn files_of_the_sink_use_only_those_below_them() {
    let order = order_of(include_str!("../../src/sink/mod.rs"));
    assert!(order.len() > 15, "the files were found");
    let found = upward("sink", &order, &program());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn files_of_a_module_have_no_cycles_but_the_known() {
    let found: Vec<(String, Vec<String>)> =
        cycles(&program()).into_iter().filter(|(folder, _)| !folder.is_empty()).collect();
    let is_within = |cycle: &(String, Vec<String>), known: &(&str, &[&str])| {
        cycle.0 == known.0 && cycle.1.iter().all(|file| known.1.contains(&file.as_str()))
    };
    let new: Vec<_> =
        found.iter().filter(|cycle| !KNOWN_CYCLES.iter().any(|known| is_within(cycle, known))).collect();
    let gone: Vec<_> =
        KNOWN_CYCLES.iter().filter(|known| !found.iter().any(|cycle| is_within(cycle, known))).collect();
    assert!(new.is_empty() && gone.is_empty(), "new: {new:#?}, no more there: {gone:#?}");
}

#[cfg(test)]
mod rules {
    use super::*;

    fn named(names: &str) -> Module {
        names.split("::").map(str::to_owned).collect()
    }

    fn known(files: &[(&str, &str)]) -> BTreeMap<Module, BTreeSet<Module>> {
        let modules: BTreeSet<Module> = files.iter().map(|(name, _)| named(name)).collect();
        files.iter().map(|(name, code)| (named(name), known_by(&named(name), code, &modules))).collect()
    }

    #[test]
    fn names_are_taken_apart() {
        let names = names_in("use super::{a::B, c::{D, e}};\nlet x = crate::f::g(super::super::h);");
        let names: Vec<String> = names.iter().map(|name| name.join("::")).collect();
        assert_eq!(names, ["super::a::B", "super::c::D", "super::c::e", "crate::f::g", "super::super::h"]);
        assert_eq!(module_of("sink/mod.rs"), ["sink"]);
        assert_eq!(module_of("tables/state/memory.rs"), ["tables", "state", "memory"]);
    }

    #[test]
    fn an_import_from_below_is_found() {
        let order = order_of("pub mod batch;\nmod sql;\npub mod sink;\n");
        assert_eq!(order, ["batch", "sql", "sink"]);
        let files = [("batch", ""), ("sql", "use crate::batch::Batch;"), ("sink", "")];
        let faults = |files: &[(&str, &str)]| -> Vec<String> {
            known(files).iter().flat_map(|(module, known)| later_modules(&order, module, known)).collect()
        };
        assert_eq!(faults(&files), [""; 0]);
        let files = [("batch", "fn f() { crate::sink::g() }"), ("sql", ""), ("sink", "")];
        assert_eq!(faults(&files), ["batch uses sink, which comes later"]);
    }

    #[test]
    fn a_file_that_uses_one_above_it_is_found() {
        let files =
            [("sink", ""), ("sink::a", "use super::b;"), ("sink::b", "use super::c::d;"), ("sink::c", "")];
        assert_eq!(upward("sink", &["a", "b", "c"], &known(&files)), [""; 0]);
        assert_eq!(upward("sink", &["b", "a", "c"], &known(&files)), ["a uses b, which is above it"]);
    }

    #[test]
    fn a_cycle_of_three_files_is_found() {
        let rest = ("sink", "mod a; mod b; mod c; pub use a::A;");
        let files = [rest, ("sink::a", "use super::b;"), ("sink::b", "use super::c::C;"), ("sink::c", "")];
        assert_eq!(cycles(&known(&files)), []);
        let files = [
            rest,
            ("sink::a", "use super::b;"),
            ("sink::b", "use super::c::C;"),
            ("sink::c", "use crate::sink::a;"),
        ];
        let cycle = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(cycles(&known(&files)), [("sink".to_owned(), cycle)]);
        // What is in a folder of its own counts for the folder.
        let files =
            [rest, ("sink::a", "use super::b;"), ("sink::b", ""), ("sink::b::d", "use super::super::a;")];
        let cycle = ["a", "b"].map(str::to_owned).to_vec();
        assert_eq!(cycles(&known(&files)), [("sink".to_owned(), cycle)]);
    }
}
