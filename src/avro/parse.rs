//! A schema file's JSON becomes a [`Schema`], or one [`SchemaError`] that says where and why not.
//!
//! Nesting and size are bounded, so everything made from a schema later (programs, Arrow types) is bounded too and
//! may use plain recursion.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::json;
use super::schema::{
    Enumeration, Field, Fixed, Kind, Logical, Name, Record, Schema, SchemaError, Type, TypeId,
};
use crate::diagnostic::Finding;
use crate::nearest::{did_you_mean, nearest};

/// How deep types may be nested.
const SCHEMA_DEPTH_MAX: usize = 64;
/// How many types a schema may have once each use of a named type is counted.
const SCHEMA_TYPES_MAX: usize = 10_000;
/// The largest `fixed`, in bytes: far above what a broker lets through.
const FIXED_BYTES_MAX: u64 = 1 << 30;
/// The widest decimal Arrow has, in digits.
const DECIMAL_PRECISION_MAX: u64 = 76;

pub(super) fn parse(text: &str, file: &str) -> Result<Schema, SchemaError> {
    let json = json::read_schema(text).map_err(|error| {
        let message = format!("not JSON: {}", without_position(&error.to_string()));
        let position = Some((error.line(), error.column()));
        SchemaError { position, ..SchemaError::new(file, "", message) }
            .hint("an Avro schema is a JSON object, {\"type\": \"record\", \"name\": ..., \"fields\": [...]}")
    })?;
    let mut parser = Parser {
        file,
        types: Vec::new(),
        names: HashMap::new(),
        path: Vec::new(),
        recursion: None,
        ignored: Vec::new(),
    };
    let root = parser.parse(&json, "", 0)?;
    let mut sizes = vec![Size::Unknown; parser.types.len()];
    parser.path.clear();
    let size = parser.size(root, &mut sizes)?;
    if size > SCHEMA_TYPES_MAX {
        return Err(parser.error(format!("the schema has {size} types, expected at most {SCHEMA_TYPES_MAX}")));
    }
    let bytes_min = parser.bytes_min()?;
    let Parser { types, recursion, ignored, .. } = parser;
    Ok(Schema { file: file.to_owned(), types, bytes_min, root, recursion, ignored })
}

/// serde_json ends its messages with the position, which is placed before ours.
fn without_position(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(message, _)| message)
}

struct Parser<'a> {
    file: &'a str,
    types: Vec<Type>,
    /// Full names already defined.
    names: HashMap<String, TypeId>,
    /// The fields we are in.
    path: Vec<String>,
    /// The first type that contains itself.
    recursion: Option<SchemaError>,
    /// Logical types that are ignored, with the reasons.
    ignored: Vec<SchemaError>,
}

/// The size of a type with all it contains; `Open` while it is being added up.
#[derive(Clone, Copy)]
enum Size {
    Unknown,
    Open,
    Known { types: usize, depth: usize },
}

