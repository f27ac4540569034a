//! The tables, before the first message is read: what is missing is created or refused, and what is there is
//! compared column by column. All faults are found in one go.

use std::sync::Arc;

use arrow::datatypes::Field;

use super::ddl::is_delete;
use super::ddl::{
    DEAD_LETTERS_TABLE, FILLS_TABLE, JOB_CHARACTERS_MAX, OFFSETS_TABLE, SQL_HISTORY_TABLE,
    SQL_VERSIONS_TABLE, TALLY, WAITING, create_statements, dead_letters_table, fills_table, offsets_table,
    sql_history_table, sql_versions_table,
};
use super::order::parents_first;
use super::output::{self, Output};
use super::requirements::{
    is_own, is_same_table, kind_fault, own_key_faults, same_table_fault, table_faults, table_warnings,
    target_faults,
};
use super::{Inspection, SinkError, TableFault, Target, dead_letters, fills, offsets, versions, width};
use crate::batch::Fault;
use crate::config::CreateTables;
use crate::database::{
    Address, ColumnType, Connection, DatabaseError, Dialect, Link, Purpose, Table, TableColumn, constraints,
    quote, quote_table, table, table_names,
};
use crate::nearest::distance;

/// What is done about a table that is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Create,
    /// It will be created later.
    Accept,
    Refuse,
}

/// What is done about missing tables of the program and of state, and of outputs.
#[derive(Clone, Copy)]
struct Rights {
    own: Missing,
    outputs: Missing,
}

impl Rights {
    /// `allowed`: what is done where a table may be created.
    fn of(create_tables: CreateTables, allowed: Missing) -> Self {
        let (own, outputs) = match create_tables {
            CreateTables::All => (allowed, allowed),
            CreateTables::Own => (allowed, Missing::Refuse),
            CreateTables::None => (Missing::Refuse, Missing::Refuse),
        };
        Self { own, outputs }
    }
}

/// A table of the program.
struct OwnTable {
    name: &'static str,
    /// What is read or written.
    columns: &'static [&'static str],
    /// Those of `columns` that earlier versions did not have, with their types.
    added: &'static [(&'static str, &'static str)],
    statement: fn(Dialect) -> String,
    probes: fn(Dialect) -> Vec<String>,
}

const OWN_TABLES: [OwnTable; 5] = [
    OwnTable {
        name: OFFSETS_TABLE,
        columns: &[
            "job",
            "kafka_topic",
            "kafka_partition",
            "next_offset",
            "epoch",
            "message_time",
            "recent_messages",
            "recent_dead_letters",
            "waiting",
            "updated_at",
        ],
        added: &[("recent_messages", TALLY), ("recent_dead_letters", TALLY), ("waiting", WAITING)],
        statement: offsets_table,
        probes: offsets::probes,
    },
    OwnTable {
        name: DEAD_LETTERS_TABLE,
        columns: &[
            "id",
            "job",
            "kafka_topic",
            "kafka_partition",
            "kafka_offset",
            "kafka_timestamp",
            "kafka_key",
            "kafka_headers",
            "payload",
            "stage",
            "place",
            "reason",
            "created_at",
            "replayed_at",
        ],
        added: &[],
        statement: dead_letters_table,
        probes: dead_letters::probes,
    },
    OwnTable {
        name: SQL_VERSIONS_TABLE,
        columns: &["version", "files", "first_used_at"],
        added: &[],
        statement: sql_versions_table,
        probes: versions::version_probes,
    },
    OwnTable {
        name: SQL_HISTORY_TABLE,
        columns: &["job", "kafka_topic", "kafka_partition", "from_offset", "version"],
        added: &[],
        statement: sql_history_table,
        probes: versions::history_probes,
    },
    OwnTable {
        name: FILLS_TABLE,
        columns: &["job", "name", "fill", "started_at", "finished_at"],
        added: &[],
        statement: fills_table,
        probes: fills::probes,
    },
];

