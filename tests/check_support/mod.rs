//! Runs `check` on a project in a folder of its own.
#![allow(dead_code)] // Why: each test file uses its part.

use std::path::Path;
use std::process::Command;

pub const MOVEMENT: &str = r#"{"type": "record", "name": "Movement", "fields": [
  {"name": "customer", "type": "int"},
  {"name": "agency", "type": "string"},
  {"name": "value", "type": "double"},
  {"name": "kind", "type": "int"},
  {"name": "is_online", "type": "boolean"}
]}"#;

pub struct Checked {
    pub folder: tempfile::TempDir,
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Checks without servers.
pub fn check(files: &[(&str, &str)]) -> Checked {
    check_with(files, &["--offline"])
}

/// `files` by their path; the configuration gets its three keys and the database put before it.
pub fn check_with(files: &[(&str, &str)], arguments: &[&str]) -> Checked {
    check_in(tempfile::tempdir().expect("a folder"), files, arguments)
}

pub fn check_in(folder: tempfile::TempDir, files: &[(&str, &str)], arguments: &[&str]) -> Checked {
    let by_default = [("config.yaml", ""), ("schema.avsc", MOVEMENT)];
    for (path, text) in by_default.iter().chain(files) {
        let head = match *path {
            "config.yaml" if !text.contains("database:") => "database: sqlite://out.db\n",
            _ => "",
        };
        let keys = match *path {
            "config.yaml" => "kafka_server: 127.0.0.1:1\nkafka_topic: t\navro_schema: schema.avsc\n",
            _ => "",
        };
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        std::fs::write(path, format!("{keys}{head}{text}")).expect("written");
    }
    let (code, out, err) = run(&folder.path().join("config.yaml"), arguments);
    let base = format!("{}/", folder.path().display());
    Checked { code, out: out.replace(&base, ""), err: err.replace(&base, ""), folder }
}

/// The exit code, stdout and stderr.
pub fn run(config: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_realtime-processor"));
    let done = command.arg("--config").arg(config).arg("check").args(arguments).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (done.status.code().expect("a code"), text(done.stdout), text(done.stderr))
}