impl Parser<'_> {
    fn error(&self, found: impl Into<Finding>) -> SchemaError {
        SchemaError::new(self.file, &self.path.join("."), found)
    }

    fn push(&mut self, kind: Kind) -> TypeId {
        self.types.push(Type { kind, logical: None });
        TypeId((self.types.len() - 1) as u32)
    }

    fn parse(&mut self, json: &Value, namespace: &str, depth: usize) -> Result<TypeId, SchemaError> {
        if depth > SCHEMA_DEPTH_MAX {
            return Err(self.error(format!("types are nested more than {SCHEMA_DEPTH_MAX} deep")));
        }
        match json {
            Value::String(name) => self.named(name, namespace),
            Value::Array(branches) => self.union(branches, namespace, depth),
            Value::Object(object) => self.object(object, namespace, depth),
            other => Err(self.error(format!("found {other} where a type is expected"))),
        }
    }

    /// A primitive type, or a type defined before, by its name.
    fn named(&mut self, name: &str, namespace: &str) -> Result<TypeId, SchemaError> {
        if let Some(kind) = primitive(name) {
            return Ok(self.push(kind));
        }
        let full = full_name(name, namespace);
        // Why: references without a namespace are resolved in the enclosing one first; many writers leave it out
        // for types of the null namespace.
        match self.names.get(&full).or_else(|| self.names.get(name)) {
            Some(&id) => Ok(id),
            None => {
                let known = PRIMITIVES.iter().copied().chain(COMPLEX.iter().copied());
                let known = known.chain(self.names.keys().map(String::as_str));
                let error = self.error(format!("there is no type `{name}`"));
                let otherwise = || "a named type must be defined before its name is used".to_owned();
                Err(error.hint(did_you_mean(name, known).unwrap_or_else(otherwise)))
            }
        }
    }

    fn union(&mut self, branches: &[Value], namespace: &str, depth: usize) -> Result<TypeId, SchemaError> {
        if branches.is_empty() {
            return Err(self.error("a union without branches has no values"));
        }
        let mut ids = Vec::with_capacity(branches.len());
        let mut seen = HashSet::with_capacity(branches.len());
        for branch in branches {
            let id = self.parse(branch, namespace, depth + 1)?;
            let word = match &self.types[id.0 as usize].kind {
                Kind::Union(_) => return Err(self.error("a union is directly inside a union")),
                Kind::Record(Record { name, .. })
                | Kind::Enum(Enumeration { name, .. })
                | Kind::Fixed(Fixed { name, .. }) => name.full.clone(),
                kind => kind.name().to_owned(),
            };
            if let Some(word) = seen.replace(word) {
                return Err(self.error(format!("a union has two branches of type `{word}`")));
            }
            ids.push(id);
        }
        Ok(self.push(Kind::Union(ids)))
    }

    fn object(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
        depth: usize,
    ) -> Result<TypeId, SchemaError> {
        let id = match object.get("type") {
            Some(Value::String(word)) => match word.as_str() {
                "record" | "error" => {
                    self.ignore_on(object, "a record");
                    return self.record(object, namespace, depth);
                }
                "enum" => {
                    self.ignore_on(object, "an enum");
                    return self.enumeration(object, namespace);
                }
                "fixed" => self.fixed(object, namespace)?,
                "array" => {
                    self.ignore_on(object, "an array");
                    let items = object.get("items").ok_or_else(|| self.error("an array needs `items`"))?;
                    let item = self.parse(items, namespace, depth + 1)?;
                    return Ok(self.push(Kind::Array(item)));
                }
                "map" => {
                    self.ignore_on(object, "a map");
                    let values = object.get("values").ok_or_else(|| self.error("a map needs `values`"))?;
                    let value = self.parse(values, namespace, depth + 1)?;
                    return Ok(self.push(Kind::Map(value)));
                }
                name => self.named(name, namespace)?,
            },
            Some(inner) => {
                self.ignore_on(object, "a type around another");
                return self.parse(inner, namespace, depth + 1);
            }
            None => return Err(self.error("a type needs `type`")),
        };
        // A type defined elsewhere keeps the logical type of its definition.
        let is_own = |word: &str| primitive(word).is_some() || word == "fixed";
        if object.get("type").and_then(Value::as_str).is_some_and(is_own) {
            let kind = self.types[id.0 as usize].kind.clone();
            self.types[id.0 as usize].logical = match self.logical(object, &kind) {
                Ok(logical) => logical,
                Err(reason) => {
                    let hint = format!(
                        "values are read as {}; correct the logical type, or leave it out",
                        kind.name()
                    );
                    self.ignore(object, &reason, &hint);
                    None
                }
            };
        } else {
            self.ignore_on(object, "a type that is defined elsewhere");
        }
        Ok(id)
    }

    /// Notes a logical type that is not valid.
    fn ignore(&mut self, object: &Map<String, Value>, reason: &str, hint: &str) {
        let word = object.get("logicalType").map(Value::to_string).unwrap_or_default();
        let message = format!("the logical type {} is ignored: {reason}", word.replace('"', "`"));
        let error = self.error(message).hint(hint);
        self.ignored.push(error);
    }

    /// The same on what can have none.
    fn ignore_on(&mut self, object: &Map<String, Value>, what: &str) {
        if logical_type(object).is_some() {
            self.ignore(object, &format!("{what} has none"), "leave it out");
        }
    }

    fn record(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
        depth: usize,
    ) -> Result<TypeId, SchemaError> {
        let name = self.name(object, namespace, "record")?;
        let namespace = namespace_of(&name.full).to_owned();
        // The name is known inside its own fields, so that a record which contains itself is found as such.
        let id = self.push(Kind::Record(Record { name: name.clone(), fields: Vec::new() }));
        self.define(&name, id)?;
        let Some(Value::Array(entries)) = object.get("fields") else {
            return Err(self.error(format!("record `{}` needs `fields`, a list", name.full)));
        };
        let mut fields: Vec<Field> = Vec::with_capacity(entries.len());
        let mut seen = HashSet::with_capacity(entries.len());
        for entry in entries {
            let (Some(field_name), Some(field_type)) =
                (entry.get("name").and_then(Value::as_str), entry.get("type"))
            else {
                return Err(self.error(format!(
                    "record `{}`: found {entry} where a field with `name` and `type` is expected",
                    name.full
                )));
            };
            self.path.push(field_name.to_owned());
            if field_name.is_empty() {
                return Err(self.error("a field's name is empty"));
            }
            if !seen.insert(field_name) {
                return Err(self.error(format!("record `{}` has two fields of this name", name.full)));
            }
            let type_id = self.parse(field_type, &namespace, depth + 1)?;
            if let Some(entry) = entry.as_object().filter(|entry| logical_type(entry).is_some()) {
                let hint = "write it inside: `\"type\": {\"type\": \"int\", \"logicalType\": \"date\"}`";
                self.ignore(entry, "it is beside the field's `type`, not inside it", hint);
            }
            fields.push(Field {
                name: field_name.to_owned(),
                aliases: self.strings(entry.get("aliases"), "aliases")?,
                type_id,
                default: entry.get("default").cloned(),
            });
            self.path.pop();
        }
        self.types[id.0 as usize].kind = Kind::Record(Record { name, fields });
        Ok(id)
    }

    fn enumeration(&mut self, object: &Map<String, Value>, namespace: &str) -> Result<TypeId, SchemaError> {
        let name = self.name(object, namespace, "enum")?;
        let symbols = self.strings(object.get("symbols"), "symbols")?;
        if symbols.is_empty() {
            return Err(self.error(format!("enum `{}` needs `symbols`, a list", name.full)));
        }
        let mut seen = HashSet::with_capacity(symbols.len());
        if let Some(twice) = symbols.iter().find(|symbol| !seen.insert(symbol.as_str())) {
            return Err(self.error(format!("enum `{}` has the symbol `{twice}` twice", name.full)));
        }
        let default = match object.get("default") {
            None | Some(Value::Null) => None,
            Some(Value::String(symbol)) if seen.contains(symbol.as_str()) => Some(symbol.clone()),
            Some(other) => {
                let message = format!("enum `{}`: the default {other} is none of its symbols", name.full);
                return Err(self.error(message));
            }
        };
        let id = self.push(Kind::Enum(Enumeration { name: name.clone(), symbols, default }));
        self.define(&name, id)?;
        Ok(id)
    }

    fn fixed(&mut self, object: &Map<String, Value>, namespace: &str) -> Result<TypeId, SchemaError> {
        let name = self.name(object, namespace, "fixed")?;
        let size = match object.get("size").map(|size| (size, size.as_u64())) {
            Some((_, Some(size))) if size <= FIXED_BYTES_MAX => size as usize,
            found => {
                let found = found.map_or("nothing".to_owned(), |(size, _)| size.to_string());
                let message = format!(
                    "fixed `{}`: found {found} as `size`, expected 0 to {FIXED_BYTES_MAX} bytes",
                    name.full
                );
                return Err(self.error(message));
            }
        };
        let id = self.push(Kind::Fixed(Fixed { name: name.clone(), size }));
        self.define(&name, id)?;
        Ok(id)
    }

    fn name(&self, object: &Map<String, Value>, namespace: &str, what: &str) -> Result<Name, SchemaError> {
        let written = match object.get("name") {
            Some(Value::String(name)) if !name.is_empty() => name,
            _ => return Err(self.error(format!("a type {what} needs `name`"))),
        };
        let namespace = object.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
        let full = full_name(written, namespace);
        let own = namespace_of(&full);
        let aliases = self.strings(object.get("aliases"), "aliases")?;
        let aliases = aliases.iter().map(|alias| full_name(alias, own)).collect();
        Ok(Name { full, aliases })
    }

    fn define(&mut self, name: &Name, id: TypeId) -> Result<(), SchemaError> {
        if primitive(&name.full).is_some() {
            return Err(self.error(format!("`{}` is the name of a primitive type", name.full)));
        }
        match self.names.insert(name.full.clone(), id) {
            None => Ok(()),
            Some(_) => Err(self
                .error(format!("the type `{}` is defined twice", name.full))
                .hint("define it once and write just its name where it is used again")),
        }
    }

    fn strings(&self, json: Option<&Value>, what: &str) -> Result<Vec<String>, SchemaError> {
        let wrong =
            |found: &Value| self.error(format!("found {found} in `{what}`, expected a list of names"));
        match json {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(|| wrong(item))).collect()
            }
            Some(other) => Err(wrong(other)),
        }
    }

    /// The logical type, if the object names one.
    ///
    /// # Errors
    /// Why it is not valid: the specification asks to read the base type then.
    fn logical(&self, object: &Map<String, Value>, kind: &Kind) -> Result<Option<Logical>, String> {
        let Some(word) = logical_type(object) else { return Ok(None) };
        let Some(word) = word.as_str() else { return Err("its name is no text".to_owned()) };
        let fixed_size = if let Kind::Fixed(fixed) = kind { Some(fixed.size) } else { None };
        Ok(Some(match (word, kind) {
            ("decimal", Kind::Bytes | Kind::Fixed(_)) => Self::decimal(object, fixed_size)?,
            ("date", Kind::Int) => Logical::Date,
            ("time-millis", Kind::Int) => Logical::TimeMillis,
            ("time-micros", Kind::Long) => Logical::TimeMicros,
            ("timestamp-millis", Kind::Long) => Logical::TimestampMillis,
            ("timestamp-micros", Kind::Long) => Logical::TimestampMicros,
            ("timestamp-nanos", Kind::Long) => Logical::TimestampNanos,
            ("local-timestamp-millis", Kind::Long) => Logical::LocalTimestampMillis,
            ("local-timestamp-micros", Kind::Long) => Logical::LocalTimestampMicros,
            ("local-timestamp-nanos", Kind::Long) => Logical::LocalTimestampNanos,
            ("uuid", Kind::String) => Logical::Uuid,
            ("uuid", Kind::Fixed(_)) if fixed_size == Some(16) => Logical::Uuid,
            ("duration", Kind::Fixed(_)) if fixed_size == Some(12) => Logical::Duration,
            ("big-decimal", Kind::Bytes) => {
                return Err("each of its values has a scale of its own, and a column has one".to_owned());
            }
            (word, kind) => {
                let base = LOGICAL_BASES.iter().find(|(known, _)| *known == word);
                let size = fixed_size.map_or(String::new(), |size| format!(" of {size} bytes"));
                return Err(match base {
                    Some((_, base)) => format!("its base type is {base}, found {}{size}", kind.name()),
                    None => match nearest(word, LOGICAL_BASES.map(|(known, _)| known)) {
                        Some(near) => format!("there is none of this name (did you mean `{near}`?)"),
                        None => "there is none of this name".to_owned(),
                    },
                });
            }
        }))
    }

    fn decimal(object: &Map<String, Value>, size: Option<usize>) -> Result<Logical, String> {
        let number = |key: &str, default: Option<u64>| match object.get(key) {
            None => default.ok_or_else(|| format!("a decimal needs `{key}`")),
            Some(value) => value
                .as_u64()
                .ok_or_else(|| format!("found {value} as `{key}` of a decimal, expected a count")),
        };
        let precision = number("precision", None)?;
        let scale = number("scale", Some(0))?;
        if precision == 0 || precision > DECIMAL_PRECISION_MAX {
            return Err(format!(
                "found a decimal of precision {precision}, expected 1 to {DECIMAL_PRECISION_MAX}"
            ));
        }
        if scale > precision {
            return Err(format!(
                "found a decimal of scale {scale} and precision {precision}, expected a scale up to the precision"
            ));
        }
        if let Some(size) = size {
            let digits = fixed_digits_max(size);
            if precision > digits {
                return Err(format!(
                    "found a decimal of precision {precision} on {size} bytes, which hold {digits} digits"
                ));
            }
        }
        Ok(Logical::Decimal { precision: precision as u8, scale: scale as u8 })
    }

    /// The fewest bytes that a value of each type takes.
    ///
    /// # Errors
    /// A record contains itself in every value: no value of it has an end.
    fn bytes_min(&self) -> Result<Vec<usize>, SchemaError> {
        let mut known: Vec<Option<usize>> = vec![None; self.types.len()];
        // Each round finds at least one, or there are none left to find. A record is before the types defined in it.
        loop {
            let mut is_over = true;
            for place in (0..self.types.len()).rev() {
                if known[place].is_none() {
                    known[place] = bytes_min_of(&self.types[place].kind, &known);
                    is_over &= known[place].is_none();
                }
            }
            if is_over {
                break;
            }
        }
        let endless = self.types.iter().zip(&known).find_map(|(ty, known)| match &ty.kind {
            Kind::Record(record) if known.is_none() => Some(&record.name.full),
            _ => None,
        });
        match endless {
            None => Ok(known.into_iter().flatten().collect()),
            Some(name) => Err(SchemaError::new(
                self.file,
                "",
                format!("`{name}` contains itself in every value, so no value of it has an end"),
            )
            .hint("make the field nullable: `[\"null\", ...]`")),
        }
    }

    /// Adds up a type with all it contains, and finds a type that contains itself.
    fn size(&mut self, id: TypeId, sizes: &mut [Size]) -> Result<usize, SchemaError> {
        Ok(self.size_and_depth(id, sizes)?.0)
    }

    fn size_and_depth(&mut self, id: TypeId, sizes: &mut [Size]) -> Result<(usize, usize), SchemaError> {
        let place = id.0 as usize;
        match sizes[place] {
            Size::Known { types, depth } => return Ok((types, depth)),
            Size::Open => {
                let name = match &self.types[place].kind {
                    Kind::Record(record) => record.name.full.clone(),
                    other => other.name().to_owned(),
                };
                let error = self
                    .error(format!("`{name}` contains itself; a table's columns cannot"))
                    .hint("leave the field out of this schema, and name the full schema as the writer's");
                self.recursion.get_or_insert(error);
                return Ok((1, 0));
            }
            Size::Unknown => sizes[place] = Size::Open,
        }
        let children: Vec<(Option<String>, TypeId)> = match &self.types[place].kind {
            Kind::Array(child) | Kind::Map(child) => vec![(None, *child)],
            Kind::Union(branches) => branches.iter().map(|branch| (None, *branch)).collect(),
            Kind::Record(record) => {
                record.fields.iter().map(|field| (Some(field.name.clone()), field.type_id)).collect()
            }
            _ => Vec::new(),
        };
        let (mut types, mut depth) = (1_usize, 0);
        for (name, child) in children {
            let is_field = name.is_some();
            self.path.extend(name);
            let (child_types, child_depth) = self.size_and_depth(child, sizes)?;
            if is_field {
                self.path.pop();
            }
            types = types.saturating_add(child_types);
            depth = depth.max(child_depth + 1);
        }
        if depth > SCHEMA_DEPTH_MAX {
            return Err(self.error(format!("types are nested more than {SCHEMA_DEPTH_MAX} deep")));
        }
        sizes[place] = Size::Known { types, depth };
        Ok((types, depth))
    }
}