/// Connects, creates what is missing and checks everything.
pub(super) async fn connect(
    address: Address,
    job: &str,
    targets: &[Target],
    create_tables: CreateTables,
) -> Result<(Link, Vec<Output>), SinkError> {
    let rights = Rights::of(create_tables, Missing::Create);
    let mut link = Link::new(address, Purpose::Write { create: create_tables != CreateTables::None });
    let (inspection, outputs) = through(&mut link, job, targets, rights).await?;
    if !inspection.created.is_empty() {
        let (names, database) = (inspection.created.join(", "), link.address().redacted());
        tracing::info!("created in {database}, because they were not there: {names}");
    }
    match inspection.faults.is_empty() {
        true => Ok((link, outputs)),
        false => Err(SinkError::Check(inspection.faults)),
    }
}

/// Checks everything and changes nothing.
pub(super) async fn check(
    address: Address,
    job: &str,
    targets: &[Target],
    create_tables: CreateTables,
) -> Result<Inspection, DatabaseError> {
    let rights = Rights::of(create_tables, Missing::Accept);
    if create_tables == CreateTables::All && address.is_missing_file() {
        // A file that will be created has no tables yet: what remains to check are the columns' places.
        return Ok(without_database(targets, Dialect::Sqlite));
    }
    let mut link = Link::new(address, Purpose::Write { create: false });
    let (inspection, _) = through(&mut link, job, targets, rights).await?;
    Ok(inspection)
}

/// What is known of the tables if there is no database.
pub(super) fn without_database(targets: &[Target], dialect: Dialect) -> Inspection {
    let mut faults = Vec::new();
    for (index, target) in targets.iter().enumerate() {
        faults.extend(same_table_fault(&targets[..index], target));
        faults.extend(target_faults(target));
        faults.extend(create_statements(target, dialect).err().into_iter().flatten());
    }
    Inspection { faults, tables: vec![None; targets.len()], ..Inspection::of_nothing(dialect) }
}

async fn through(
    link: &mut Link,
    job: &str,
    targets: &[Target],
    rights: Rights,
) -> Result<(Inspection, Vec<Output>), DatabaseError> {
    let connection = link.ready().await?;
    let dialect = connection.dialect();
    let mut inspection = Inspection::of_nothing(dialect);
    let inspected = inspect(connection, job, targets, rights, &mut inspection).await;
    Ok((inspection, link.done(inspected)?))
}

