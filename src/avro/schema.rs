//! The model of an Avro schema: a table of types that name each other by index, as read from one file.
//!
//! A [`Schema`] that exists was checked: names are resolved, unions are well formed, logical types fit their base
//! types, and its size is bounded. A type may contain itself, as only what is written can ([`Schema::check_finite`]).
//! Names are taken as written, accents and capitals included, although Avro's own grammar knows only ASCII.

use std::fmt;
use std::path::Path;

use serde_json::Value;

use super::{canonical, parse};
use crate::batch::Fault;
use crate::diagnostic::{Code, Diagnostic, Finding, Place, shown};

/// The place of a type in its [`Schema`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeId(pub(super) u32);

/// One Avro schema, as read from one file.
#[derive(Clone, Debug)]
pub struct Schema {
    pub(super) file: String,
    pub(super) types: Vec<Type>,
    /// The fewest bytes that a value of each type takes.
    pub(super) bytes_min: Vec<usize>,
    pub(super) root: TypeId,
    /// The first type that contains itself.
    pub(super) recursion: Option<SchemaError>,
    /// What of the file is ignored, as the specification asks.
    pub(super) ignored: Vec<SchemaError>,
}

#[derive(Clone, Debug)]
pub struct Type {
    pub kind: Kind,
    /// Only where it fits `kind`; others are ignored, as the specification asks.
    pub logical: Option<Logical>,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(Fixed),
    Enum(Enumeration),
    Array(TypeId),
    Map(TypeId),
    Record(Record),
    Union(Vec<TypeId>),
}

#[derive(Clone, Debug)]
pub struct Fixed {
    pub name: Name,
    /// Bytes.
    pub size: usize,
}

#[derive(Clone, Debug)]
pub struct Enumeration {
    pub name: Name,
    pub symbols: Vec<String>,
    /// What a reader puts in place of a symbol it does not know.
    pub default: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Record {
    pub name: Name,
    pub fields: Vec<Field>,
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub aliases: Vec<String>,
    pub type_id: TypeId,
    /// As written in the schema; checked when it is needed.
    pub default: Option<Value>,
}

/// The name of a record, an enum or a fixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// With its namespace, `com.bank.Customer`.
    pub full: String,
    /// Full names too.
    pub aliases: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logical {
    /// `1 <= precision <= 76`, `0 <= scale <= precision`.
    Decimal {
        precision: u8,
        scale: u8,
    },
    Date,
    TimeMillis,
    TimeMicros,
    TimestampMillis,
    TimestampMicros,
    TimestampNanos,
    LocalTimestampMillis,
    LocalTimestampMicros,
    LocalTimestampNanos,
    Uuid,
    Duration,
}

/// What a union means to someone who reads columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnionForm {
    /// One branch: the branch itself.
    Single(TypeId),
    /// Null and one other type; `null` is null's index, 0 or 1.
    Nullable { null: usize, value: TypeId },
    /// More than one type besides null: the indices of those, in order.
    General { has_null: bool, members: Vec<usize> },
}

impl Schema {
    /// Reads and checks a schema file.
    pub fn read(file: &Path) -> Result<Self, SchemaError> {
        let shown = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| {
            SchemaError::new(&shown, "", format!("cannot be read: {error}"))
                .hint("paths in the configuration are relative to the configuration file")
        })?;
        Self::parse(&text, &shown)
    }

    /// Checks a schema given as text; `file` is the name that errors call it by.
    pub fn parse(text: &str, file: &str) -> Result<Self, SchemaError> {
        parse::parse(text, file)
    }

    /// The name errors call this schema by.
    pub fn file(&self) -> &str {
        &self.file
    }

    pub fn root(&self) -> TypeId {
        self.root
    }

    pub fn ids(&self) -> impl Iterator<Item = TypeId> {
        (0..self.types.len() as u32).map(TypeId)
    }

    /// Whether the types can be columns.
    ///
    /// # Errors
    /// A type that contains itself.
    pub fn check_finite(&self) -> Result<(), SchemaError> {
        self.recursion.clone().map_or(Ok(()), Err)
    }

    /// Logical types that are ignored because they are not valid: values are read as their base types. For warnings.
    pub fn ignored(&self) -> &[SchemaError] {
        &self.ignored
    }

    pub fn get(&self, id: TypeId) -> &Type {
        &self.types[id.0 as usize]
    }

    pub fn kind(&self, id: TypeId) -> &Kind {
        &self.get(id).kind
    }

    /// The record that messages are.
    ///
    /// # Errors
    /// The schema is of another type.
    pub fn root_record(&self) -> Result<&Record, SchemaError> {
        match self.kind(self.root) {
            Kind::Record(record) => Ok(record),
            other => Err(SchemaError::new(
                &self.file,
                "",
                format!("the schema is of type {}, expected a record", other.name()),
            )
            .hint("a message must be a record, whose fields become columns")),
        }
    }

    /// How a reader of columns sees a union of these branches.
    pub fn union_form(&self, branches: &[TypeId]) -> UnionForm {
        let null = branches.iter().position(|&branch| matches!(self.kind(branch), Kind::Null));
        match (branches, null) {
            (&[only], _) => UnionForm::Single(only),
            (&[first, second], Some(null)) => {
                UnionForm::Nullable { null, value: if null == 0 { second } else { first } }
            }
            _ => UnionForm::General {
                has_null: null.is_some(),
                members: (0..branches.len()).filter(|&index| Some(index) != null).collect(),
            },
        }
    }

    /// The names Avro calls a union's branches by: the type's, and for named types the short name, or the full one
    /// where two short names are equal.
    pub fn branch_names(&self, branches: &[TypeId]) -> Vec<String> {
        let short: Vec<&str> = branches
            .iter()
            .map(|&branch| match self.name(branch) {
                Some(name) => name.short(),
                None => self.kind(branch).name(),
            })
            .collect();
        let is_unique = |name: &str| short.iter().filter(|other| **other == name).count() == 1;
        branches
            .iter()
            .zip(&short)
            .map(|(&branch, short)| match self.name(branch) {
                Some(name) if !is_unique(short) => name.full.clone(),
                _ => (*short).to_owned(),
            })
            .collect()
    }

    /// The name of a named type.
    pub fn name(&self, id: TypeId) -> Option<&Name> {
        match self.kind(id) {
            Kind::Record(record) => Some(&record.name),
            Kind::Enum(enumeration) => Some(&enumeration.name),
            Kind::Fixed(fixed) => Some(&fixed.name),
            _ => None,
        }
    }

    /// The fewest bytes a value of this type takes. Zero means that every value takes none.
    pub fn bytes_min(&self, id: TypeId) -> usize {
        self.bytes_min[id.0 as usize]
    }

    /// The schema in Avro's Parsing Canonical Form.
    pub fn canonical_form(&self) -> String {
        canonical::canonical_form(self)
    }

    /// The CRC-64-AVRO ("Rabin") fingerprint of the canonical form: what single-object encoding names schemas by.
    pub fn fingerprint(&self) -> u64 {
        canonical::rabin(self.canonical_form().as_bytes())
    }
}

