//! Packs verified blocks as rows for COPY (`journal/decode/copy_format.py`, BLOCK_COLUMNS and REVISION_COLUMNS).

use crate::block::{Block, Redaction};
use crate::copy::Copy;
use crate::fields::Shapes;
use crate::json;
use crate::revision::{Revision, State, Table};
use crate::statement;
use crate::value::{Field, Names};
use crate::writer::Writer;
use foldhash::quality::RandomState;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

const BLOCK_FIELDS: i16 = 16;
const REVISION_FIELDS: i16 = 15;

/// The number of revisions, and the first and the last block that holds one.
pub type Count = (i64, i64, i64);

/// Binary COPY tuples, without COPY's header and trailer, and their tally.
#[derive(Default)]
pub struct Rows {
    /// Tuples of BLOCK_COLUMNS.
    pub blocks: Vec<u8>,
    /// Tuples of REVISION_COLUMNS.
    pub revisions: Vec<u8>,
    /// The shapes of the revisions' data.
    pub shapes: Shapes,
    /// The number of revisions with data, by table id and shape.
    pub counts: HashMap<String, BTreeMap<i64, Count>, RandomState>,
    /// Name and block of the first mention of each table, by its id.
    pub tables: HashMap<String, (String, i64), RandomState>,
    writer: Writer,
    json: String,
    ion: Vec<u8>,
}

impl Rows {
    /// Allocates room for the rows of an object of this size, or most of them.
    pub fn with_room(bytes: usize) -> Self {
        Self { blocks: Vec::with_capacity(bytes), revisions: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Appends a block, and its revisions sorted by hash.
    pub fn push(&mut self, block: &Block<'_, '_>, names: &Names<'_>) {
        self.push_block(block, names);
        let mut revisions: Vec<&Revision<'_, '_>> = block.revisions.iter().collect();
        revisions.sort_by_key(|revision| revision.hash);
        for revision in revisions {
            self.push_revision(block.sequence_no, revision, names);
        }
    }

    fn push_block(&mut self, block: &Block<'_, '_>, names: &Names<'_>) {
        let Shown { kinds, definitions, tables } = shown(block);
        let mut row = Copy(&mut self.blocks);
        row.tuple(BLOCK_FIELDS);
        row.bigint(block.sequence_no);
        row.bytes(&block.block_hash);
        row.bytes(block.previous_hash.as_ref().map_or(&[], |hash| hash));
        row.bytes(b"full");
        row.boolean(block.complete);
        row.bytes(block.transaction_id.as_bytes());
        row.bigint(block.block_time);
        row.bytes_array(block.entries.iter().map(|hash| Some(hash.as_ref().map_or(&[][..], |hash| hash))));
        row.bytes_array(block.revision_hashes.iter().map(|hash| hash.as_ref().map(|hash| &hash[..])));
        row.text_array(block.revision_documents.iter().copied());
        for info in [block.transaction_info, block.redaction_info] {
            row.optional(ion(info, names, &mut self.writer, &mut self.ion));
        }
        self.json.clear();
        if block.redactions.is_empty() {
            row.null();
        } else {
            redactions(&block.redactions, &mut self.json);
            row.jsonb(&self.json);
        }
        row.text_array(kinds.iter().map(|kind| Some(*kind)));
        row.text_array(definitions.iter().map(|text| Some(text.as_ref())));
        self.json.clear();
        tables_json(&tables, &mut self.json);
        row.jsonb(&self.json);
        for table in tables {
            if !self.tables.contains_key(table.id) {
                self.tables
                    .insert(table.id.to_owned(), (escaped(table.name).into_owned(), block.sequence_no));
            }
        }
    }

    /// Appends a revision.
    pub fn push_revision(&mut self, sequence_no: i64, revision: &Revision<'_, '_>, names: &Names<'_>) {
        let mut row = Copy(&mut self.revisions);
        row.tuple(REVISION_FIELDS);
        row.bigint(sequence_no);
        row.bytes(&revision.hash);
        row.bytes(revision.document_id.as_bytes());
        row.bigint(revision.version);
        row.optional(revision.table.map(|table| table.id.as_bytes()));
        match revision.table {
            Some(table) => row.bytes(escaped(table.name).as_bytes()),
            None => row.null(),
        }
        row.bytes(match revision.state {
            State::Normal => b"normal",
            State::Redacted => b"redacted",
            State::Deleted => b"deleted",
        });
        row.bytes(b"full");
        row.bytes(revision.tx_id.as_bytes());
        row.bigint(revision.tx_time);
        match revision.data {
            Some(data) => {
                self.json.clear();
                json::write(data, names, &mut self.json);
                row.jsonb(&self.json);
                self.ion.clear();
                self.writer.write(data, names, &mut self.ion);
                row.bytes(&self.ion);
            }
            None => {
                row.null();
                row.null();
            }
        }
        row.optional(revision.data_hash.as_ref().map(|hash| &hash[..]));
        let metadata = if revision.is_plain_metadata() { None } else { Some(revision.metadata.0) };
        row.optional(ion(metadata, names, &mut self.writer, &mut self.ion));
        match revision.data {
            Some(data) => {
                let shape = self.shapes.number(data, names);
                row.bigint(shape);
                if let Some(table) = revision.table {
                    self.count(table.id, shape, sequence_no);
                }
            }
            None => row.null(),
        }
    }

    fn count(&mut self, table_id: &str, shape: i64, sequence_no: i64) {
        if !self.counts.contains_key(table_id) {
            self.counts.insert(table_id.to_owned(), BTreeMap::new());
        }
        if let Some(counts) = self.counts.get_mut(table_id) {
            let (count, first, last) = counts.entry(shape).or_insert((0, sequence_no, sequence_no));
            *count += 1;
            *first = sequence_no.min(*first);
            *last = sequence_no.max(*last);
        }
    }
}

/// The columns of a block that repeat, for queries, contents of its transactionInfo.
#[allow(missing_docs)]
pub struct Shown<'v> {
    pub kinds: Vec<&'static str>,
    pub definitions: Vec<Cow<'v, str>>,
    pub tables: Vec<Table<'v>>,
}

/// Returns these columns.
pub fn shown<'v>(block: &Block<'v, '_>) -> Shown<'v> {
    let kinds: Vec<&'static str> = block.statements.iter().map(|text| statement::kind(text)).collect();
    let definitions = block
        .statements
        .iter()
        .zip(&kinds)
        .filter(|(_, kind)| statement::defines(kind))
        .map(|(text, _)| escaped(text))
        .collect();
    Shown { kinds, definitions, tables: tables(&block.documents) }
}

fn ion<'o>(
    fields: Option<&[Field<'_>]>,
    names: &Names<'_>,
    writer: &mut Writer,
    out: &'o mut Vec<u8>,
) -> Option<&'o [u8]> {
    out.clear();
    writer.write_struct(fields?, names, out);
    Some(out)
}

fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', '\u{FDD0}']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    json::escaped(text, &mut out);
    Cow::Owned(out)
}

fn redactions(redactions: &[Redaction<'_>], out: &mut String) {
    for (index, redaction) in redactions.iter().enumerate() {
        out.push_str(if index == 0 { "[{\"sequenceNo\":" } else { ",{\"sequenceNo\":" });
        out.push_str(&redaction.sequence_no.to_string());
        out.push_str(",\"tableId\":");
        json::string(redaction.table_id, out);
        out.push_str(",\"documentId\":");
        json::string(redaction.document_id, out);
        out.push_str(",\"version\":");
        out.push_str(&redaction.version.to_string());
        out.push('}');
    }
    out.push(']');
}

/// Returns the tables of a block's documents; the last name given to a table wins.
fn tables<'v>(documents: &[(&str, Table<'v>)]) -> Vec<Table<'v>> {
    let mut tables: Vec<Table<'v>> = Vec::new();
    for (_, table) in documents {
        match tables.iter_mut().find(|known| known.id == table.id) {
            Some(known) => known.name = table.name,
            None => tables.push(*table),
        }
    }
    tables
}

/// Appends an object of each table's name by its id.
fn tables_json(tables: &[Table<'_>], out: &mut String) {
    out.push('{');
    for (index, table) in tables.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        json::string(table.id, out);
        out.push(':');
        json::string(table.name, out);
    }
    out.push('}');
}