async fn inspect(
    connection: &mut Connection,
    job: &str,
    targets: &[Target],
    rights: Rights,
    inspection: &mut Inspection,
) -> Result<Vec<Output>, DatabaseError> {
    let Inspection { dialect, faults, created, additions, misspelt, cycles, warnings, tables } = inspection;
    let dialect = *dialect;
    let page_bytes = page_bytes(connection).await?;
    if job.is_empty() || job.chars().count() > JOB_CHARACTERS_MAX {
        faults.push(TableFault::new("job", format!("a name has 1 to {JOB_CHARACTERS_MAX} characters")));
    }
    for own in &OWN_TABLES {
        let missing = rights.own;
        let statements = [(own.statement)(dialect)];
        let Some(found) = existing(connection, own.name, &statements, missing, faults, created).await? else {
            continue;
        };
        let found = extended(connection, own, found, missing).await?;
        let known = own_table_faults(own, &found, missing, dialect);
        let is_complete = own.columns.iter().all(|column| found.column(column).is_some());
        if known.is_empty() && is_complete {
            probe(connection, own.name, (own.probes)(dialect), faults).await?;
        }
        faults.extend(known);
    }
    let mut outputs = Vec::new();
    for (index, target) in targets.iter().enumerate() {
        tables.push(None);
        faults.extend(same_table_fault(&targets[..index], target));
        faults.extend(target_faults(target));
        let missing = if target.is_state() { rights.own } else { rights.outputs };
        let statements = match create_statements(target, dialect) {
            Ok(statements) => statements,
            Err(found) => {
                faults.extend(found);
                continue;
            }
        };
        let is_wide = || width::width_fault(target, dialect, page_bytes).filter(|_| dialect.is_mysql());
        if let Some(fault) = is_wide()
            && table(connection, &target.table).await?.is_none()
        {
            faults.push(fault);
            continue;
        }
        let Some(found) = existing(connection, &target.table, &statements, missing, faults, created).await?
        else {
            misspelt.extend(meant(connection, target, targets, missing, faults.last_mut()).await?);
            continue;
        };
        tables[index] = Some(found.clone());
        let added = new_columns(target, &found, dialect);
        let found = match missing {
            Missing::Refuse => found,
            Missing::Create | Missing::Accept => found.with(&added),
        };
        if missing == Missing::Accept {
            additions.extend(added.iter().map(|column| addition(target, column)));
        }
        let known = table_faults(target, &found, dialect);
        warnings.extend(table_warnings(target, &found, dialect));
        let output = match Output::new(target, &found, dialect) {
            Ok(output) if known.is_empty() => output,
            other => {
                // With other faults the server would only repeat them.
                faults.extend(other.err().into_iter().flatten().chain(known));
                continue;
            }
        };
        if missing == Missing::Create && !added.is_empty() {
            match extend(connection, target, &added).await? {
                Ok(output) => outputs.push(output),
                Err(found) => faults.extend(found),
            }
        } else {
            outputs.push(output);
        }
        // Columns that are not there yet are nothing to ask the server about.
        if let Some(output) = outputs.last().filter(|_| missing == Missing::Create || added.is_empty()) {
            probe(connection, &target.table, output.probes(), faults).await?;
        }
    }
    for output in &mut outputs {
        output.constraints = constraints(connection, &output.table).await?;
    }
    *cycles = cycle_faults(&outputs);
    Ok(outputs)
}

/// Tables whose foreign keys name each other in a cycle: no order of writing is right for all rows.
fn cycle_faults(outputs: &[Output]) -> Vec<TableFault> {
    let all: Vec<&Output> = outputs.iter().collect();
    let (_, in_cycles) = parents_first(&output::parents(&all));
    let fault = |place: usize| {
        let message =
            "its foreign keys lead back to it, so its rows are written in the order of the configuration";
        TableFault::new(&outputs[place].table, message)
            .with_hint("rows that name each other in one batch may be refused; drop one of the foreign keys")
    };
    in_cycles.into_iter().map(fault).collect()
}

/// What is wrong with a table that only some jobs have; it is created if it is missing and `create_tables` lets that be.
pub(super) async fn made_or_refused(
    connection: &mut Connection,
    name: &str,
    statement: &str,
    create_tables: CreateTables,
) -> Result<Vec<TableFault>, DatabaseError> {
    let missing = Rights::of(create_tables, Missing::Create).own;
    let (mut faults, mut created) = (Vec::new(), Vec::new());
    existing(connection, name, &[statement.to_owned()], missing, &mut faults, &mut created).await?;
    Ok(faults)
}

/// The table as it is, created where it is missing and may be. `None`: there is none, and that was said.
async fn existing(
    connection: &mut Connection,
    name: &str,
    statements: &[String],
    missing: Missing,
    faults: &mut Vec<TableFault>,
    created: &mut Vec<String>,
) -> Result<Option<Table>, DatabaseError> {
    if let Some(found) = table(connection, name).await? {
        return Ok(Some(found));
    }
    let all = || statements.join(";\n");
    match missing {
        Missing::Accept => {
            // Why: a server asks for the right to create the table when it prepares the statement; SQLite has no rights.
            let is_asked = connection.dialect().is_mysql();
            for statement in statements.iter().filter(|_| is_asked) {
                match connection.prepare(statement).await {
                    Err(error) if error.fault() == Fault::Infrastructure => return Err(error),
                    prepared => faults.extend(prepared.err().map(|error| not_created(name, &error, &all()))),
                }
            }
            Ok(None)
        }
        Missing::Refuse => {
            let message = "no such table, and `create_tables` does not let the job create it";
            faults.push(TableFault::new(name, message).with_hint(format!("create it with\n{};", all())));
            Ok(None)
        }
        Missing::Create => {
            for statement in statements {
                match connection.run(statement).await {
                    Ok(()) => {}
                    Err(error) if error.fault() == Fault::Infrastructure => return Err(error),
                    Err(error) => {
                        faults.push(not_created(name, &error, &all()));
                        return Ok(None);
                    }
                }
            }
            created.push(name.to_owned());
            table(connection, name).await
        }
    }
}