/// The fewest bytes that a value of a type takes, by those of all types; `None` if that of a field is not known yet.
fn bytes_min_of(kind: &Kind, known: &[Option<usize>]) -> Option<usize> {
    Some(match kind {
        Kind::Null => 0,
        Kind::Float => 4,
        Kind::Double => 8,
        Kind::Fixed(fixed) => fixed.size,
        Kind::Record(record) => {
            let mut sum: usize = 0;
            for field in &record.fields {
                sum = sum.saturating_add(known[field.type_id.0 as usize]?);
            }
            sum
        }
        _ => 1,
    })
}

/// What each logical type may be on.
const LOGICAL_BASES: [(&str, &str); 13] = [
    ("decimal", "bytes or fixed"),
    ("big-decimal", "bytes"),
    ("date", "int"),
    ("time-millis", "int"),
    ("time-micros", "long"),
    ("timestamp-millis", "long"),
    ("timestamp-micros", "long"),
    ("timestamp-nanos", "long"),
    ("local-timestamp-millis", "long"),
    ("local-timestamp-micros", "long"),
    ("local-timestamp-nanos", "long"),
    ("uuid", "string or a fixed of 16 bytes"),
    ("duration", "a fixed of 12 bytes"),
];

const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
const COMPLEX: [&str; 5] = ["record", "enum", "array", "map", "fixed"];

fn primitive(name: &str) -> Option<Kind> {
    Some(match name {
        "null" => Kind::Null,
        "boolean" => Kind::Boolean,
        "int" => Kind::Int,
        "long" => Kind::Long,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "bytes" => Kind::Bytes,
        "string" => Kind::String,
        _ => return None,
    })
}

/// What an object names as its logical type. Some generators write null for an attribute that a type does not have.
fn logical_type(object: &Map<String, Value>) -> Option<&Value> {
    object.get("logicalType").filter(|word| !word.is_null())
}

/// A name of a type with the namespace around it, unless it has its own.
pub(crate) fn full_name(name: &str, namespace: &str) -> String {
    if namespace.is_empty() || name.contains('.') { name.to_owned() } else { format!("{namespace}.{name}") }
}

/// The namespace in the full name of a type.
pub(crate) fn namespace_of(full: &str) -> &str {
    full.rsplit_once('.').map_or("", |(namespace, _)| namespace)
}

/// How many digits `size` bytes of two's complement always hold: floor(log10(2^(8 size - 1) - 1)).
fn fixed_digits_max(size: usize) -> u64 {
    if size == 0 { 0 } else { ((8.0 * size as f64 - 1.0) * std::f64::consts::LOG10_2).floor() as u64 }
}
