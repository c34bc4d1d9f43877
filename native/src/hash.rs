//! Ion Hash (amazon-ion.github.io/ion-hash/docs/spec.html) with SHA-256.
//!
//! A value is serialized as B ‖ TQ ‖ representation ‖ E, with B, E and the escape byte escaped inside; a struct's
//! representation is the sorted, then escaped, hashes of its fields, each H(s(name) ‖ s(value)).

use crate::encoding;
use crate::value::{NameId, Names, Value};
use sha2::{Digest as _, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

const BEGIN: u8 = 0x0B;
const END: u8 = 0x0E;
const ESCAPE: u8 = 0x0C;
const CANONICAL_NAN: u64 = 0x7FF8 << 48;

/// Returns the SHA-256 of the bytes.
pub fn sha256(data: &[u8]) -> Hash {
    Sha256::digest(data).into()
}

/// Serializes a symbol; symbol zero has no text.
pub fn serialized_name(text: Option<&str>) -> Vec<u8> {
    let mut out = vec![BEGIN, if text.is_some() { 0x70 } else { 0x71 }];
    escape(text.unwrap_or_default().as_bytes(), &mut out);
    out.push(END);
    out
}

/// Hashes values; reuses its buffers.
#[derive(Default)]
pub struct Hasher {
    serialized: Vec<u8>,
    representation: Vec<u8>,
    digests: Vec<Hash>,
}

impl Hasher {
    /// Returns the Ion Hash of a value.
    pub fn hash(&mut self, value: &Value<'_>, names: &Names<'_>) -> Hash {
        self.serialized.clear();
        self.serialize(value, names);
        sha256(&self.serialized)
    }

    /// Returns the Ion Hash of a struct with these fields.
    pub fn hash_struct(&mut self, fields: &[(NameId, Value<'_>)], names: &Names<'_>) -> Hash {
        self.serialized.clear();
        self.fields(fields, names);
        sha256(&self.serialized)
    }

    fn serialize(&mut self, value: &Value<'_>, names: &Names<'_>) {
        match value {
            Value::Null(ion_type) => self.serialized.extend([BEGIN, ion_type.null_descriptor(), END]),
            Value::Bool(value) => self.serialized.extend([BEGIN, 0x10 | u8::from(*value), END]),
            Value::Int { negative, magnitude } => {
                self.escaped(if *negative { 0x30 } else { 0x20 }, |out| magnitude.write_bytes(out));
            }
            Value::Float(value) => self.float(*value),
            Value::Decimal(value) => self.escaped(0x50, |out| encoding::decimal(value, out)),
            Value::Timestamp(value) => self.escaped(0x60, |out| encoding::timestamp(value, out)),
            Value::Symbol(name) => self.serialized.extend(names.hashed(*name)),
            Value::String(text) => self.scalar(0x80, text.as_bytes()),
            Value::Clob(data) => self.scalar(0x90, data),
            Value::Blob(data) => self.scalar(0xA0, data),
            Value::List(members) => self.members(0xB0, members, names),
            Value::Sexp(members) => self.members(0xC0, members, names),
            Value::Struct(fields) => self.fields(fields, names),
            Value::Annotated(annotated) => {
                self.serialized.extend([BEGIN, 0xE0]);
                for name in &annotated.0 {
                    self.serialized.extend(names.hashed(*name));
                }
                self.serialize(&annotated.1, names);
                self.serialized.push(END);
            }
        }
    }

    fn scalar(&mut self, qualifier: u8, representation: &[u8]) {
        self.serialized.extend([BEGIN, qualifier]);
        escape(representation, &mut self.serialized);
        self.serialized.push(END);
    }

    fn escaped(&mut self, qualifier: u8, write: impl FnOnce(&mut Vec<u8>)) {
        self.representation.clear();
        write(&mut self.representation);
        self.serialized.extend([BEGIN, qualifier]);
        escape(&self.representation, &mut self.serialized);
        self.serialized.push(END);
    }

    fn float(&mut self, value: f64) {
        let bits = if value.is_nan() { CANONICAL_NAN } else { value.to_bits() };
        if bits == 0 { self.scalar(0x40, &[]) } else { self.scalar(0x40, &bits.to_be_bytes()) }
    }

    fn members(&mut self, qualifier: u8, members: &[Value<'_>], names: &Names<'_>) {
        self.serialized.extend([BEGIN, qualifier]);
        for member in members {
            self.serialize(member, names);
        }
        self.serialized.push(END);
    }

    fn fields(&mut self, fields: &[(NameId, Value<'_>)], names: &Names<'_>) {
        let first = self.digests.len();
        for (name, value) in fields {
            let start = self.serialized.len();
            self.serialized.extend(names.hashed(*name));
            self.serialize(value, names);
            let digest = sha256(self.serialized.get(start..).unwrap_or_default());
            self.digests.push(digest);
            self.serialized.truncate(start);
        }
        self.serialized.extend([BEGIN, 0xD0]);
        let digests = self.digests.get_mut(first..).unwrap_or_default();
        digests.sort_unstable();
        escape(digests.as_flattened(), &mut self.serialized);
        self.serialized.push(END);
        self.digests.truncate(first);
    }
}

fn escape(data: &[u8], out: &mut Vec<u8>) {
    let mut rest = data;
    while let Some(position) = memchr::memchr3(BEGIN, ESCAPE, END, rest)
        && let Some((before, after)) = rest.split_at_checked(position)
        && let Some((special, after)) = after.split_first()
    {
        out.extend_from_slice(before);
        out.extend([ESCAPE, *special]);
        rest = after;
    }
    out.extend_from_slice(rest);
}
