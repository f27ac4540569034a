//! The files of a new project: their texts, and how they are written, all or none.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use arrow::datatypes::FieldRef;

use super::settings::{CONFIG, Settings};
use super::values;
use super::view::FirstView;
use crate::avro::{Record, Schema};
use crate::cli::failure::Failure;
use crate::cli::test;
use crate::config::Config;
use crate::decode::Decoder;
use crate::diagnostic::{Finding, shown};
use crate::testing::Tests;
use crate::yaml;

/// What a project is made of.
pub(super) struct Project<'a> {
    pub dir: &'a Path,
    pub settings: &'a Settings,
    /// The text of the schema's file.
    pub schema: &'a str,
}

/// What was written. It goes with this, unless it is kept: half a project is none.
#[derive(Default)]
pub(super) struct Written {
    files: Vec<PathBuf>,
    /// Each after the folder that it is in.
    folders: Vec<PathBuf>,
}

impl Written {
    pub fn keep(mut self) {
        std::mem::take(&mut self.files);
        std::mem::take(&mut self.folders);
    }

    fn put(&mut self, path: &Path, text: &str) -> io::Result<()> {
        let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
        let missing = path.ancestors().skip(1).take_while(is_missing);
        let missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
        if let Some(folder) = missing.first() {
            std::fs::create_dir_all(folder)?;
        }
        self.folders.extend(missing.into_iter().rev());
        let mut file = File::create_new(path)?;
        self.files.push(path.to_owned());
        file.write_all(text.as_bytes())
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // Why ignored: the error that led here is the one to tell. A folder in which somebody has put a file stays.
        for path in &self.files {
            let _ = std::fs::remove_file(path);
        }
        for folder in self.folders.iter().rev() {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

impl Project<'_> {
    /// Writes all files, and has the test's expected rows computed. Returns the files and the project's decoder.
    ///
    /// # Errors
    /// A file is there already, the schema cannot be columns, or a file cannot be written: nothing is left then.
    pub async fn write(&self) -> Result<(Written, Config, Decoder), Failure> {
        let Self { settings, schema: text, .. } = self;
        self.refuse_what_is_there()?;
        let schema = Schema::parse(text, &shown(&self.dir.join(settings.schema_file())))?;
        let record = schema.root_record()?;
        let mut written = Written::default();
        if !self.has_schema() {
            self.put(&settings.schema_file(), text, &mut written)?;
        }
        self.put(CONFIG, &settings.text(), &mut written)?;
        let config = settings.config(self.dir)?;
        let decoder = Decoder::new(&config.avro)?;
        let batch = decoder.schema();
        let first = first_files(settings, &schema, record, batch.fields()).map_err(Failure::failed)?;
        self.put(&settings.view_file(), &first.view, &mut written)?;
        self.put(&settings.test_file(), &first.test, &mut written)?;
        expect(&config).await?;
        Ok((written, config, decoder))
    }

    /// # Errors
    /// A file of a project that is there already.
    fn refuse_what_is_there(&self) -> Result<(), Failure> {
        let settings = self.settings;
        let schema = (!self.has_schema()).then(|| settings.schema_file());
        let own = [CONFIG.to_owned(), settings.view_file(), settings.test_file()].into_iter().chain(schema);
        let own = own.map(|path| self.dir.join(path)).filter(|path| path.exists());
        // Views and tests that are there would be part of the project.
        let others = files(&self.dir.join("sql"), &["sql"]);
        let others = others.into_iter().chain(files(&self.dir.join("sql/tests"), &["yaml", "yml"]));
        let mut there: Vec<String> = own.chain(others).map(|path| shown(&path)).collect();
        there.sort();
        there.dedup();
        if there.is_empty() {
            return Ok(());
        }
        let are = if there.len() == 1 { "exists" } else { "exist" };
        let found = Finding::new(format!("{} {are} already; nothing is written", there.join(", ")));
        let hint = format!("`--dir` names another folder for the project, such as `--dir {}`", settings.view);
        Err(Failure::failed(found.with_hint(hint)))
    }

    /// Whether the schema's file is there already, as it would be written.
    fn has_schema(&self) -> bool {
        let there = std::fs::read_to_string(self.dir.join(self.settings.schema_file()));
        there.is_ok_and(|text| text == self.schema)
    }

    fn put(&self, path: &str, text: &str, written: &mut Written) -> Result<(), Failure> {
        let path = self.dir.join(path);
        let put = written.put(&path, text);
        put.map_err(|error| Failure::failed(format!("{} cannot be written: {error}", shown(&path))))
    }
}

/// The files of a folder with one of these endings; none if there is no such folder.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_meant = |path: &PathBuf| {
        path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| endings.contains(&ending))
    };
    entries.filter(is_meant).collect()
}

/// The texts of the first view and of its test, whose rows are not computed yet.
struct First {
    view: String,
    test: String,
}

fn first_files(
    settings: &Settings,
    schema: &Schema,
    record: &Record,
    fields: &[FieldRef],
) -> Result<First, Finding> {
    let view = FirstView::of(schema, record, fields, &settings.schema_file());
    let message = values::message(schema, record)?;
    let mut test = "# A message with a value in each of its fields, and the row that the first view makes of it.\n\
                    # If you change the view, change the row, or let `realtime-processor test --update` write it.\n\
                    - name: each field of a message\n  messages:\n"
        .to_owned();
    for (place, (name, value)) in message.iter().enumerate() {
        let dash = if place == 0 { "-" } else { " " };
        test += &format!("    {dash} {}: {value}\n", yaml::quoted(name));
    }
    let nothing: Vec<(String, String)> =
        view.columns.into_iter().map(|name| (name, "null".to_owned())).collect();
    test +=
        &format!("  expect:\n    {}:\n      - {}\n", yaml::quoted(&settings.view), values::mapping(&nothing));
    Ok(First { view: view.sql, test })
}

/// Writes the rows that the views return into the tests of a project, as `test --update` does, and runs them.
///
/// # Errors
/// The project is not sound.
async fn expect(config: &Config) -> Result<(), Failure> {
    let mut tests = Tests::prepare(config, &[]).await.map_err(test::refused)?;
    let report = tests.run().await;
    tests.updates(&report).iter().try_for_each(test::write)?;
    let report = Tests::prepare(config, &[]).await.map_err(test::refused)?.run().await;
    match report.failed() {
        0 => Ok(()),
        _ => Err(Failure::told(report.render(false))),
    }
}
