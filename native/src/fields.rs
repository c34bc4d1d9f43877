//! The shape of a document: its fields and their Ion types (`journal/ion/fields.py`).

use crate::hash::sha256;
use crate::json;
use crate::value::{Field, NameId, Names, Value};
use foldhash::quality::RandomState;
use std::collections::{BTreeMap, HashMap};

/// The most names in a path.
const MOST_DEPTH: usize = 4;
const MOST_FIELDS: usize = 1_000;
const MOST_NESTED_FIELDS: usize = 50;
/// The members of a list that are inspected, from the start.
const MOST_MEMBERS: usize = 20;
const MEMBER: &str = "[]";
const KNOWN_SHAPES: usize = 4_096;

/// The few shapes of an object's documents, by their numbers.
#[derive(Default)]
pub struct Shapes {
    /// The shapes as JSON.
    pub found: BTreeMap<i64, String>,
    known: HashMap<Vec<u8>, i64, RandomState>,
    key: Vec<u8>,
}

impl Shapes {
    /// Returns the number of a document's shape.
    pub fn number(&mut self, document: &Value<'_>, names: &Names<'_>) -> i64 {
        self.key.clear();
        key(document, 0, &mut self.key);
        if let Some(number) = self.known.get(&self.key) {
            return *number;
        }
        let mut found = Vec::new();
        entries(document, &mut Vec::new(), names, &mut found);
        found.sort_unstable();
        found.dedup();
        let shape = format!("[{}]", found.join(","));
        let number = sha256(shape.as_bytes())
            .iter()
            .take(8)
            .fold(0, |number: i64, byte| number << 8 | i64::from(*byte));
        self.found.insert(number, shape);
        if self.known.len() == KNOWN_SHAPES {
            self.known.clear();
        }
        self.known.insert(self.key.clone(), number);
        number
    }
}

/// A cache key: equal bytes mean the same shape, and documents of one shape mostly have equal bytes.
fn key(value: &Value<'_>, depth: usize, out: &mut Vec<u8>) {
    out.extend(name(value).as_bytes());
    match value {
        Value::Annotated(annotated) => key(&annotated.1, depth, out),
        Value::Struct(fields) if shown(fields, depth) => {
            out.push(b'{');
            for (id, member) in fields {
                out.extend(id.to_le_bytes());
                key(member, depth + 1, out);
            }
            out.push(b'}');
        }
        Value::List(members) | Value::Sexp(members) if depth < MOST_DEPTH => {
            out.push(b'[');
            members.iter().take(MOST_MEMBERS).for_each(|member| key(member, depth + 1, out));
            out.push(b']');
        }
        _ => out.push(b','),
    }
}

/// A step of a path: a name, or none for a member of a list.
type Step = Option<NameId>;

fn entries(value: &Value<'_>, path: &mut Vec<Step>, names: &Names<'_>, out: &mut Vec<String>) {
    match value {
        Value::Annotated(annotated) => entries(&annotated.1, path, names, out),
        Value::Struct(fields) if shown(fields, path.len()) => {
            if !path.is_empty() {
                out.push(entry(value, path, names));
            }
            for (id, member) in fields {
                path.push(Some(*id));
                entries(member, path, names, out);
                path.pop();
            }
        }
        Value::List(members) | Value::Sexp(members) => {
            out.push(entry(value, path, names));
            let members = if path.len() < MOST_DEPTH { members.as_slice() } else { &[] };
            path.push(None);
            members.iter().take(MOST_MEMBERS).for_each(|member| entries(member, path, names, out));
            path.pop();
        }
        _ => out.push(entry(value, path, names)),
    }
}

fn shown(fields: &[Field<'_>], depth: usize) -> bool {
    depth < MOST_DEPTH && fields.len() <= if depth == 0 { MOST_FIELDS } else { MOST_NESTED_FIELDS }
}

fn entry(value: &Value<'_>, path: &[Step], names: &Names<'_>) -> String {
    let mut out = String::from("[");
    json::string(name(value), &mut out);
    for step in path {
        out.push(',');
        json::string(step.map_or(MEMBER, |id| json::name_text(id, names)), &mut out);
    }
    out.push(']');
    out
}

fn name(value: &Value<'_>) -> &'static str {
    match value {
        Value::Null(_) => "null",
        Value::Bool(_) => "bool",
        Value::Int { .. } => "int",
        Value::Float(_) => "float",
        Value::Decimal(_) => "decimal",
        Value::Timestamp(_) => "timestamp",
        Value::Symbol(_) => "symbol",
        Value::String(_) => "string",
        Value::Clob(_) => "clob",
        Value::Blob(_) => "blob",
        Value::List(_) => "list",
        Value::Sexp(_) => "sexp",
        Value::Struct(_) => "struct",
        Value::Annotated(annotated) => name(&annotated.1),
    }
}
