//! A schema with everything that it refers to, as one text: the definition of a type that another schema holds is put in
//! the place of the first use of its name. So one parser, one file and one row of a table are enough for a schema.
//!
//! The registry's answers decide how much there is to do, so depth and size are bounded.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::avro::{full_name, json, namespace_of};

/// How deep a schema may be nested; the parser of schemas takes no more.
const DEPTH_MAX: usize = 128;
/// Types of one schema with all that it refers to.
const TYPES_MAX: usize = 20_000;

const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];

/// The text of `schema` with the types that `others` define.
///
/// # Errors
/// A text that is no JSON, or a schema that is too large.
pub(super) fn inline(schema: &str, others: &[String]) -> Result<String, String> {
    if others.is_empty() {
        return Ok(schema.to_owned());
    }
    let mut inliner = Inliner::default();
    for other in others {
        inliner.collect(&parsed(other)?, "", 0)?;
    }
    inliner.types = 0;
    let whole = inliner.rewrite(&parsed(schema)?, "", 0)?;
    Ok(whole.to_string())
}

fn parsed(schema: &str) -> Result<Value, String> {
    json::read_schema(schema).map_err(|error| format!("a schema that is not JSON: {error}"))
}

#[derive(Default)]
struct Inliner {
    /// The definitions of the other schemas by their full names, each with its namespace.
    definitions: HashMap<String, Value>,
    /// Full names that are defined in the text so far.
    defined: HashSet<String>,
    /// Types that were looked at.
    types: usize,
}

impl Inliner {
    fn count(&mut self, depth: usize) -> Result<(), String> {
        self.types += 1;
        if depth > DEPTH_MAX || self.types > TYPES_MAX {
            return Err(format!(
                "a schema of more than {TYPES_MAX} types, or nested more than {DEPTH_MAX} deep"
            ));
        }
        Ok(())
    }

    /// Notes every definition of a named type.
    fn collect(&mut self, json: &Value, namespace: &str, depth: usize) -> Result<(), String> {
        self.count(depth)?;
        match json {
            Value::Array(branches) => {
                branches.iter().try_for_each(|branch| self.collect(branch, namespace, depth + 1))
            }
            Value::Object(object) => {
                let Some(name) = defined_name(object, namespace) else {
                    return inner_types(object)
                        .try_for_each(|inner| self.collect(inner, namespace, depth + 1));
                };
                let inside = namespace_of(&name).to_owned();
                let mut definition = object.clone();
                // Why: where it is put it would take the namespace around it.
                definition.insert("name".to_owned(), Value::from(name.rsplit('.').next().unwrap_or(&name)));
                definition.insert("namespace".to_owned(), Value::from(inside.as_str()));
                self.definitions.entry(name).or_insert(Value::Object(definition));
                inner_types(object).try_for_each(|inner| self.collect(inner, &inside, depth + 1))
            }
            _ => Ok(()),
        }
    }

    /// The same type, in which names that are defined elsewhere are defined where they are used first.
    fn rewrite(&mut self, json: &Value, namespace: &str, depth: usize) -> Result<Value, String> {
        self.count(depth)?;
        Ok(match json {
            Value::String(name) => match self.definition_of(name, namespace) {
                Some(definition) => self.rewrite(&definition, "", depth + 1)?,
                None => json.clone(),
            },
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.rewrite(branch, namespace, depth + 1));
                Value::Array(branches.collect::<Result<_, _>>()?)
            }
            Value::Object(object) => {
                let name = defined_name(object, namespace);
                let inside = name.as_deref().map_or(namespace, namespace_of).to_owned();
                self.defined.extend(name);
                let mut rewritten = object.clone();
                for key in ["type", "items", "values"] {
                    if let Some(inner) = object.get(key) {
                        rewritten.insert(key.to_owned(), self.rewrite(inner, &inside, depth + 1)?);
                    }
                }
                if let Some(Value::Array(fields)) = object.get("fields") {
                    let fields = fields.iter().map(|field| self.rewrite_field(field, &inside, depth + 1));
                    rewritten.insert("fields".to_owned(), Value::Array(fields.collect::<Result<_, _>>()?));
                }
                Value::Object(rewritten)
            }
            other => other.clone(),
        })
    }

    fn rewrite_field(&mut self, field: &Value, namespace: &str, depth: usize) -> Result<Value, String> {
        let (Value::Object(object), Some(of)) = (field, field.get("type")) else { return Ok(field.clone()) };
        let mut rewritten = object.clone();
        rewritten.insert("type".to_owned(), self.rewrite(of, namespace, depth)?);
        Ok(Value::Object(rewritten))
    }

    /// The definition to put in the place of a name: none where the text so far defines it.
    fn definition_of(&self, name: &str, namespace: &str) -> Option<Value> {
        if PRIMITIVES.contains(&name) {
            return None;
        }
        let full = full_name(name, namespace);
        if self.defined.contains(&full) {
            return None;
        }
        // A name without a namespace may be one of no namespace.
        let others = [full.as_str(), name].into_iter().filter(|name| !self.defined.contains(*name));
        others.filter_map(|name| self.definitions.get(name)).next().cloned()
    }
}