fn not_created(name: &str, error: &DatabaseError, statement: &str) -> TableFault {
    let found = error.found().clone();
    TableFault::new(
        name,
        found.reworded(|message| format!("cannot be created: {message}\nthe statement is\n{statement};")),
    )
}

/// The size of InnoDB's pages.
async fn page_bytes(connection: &mut Connection) -> Result<usize, DatabaseError> {
    const DEFAULT: usize = 16 << 10;
    if !connection.dialect().is_mysql() {
        return Ok(DEFAULT);
    }
    let rows = connection.query("SELECT @@innodb_page_size", Vec::new()).await?;
    let found = rows.first().and_then(|row| row.first()?.as_i64());
    Ok(found.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(DEFAULT))
}

/// Says which table was probably meant: in the hint of the fault of one that is refused, or else of one that will be created.
async fn meant(
    connection: &mut Connection,
    target: &Target,
    targets: &[Target],
    missing: Missing,
    fault: Option<&mut TableFault>,
) -> Result<Option<TableFault>, DatabaseError> {
    if missing == Missing::Create {
        return Ok(None);
    }
    let Some(near) = near_name(connection, target, targets).await? else { return Ok(None) };
    let meant = format!("did you mean `{near}`, which is there?");
    Ok(match fault.filter(|_| missing == Missing::Refuse) {
        Some(fault) => {
            let hint = fault.found.hint.take().unwrap_or_default();
            fault.found.hint = Some(format!("{meant} If not, {hint}"));
            None
        }
        None => Some(TableFault::new(&target.table, "no such table: it will be created").with_hint(meant)),
    })
}

/// A table that is there, and whose name is nearly that of one that is not.
async fn near_name(
    connection: &mut Connection,
    target: &Target,
    targets: &[Target],
) -> Result<Option<String>, DatabaseError> {
    const LETTERS_MAX: usize = 2;
    const NAME_LETTERS_MIN: usize = 5;
    let wanted = target.table.to_lowercase();
    let is_other = |name: &String| {
        !OWN_TABLES.iter().any(|own| is_same_table(own.name, name))
            && !targets.iter().any(|other| is_same_table(&other.table, name))
    };
    // A number at the end tells tables apart on purpose.
    let stem = |name: &str| name.trim_end_matches(|letter: char| letter.is_ascii_digit()).to_owned();
    let is_near = |name: &String| {
        let name = name.to_lowercase();
        distance(&wanted, &name) <= LETTERS_MAX && stem(&wanted) != stem(&name)
    };
    if wanted.chars().count() < NAME_LETTERS_MIN || wanted.contains('.') {
        return Ok(None);
    }
    Ok(table_names(connection).await?.into_iter().filter(is_other).find(is_near))
}

/// The table of an earlier version with the columns of this one, where they may be added.
async fn extended(
    connection: &mut Connection,
    own: &OwnTable,
    found: Table,
    missing: Missing,
) -> Result<Table, DatabaseError> {
    let absent: Vec<_> = own.added.iter().filter(|(column, _)| found.column(column).is_none()).collect();
    if missing != Missing::Create || absent.is_empty() {
        return Ok(found);
    }
    for (column, kind) in &absent {
        connection.run(&add_column(own.name, column, kind)).await?;
        tracing::info!(table = own.name, column, "added a column of this version");
    }
    Ok(table(connection, own.name).await?.unwrap_or(found))
}

