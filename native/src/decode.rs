//! The seam: decodes the bytes of an export object into verified rows (`journal/decode/objects.py`, `decode`).

use crate::block::{self, Block, Fault};
use crate::hash::{Hash, Hasher};
use crate::members;
use crate::reader_binary::{BinaryReader, VERSION_MARKER};
use crate::reader_text::TextReader;
use crate::revision::State;
use crate::rows::Rows;
use crate::symbols::SYSTEM;
use crate::value::{HandOver, Names, Read, Value};
use std::sync::LazyLock;

/// JSON has up to seven bytes for each byte read, of values and of the names behind their symbol ids (see
/// `symbols`, which has the same bound), so no length in a row exceeds 31 bits.
pub(crate) const MOST_BYTES: usize = 80_000_000;

/// The members of a block that the check of a strand needs.
#[allow(missing_docs)]
pub struct Link {
    pub strand_id: String,
    pub sequence_no: i64,
    pub block_hash: Hash,
    pub previous_hash: Option<Hash>,
    pub revisions: usize,
    pub system_revisions: usize,
    pub unexplained: usize,
}

/// The contents of an object.
#[derive(Default)]
#[allow(missing_docs)]
pub struct Decoded {
    pub links: Vec<Link>,
    pub rows: Rows,
    pub packed: Option<Packed>,
    pub faults: Vec<(i64, Fault)>,
    pub warnings: Vec<(i64, Fault)>,
    pub redactions: usize,
    pub deletions: Vec<&'static str>,
    pub redacted: Vec<(String, i64)>,
    pub named: Vec<(String, i64)>,
    pub omissions: Vec<(i64, Hash, String)>,
}

/// The blocks in `rows`: the least and the greatest number; `in_order` if sorted without a repeated number.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Packed {
    pub first_no: i64,
    pub last_no: i64,
    pub in_order: bool,
}

/// Ion text or Ion binary.
pub(crate) enum Reader<'a> {
    Binary(BinaryReader<'a>),
    Text(TextReader<'a>),
}

impl<'a> Reader<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Read<Self> {
        if data.starts_with(&VERSION_MARKER) {
            return Ok(Self::Binary(BinaryReader::new(data)));
        }
        let space = data.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0x0B).count();
        if data.get(space..).is_some_and(|text| text.starts_with(b"{\"")) {
            return Err(HandOver("JSON"));
        }
        let text = str::from_utf8(data).map_err(|_| HandOver("not UTF-8"))?;
        Ok(Self::Text(TextReader::new(text)))
    }

    pub(crate) fn next(&mut self, names: &mut Names<'a>) -> Read<Option<Value<'a>>> {
        match self {
            Self::Binary(reader) => reader.next(names),
            Self::Text(reader) => reader.next(names),
        }
    }

    pub(crate) fn repeated(&self) -> bool {
        match self {
            Self::Binary(reader) => reader.repeated,
            Self::Text(reader) => reader.repeated,
        }
    }
}

/// Reads, verifies and packs the blocks of one export object, or hands the entire object over.
pub fn decode(data: &[u8], trust_deletions: bool, with_rows: bool) -> Read<Decoded> {
    if data.len() > MOST_BYTES {
        return Err(HandOver("a very large object"));
    }
    let mut names = names();
    let mut reader = Reader::new(data)?;
    let mut hasher = Hasher::default();
    let mut decoded = Decoded::default();
    if with_rows {
        decoded.rows = Rows::with_room(data.len());
    }
    while let Some(value) = reader.next(&mut names)? {
        if reader.repeated() {
            return Err(HandOver("a struct with a repeated field")); // plain Python values keep only the last
        }
        let block = block::check(&value, &names, &mut hasher, trust_deletions)?;
        decoded.count(&block);
        if block.faults.is_empty() && with_rows {
            decoded.rows.push(&block, &names);
            decoded.count_packed(block.sequence_no);
        }
        let sequence_no = block.sequence_no;
        decoded.faults.extend(block.faults.into_iter().map(|fault| (sequence_no, fault)));
        decoded.warnings.extend(block.warnings.into_iter().map(|warning| (sequence_no, warning)));
    }
    Ok(decoded)
}

/// Reads the only value in `data`.
pub(crate) fn only<'a>(data: &'a [u8], names: &mut Names<'a>) -> Read<Value<'a>> {
    let mut reader = Reader::new(data)?;
    let value = reader.next(names)?.ok_or(HandOver("no value"))?;
    if reader.next(names)?.is_some() {
        return Err(HandOver("several values"));
    }
    if reader.repeated() {
        return Err(HandOver("a struct with a repeated field"));
    }
    Ok(value)
}

/// Returns the Ion Hash and the JSON of the only value in `data`.
pub fn value(data: &[u8]) -> Read<(Hash, String)> {
    let mut names = names();
    let value = only(data, &mut names)?;
    let mut json = String::new();
    crate::json::write(&value, &names, &mut json);
    Ok((Hasher::default().hash(&value, &names), json))
}

/// Returns each top-level value's Ion Hash, JSON and Ion, for tests against the plain Python.
pub fn values(data: &[u8]) -> Read<Vec<(Hash, String, Vec<u8>)>> {
    let mut names = names();
    let mut reader = Reader::new(data)?;
    let (mut hasher, mut writer) = (Hasher::default(), crate::writer::Writer::default());
    let mut found = Vec::new();
    while let Some(value) = reader.next(&mut names)? {
        let (mut json, mut ion) = (String::new(), Vec::new());
        crate::json::write(&value, &names, &mut json);
        writer.write(&value, &names, &mut ion);
        found.push((hasher.hash(&value, &names), json, ion));
    }
    Ok(found)
}

static NAMES: LazyLock<Names<'static>> =
    LazyLock::new(|| Names::new(&[&SYSTEM[..], members::NAMES].concat()));

pub(crate) fn names<'a>() -> Names<'a> {
    NAMES.clone()
}

impl Decoded {
    pub(crate) fn count_packed(&mut self, number: i64) {
        self.packed = Some(match &self.packed {
            None => Packed { first_no: number, last_no: number, in_order: true },
            Some(before) => Packed {
                first_no: before.first_no.min(number),
                last_no: before.last_no.max(number),
                in_order: before.in_order && number > before.last_no,
            },
        });
    }

    pub(crate) fn count(&mut self, block: &Block<'_, '_>) {
        let documents = block.revision_documents.iter().flatten().count();
        self.links.push(Link {
            strand_id: block.strand_id.to_owned(),
            sequence_no: block.sequence_no,
            block_hash: block.block_hash,
            previous_hash: block.previous_hash,
            revisions: documents,
            system_revisions: block.revision_documents.len() - documents,
            unexplained: block.unexplained,
        });
        self.redactions += block.redactions.len();
        for revision in &block.revisions {
            self.deletions.extend(revision.deletion);
            if revision.state == State::Redacted {
                self.redacted.push((revision.document_id.to_owned(), revision.version));
            }
        }
        if block.faults.is_empty() {
            let named = block.redactions.iter().map(|named| (named.document_id.to_owned(), named.version));
            self.named.extend(named);
            let omissions = block.omissions.iter();
            self.omissions
                .extend(omissions.map(|detail| (block.sequence_no, block.block_hash, detail.clone())));
        }
    }
}