/// The types that stand directly in another.
fn inner_types(object: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let direct = ["type", "items", "values"].into_iter().filter_map(|key| object.get(key));
    let fields = object.get("fields").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    direct.chain(fields.iter().filter_map(|field| field.get("type")))
}

/// The full name that an object defines, if it defines one.
fn defined_name(object: &Map<String, Value>, namespace: &str) -> Option<String> {
    let kind = object.get("type")?.as_str()?;
    if !matches!(kind, "record" | "error" | "enum" | "fixed") {
        return None;
    }
    let namespace = object.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
    Some(full_name(object.get("name")?.as_str()?, namespace))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::Schema;

    fn canonical(schema: &str, others: &[&str]) -> String {
        let others: Vec<String> = others.iter().map(|other| (*other).to_owned()).collect();
        let whole = inline(schema, &others).unwrap();
        Schema::parse(&whole, "whole").unwrap_or_else(|error| panic!("{error}: {whole}")).canonical_form()
    }

    #[test]
    fn a_name_is_defined_where_it_is_used_first() {
        let money = r#"{"type": "record", "name": "Money", "namespace": "bank", "fields": [
            {"name": "cents", "type": "long"}]}"#;
        let order = r#"{"type": "record", "name": "Order", "namespace": "bank", "fields": [
            {"name": "price", "type": ["null", "Money"]}, {"name": "fee", "type": "bank.Money"}]}"#;
        let expected = r#"{"type": "record", "name": "bank.Order", "fields": [
            {"name": "price", "type": ["null", {"type": "record", "name": "bank.Money", "fields": [
                {"name": "cents", "type": "long"}]}]},
            {"name": "fee", "type": "bank.Money"}]}"#;
        assert_eq!(canonical(order, &[money]), canonical(expected, &[]));
    }

    #[test]
    fn diamonds_and_types_of_no_namespace_are_found() {
        let leaf = r#"{"type": "enum", "name": "Unit", "symbols": ["EUR", "BRL"]}"#;
        let left = r#"{"type": "record", "name": "a.Left", "fields": [{"name": "unit", "type": "Unit"}]}"#;
        let right = r#"{"type": "record", "name": "a.Right", "fields": [{"name": "unit", "type": "Unit"},
            {"name": "inner", "type": {"type": "fixed", "name": "Hash", "size": 4}}]}"#;
        let top = r#"{"type": "record", "name": "b.Top", "fields": [
            {"name": "left", "type": "a.Left"}, {"name": "right", "type": {"type": "array", "items": "a.Right"}},
            {"name": "hash", "type": {"type": "map", "values": "a.Hash"}}]}"#;
        let whole = canonical(top, &[leaf, left, right]);
        assert_eq!(whole.matches("\"symbols\"").count(), 1, "{whole}");
        assert_eq!(whole.matches("\"fixed\"").count(), 1, "{whole}");
        // A type inside another may be used where the one around it is not.
        let alone = r#"{"type": "record", "name": "b.Top", "fields": [{"name": "hash", "type": "a.Hash"}]}"#;
        assert!(canonical(alone, &[leaf, left, right]).contains("\"a.Hash\""));
    }

    #[test]
    fn types_that_name_each_other_end() {
        let node =
            r#"{"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "List"]}]}"#;
        let list =
            r#"{"type": "record", "name": "List", "fields": [{"name": "first", "type": ["null", "Node"]}]}"#;
        let whole = canonical(list, &[node, list]);
        assert_eq!(whole.matches("\"fields\"").count(), 2, "{whole}");
    }

    #[test]
    fn what_is_too_deep_is_refused() {
        let deep = format!("{}\"int\"{}", r#"{"type":"array","items":"#.repeat(110), "}".repeat(110));
        let wraps = |count: usize| {
            let mut text =
                r#"{"type": "record", "name": "R0", "fields": [{"name": "x", "type": "int"}]}"#.to_owned();
            let mut all = vec![text.clone()];
            for n in 1..count {
                text = format!(
                    r#"{{"type": "record", "name": "R{n}", "fields": [{{"name": "x", "type": "R{}"}}]}}"#,
                    n - 1
                );
                all.push(text.clone());
            }
            (text, all)
        };
        let (top, all) = wraps(10);
        assert!(inline(&top, &all).is_ok());
        let (top, all) = wraps(100);
        assert!(inline(&top, &all).unwrap_err().contains("deep"));
        assert!(inline(&deep, &[top]).is_ok());
    }
}
