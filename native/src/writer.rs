//! Writes one value as binary Ion, with its own version marker and symbol table, as `journal.ion.values.write` does.

use crate::encoding::{self, var_uint};
use crate::reader_binary::VERSION_MARKER;
use crate::symbols::SYSTEM;
use crate::value::{Field, NameId, Names, Value};

const LONGEST_SHORT: usize = 13;
/// `$ion_symbol_table` as the one annotation, and the field name `symbols`.
const ANNOTATED_AS_TABLE: [u8; 2] = [0x81, 0x83];
const SYMBOLS_FIELD: u8 = 0x87;

/// Writes values; reuses its buffers.
#[derive(Default)]
pub struct Writer {
    body: Vec<u8>,
    /// The symbol id of each name, valid if assigned for the current value number.
    ids: Vec<(u64, usize)>,
    value_number: u64,
    symbols: Vec<NameId>,
}

impl Writer {
    /// Appends the value's Ion.
    pub fn write(&mut self, value: &Value<'_>, names: &Names<'_>, out: &mut Vec<u8>) {
        self.start(names);
        self.value(value);
        self.finish(names, out);
    }

    /// Appends the Ion of a struct with these fields.
    pub fn write_struct(&mut self, fields: &[Field<'_>], names: &Names<'_>, out: &mut Vec<u8>) {
        self.start(names);
        self.fields(fields);
        self.finish(names, out);
    }

    fn start(&mut self, names: &Names<'_>) {
        self.body.clear();
        self.symbols.clear();
        self.value_number += 1;
        self.ids.resize(names.len(), (0, 0));
    }

    fn finish(&mut self, names: &Names<'_>, out: &mut Vec<u8>) {
        out.extend(VERSION_MARKER);
        if !self.symbols.is_empty() {
            let table = open(out);
            out.extend(ANNOTATED_AS_TABLE);
            let structure = open(out);
            out.push(SYMBOLS_FIELD);
            let list = open(out);
            for symbol in &self.symbols {
                text(names.text(*symbol).unwrap_or_default(), out);
            }
            close(0xB0, list, out);
            close(0xD0, structure, out);
            close(0xE0, table, out);
        }
        out.extend_from_slice(&self.body);
    }

    fn value(&mut self, value: &Value<'_>) {
        match value {
            Value::Null(ion_type) => self.body.push(ion_type.null_descriptor()),
            Value::Bool(value) => self.body.push(0x10 | u8::from(*value)),
            Value::Int { negative, magnitude } => {
                let start = open(&mut self.body);
                magnitude.write_bytes(&mut self.body);
                close(if *negative { 0x30 } else { 0x20 }, start, &mut self.body);
            }
            Value::Float(value) if value.to_bits() == 0 => self.body.push(0x40),
            Value::Float(value) => {
                self.body.push(0x48);
                self.body.extend(value.to_be_bytes());
            }
            Value::Decimal(value) => {
                let start = open(&mut self.body);
                encoding::decimal(value, &mut self.body);
                close(0x50, start, &mut self.body);
            }
            Value::Timestamp(value) => {
                let start = open(&mut self.body);
                encoding::timestamp(value, &mut self.body);
                close(0x60, start, &mut self.body);
            }
            Value::Symbol(name) => self.symbol(*name),
            Value::String(value) => text(value, &mut self.body),
            Value::Clob(data) => bytes(0x90, data, &mut self.body),
            Value::Blob(data) => bytes(0xA0, data, &mut self.body),
            Value::List(members) => self.members(0xB0, members),
            Value::Sexp(members) => self.members(0xC0, members),
            Value::Struct(fields) => self.fields(fields),
            Value::Annotated(annotated) => self.annotated(&annotated.0, &annotated.1),
        }
    }

    fn symbol(&mut self, name: NameId) {
        let id = self.symbol_id(name);
        let significant = id.to_be_bytes().into_iter().skip_while(|byte| *byte == 0);
        let start = open(&mut self.body);
        self.body.extend(significant);
        close(0x70, start, &mut self.body);
    }

    fn members(&mut self, code: u8, members: &[Value<'_>]) {
        let start = open(&mut self.body);
        for member in members {
            self.value(member);
        }
        close(code, start, &mut self.body);
    }

    fn fields(&mut self, fields: &[Field<'_>]) {
        let start = open(&mut self.body);
        for (name, value) in fields {
            self.reserve(value);
            let id = self.symbol_id(*name);
            var_uint(id, &mut self.body);
            self.value(value);
        }
        close(0xD0, start, &mut self.body);
    }

    fn annotated(&mut self, annotations: &[NameId], value: &Value<'_>) {
        self.reserve(value);
        let start = open(&mut self.body);
        let mut ids = Vec::new();
        for annotation in annotations {
            var_uint(self.symbol_id(*annotation), &mut ids);
        }
        var_uint(ids.len(), &mut self.body);
        self.body.extend(ids);
        self.value(value);
        close(0xE0, start, &mut self.body);
    }

    /// Assigns a symbol's id before those of its field's name and annotations, as amazon.ion does; tests compare bytes.
    fn reserve(&mut self, value: &Value<'_>) {
        match value {
            Value::Symbol(name) => {
                self.symbol_id(*name);
            }
            Value::Annotated(annotated) => self.reserve(&annotated.1),
            _ => {}
        }
    }

    fn symbol_id(&mut self, name: NameId) -> usize {
        if name <= SYSTEM.len() {
            return name;
        }
        let next = SYSTEM.len() + 1 + self.symbols.len();
        let Some(known) = self.ids.get_mut(name) else { return 0 };
        if known.0 != self.value_number {
            *known = (self.value_number, next);
            self.symbols.push(name);
        }
        known.1
    }
}

fn text(value: &str, out: &mut Vec<u8>) {
    bytes(0x80, value.as_bytes(), out);
}

fn bytes(code: u8, data: &[u8], out: &mut Vec<u8>) {
    descriptor(code, data.len(), out);
    out.extend_from_slice(data);
}

fn descriptor(code: u8, length: usize, out: &mut Vec<u8>) {
    if length <= LONGEST_SHORT {
        out.push(code | length as u8);
    } else {
        out.push(code | 14);
        var_uint(length, out);
    }
}

/// Reserves room for the descriptor of the next value; returns the value's start.
fn open(out: &mut Vec<u8>) -> usize {
    out.push(0);
    out.len()
}

/// Writes the descriptor of the value that starts at `start`.
fn close(code: u8, start: usize, out: &mut Vec<u8>) {
    let end = out.len();
    let length = end - start;
    let short = length <= LONGEST_SHORT;
    if let Some(descriptor) = out.get_mut(start - 1) {
        *descriptor = code | if short { length as u8 } else { 14 };
    }
    if !short {
        var_uint(length, out);
        let size = out.len() - end;
        if let Some(written) = out.get_mut(start..) {
            written.rotate_right(size);
        }
    }
}