/// Columns newly returned by a state table's view; NULL in existing rows.
fn new_columns(target: &Target, found: &Table, dialect: Dialect) -> Vec<TableColumn> {
    if !target.kind.is_state() {
        return Vec::new();
    }
    let is_key = |name: &String| target.mode.key().contains(name);
    let is_new = |field: &&Arc<Field>| {
        let name = field.name();
        found.column(name).is_none() && !is_own(target, name) && !is_delete(target, name) && !is_key(name)
    };
    let column = |field: &Arc<Field>| {
        // A type that no column can have is a fault of the statement that creates the table, and was said.
        let kind = ColumnType::for_arrow(field.data_type(), dialect, None).ok()?;
        Some(TableColumn {
            name: field.name().clone(),
            declared: kind.ddl(dialect),
            kind,
            is_nullable: true,
            has_default: true,
            is_numbered: false,
            is_unique_by_default: false,
            is_null_by_default: true,
            is_generated: false,
            collation: None,
        })
    };
    target.schema.fields().iter().filter(is_new).filter_map(column).collect()
}

/// The note on a column that a job will add.
fn addition(target: &Target, column: &TableColumn) -> TableFault {
    let message = format!("no such column, so a job adds it as {} NULL", column.declared);
    TableFault::of_column(&target.table, &column.name, message)
        .with_hint("with `create_tables: none` tables stay as they are, and this is an error")
}

/// Adds columns, and pairs the view with the table as it is then.
async fn extend(
    connection: &mut Connection,
    target: &Target,
    added: &[TableColumn],
) -> Result<Result<Output, Vec<TableFault>>, DatabaseError> {
    let dialect = connection.dialect();
    let quoted = quote_table(&target.table, dialect);
    for TableColumn { name, declared, .. } in added {
        connection.run(&add_column(&quoted, &quote(name, dialect), &format!("{declared} NULL"))).await?;
        tracing::info!(table = target.table, column = name, "added a column that the view now returns");
    }
    let gone = || vec![TableFault::new(&target.table, "the table is gone")];
    let found = table(connection, &target.table).await?;
    Ok(found.ok_or_else(gone).and_then(|found| Output::new(target, &found, dialect)))
}

fn add_column(table: &str, column: &str, kind: &str) -> String {
    format!("ALTER TABLE {table} ADD COLUMN {column} {kind}")
}

fn own_table_faults(own: &OwnTable, found: &Table, missing: Missing, dialect: Dialect) -> Vec<TableFault> {
    let mut faults: Vec<TableFault> = kind_fault(own.name, found, dialect).into_iter().collect();
    let is_absent = |column: &&str| found.column(column).is_none();
    let is_added = |column: &&str| own.added.iter().any(|(added, _)| added == column);
    let absent: Vec<&str> =
        own.columns.iter().copied().filter(|column| is_absent(column) && !is_added(column)).collect();
    if missing == Missing::Refuse {
        for (column, kind) in own.added.iter().filter(|(column, _)| is_absent(column)) {
            let statement = add_column(own.name, column, kind);
            let fault = TableFault::of_column(own.name, column, "this version needs the column");
            faults.push(fault.with_hint(format!("{statement};")));
        }
    }
    if !absent.is_empty() {
        let list = absent.join(", ");
        let fault = TableFault::new(own.name, format!("lacks {list}"));
        faults.push(fault.with_hint("it is not this program's table, or from another version"));
    } else if own.name == OFFSETS_TABLE {
        let key = ["job", "kafka_topic", "kafka_partition"].map(String::from);
        faults.extend(own_key_faults(own.name, &key, found, dialect));
    }
    faults
}

/// Has the server prepare statements, which finds rights that are missing.
async fn probe(
    connection: &mut Connection,
    table: &str,
    statements: Vec<String>,
    faults: &mut Vec<TableFault>,
) -> Result<(), DatabaseError> {
    for sql in statements {
        match connection.prepare(&sql).await {
            Ok(()) => {}
            Err(error) if error.fault() == Fault::Infrastructure => return Err(error),
            Err(error) => faults.push(TableFault::new(table, error.found().clone())),
        }
    }
    Ok(())
}