impl Kind {
    /// The word Avro calls the type by.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
            Self::Fixed(_) => "fixed",
            Self::Enum(_) => "enum",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Record(_) => "record",
            Self::Union(_) => "union",
        }
    }
}

impl Name {
    /// Without the namespace.
    pub fn short(&self) -> &str {
        self.full.rsplit('.').next().unwrap_or(&self.full)
    }
}

impl Logical {
    /// The word Avro calls it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decimal { .. } => "decimal",
            Self::Date => "date",
            Self::TimeMillis => "time-millis",
            Self::TimeMicros => "time-micros",
            Self::TimestampMillis => "timestamp-millis",
            Self::TimestampMicros => "timestamp-micros",
            Self::TimestampNanos => "timestamp-nanos",
            Self::LocalTimestampMillis => "local-timestamp-millis",
            Self::LocalTimestampMicros => "local-timestamp-micros",
            Self::LocalTimestampNanos => "local-timestamp-nanos",
            Self::Uuid => "uuid",
            Self::Duration => "duration",
        }
    }
}

/// A schema that cannot be used: which file, where in it, what was found, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    pub file: String,
    /// Line and column, from 1, where the file is no JSON.
    pub position: Option<(usize, usize)>,
    /// The field, as `address.street`; empty for the schema as a whole.
    pub place: String,
    /// Without file and place.
    pub what: Finding,
}

impl SchemaError {
    pub(crate) fn new(file: &str, place: &str, found: impl Into<Finding>) -> Self {
        Self { file: file.to_owned(), position: None, place: place.to_owned(), what: found.into() }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { what: self.what.with_hint(hint), ..self }
    }

    /// What is wrong and in which field, without the file.
    fn of_field(&self) -> Finding {
        self.what.clone().within_field(&self.place)
    }

    /// What is wrong and where, and what to do about it.
    pub fn found(&self) -> Finding {
        let Self { file, .. } = self;
        match self.position {
            Some((line, column)) => self.of_field().within(format!("{file}:{line}:{column}")),
            None => self.of_field().within(file),
        }
    }

    /// A schema is part of the configuration: no message and no server is to blame.
    pub fn fault(&self) -> Fault {
        Fault::Other
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.found().fmt(f)
    }
}

/// With its line, which is looked for in the file: the first with the field's name in quotes.
impl From<SchemaError> for Diagnostic {
    fn from(error: SchemaError) -> Self {
        let found = error.of_field();
        let SchemaError { file, position, place: field, .. } = error;
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let file = shown(Path::new(&file));
        let name = field.rsplit('.').next().unwrap_or_default().trim_end_matches("[]");
        let quoted = format!("\"{name}\"");
        let line = text.lines().position(|line| !name.is_empty() && line.contains(&quoted));
        let place = match (position, line) {
            (Some((line, column)), _) => Place::at(&file, &text, line, column, 1),
            (None, Some(line)) => Place::of_word(&file, &text, line + 1, &[&quoted]),
            (None, None) => Place::of_file(file),
        };
        Self::error(Code::Schema, place, found)
    }
}

impl std::error::Error for SchemaError {}
