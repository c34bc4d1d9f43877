//! Checks blocks as the journal store holds them (`consumer/store/blocks.py`): their hashes, and the columns that
//! repeat for queries what the hashes cover (`consumer/store/column_checks.py`).
//!
//! Only accepts: a block with a fault, of level chain or of a rare form is left to the plain Python, which names it.

use crate::block::{self, Block};
use crate::calendar;
use crate::copy::{Row, Tuples, array};
use crate::decode::{Decoded, names, only};
use crate::hash::Hasher;
use crate::jsonb;
use crate::members;
use crate::merkle::root;
use crate::revision::{Revision, State};
use crate::rows;
use crate::value::{Field, HandOver, Magnitude, Names, Read, Value};
use std::borrow::Cow;

/// Columns of `journal.block`, in the order of BLOCK_COLUMNS (`journal/decode/copy_format.py`).
mod column {
    pub const SEQUENCE_NO: usize = 0;
    pub const BLOCK_HASH: usize = 1;
    pub const PREVIOUS_HASH: usize = 2;
    pub const LEVEL: usize = 3;
    pub const TRANSACTION_ID: usize = 5;
    pub const BLOCK_TIME: usize = 6;
    pub const ENTRIES_HASHES: usize = 7;
    pub const REVISION_HASHES: usize = 8;
    pub const REVISION_DOCUMENTS: usize = 9;
    pub const TRANSACTION_INFO: usize = 10;
    pub const REDACTION_INFO: usize = 11;
    pub const REDACTIONS: usize = 12;
    pub const STATEMENT_KINDS: usize = 13;
    pub const DEFINITIONS: usize = 14;
    pub const TABLES: usize = 15;
    pub const BLOCK_COLUMNS: usize = 16;
}

/// Columns of `journal.revision`, in the order of REVISION_COLUMNS.
mod revision_column {
    pub const SEQUENCE_NO: usize = 0;
    pub const HASH: usize = 1;
    pub const DOCUMENT_ID: usize = 2;
    pub const VERSION: usize = 3;
    pub const TABLE_ID: usize = 4;
    pub const TABLE_NAME: usize = 5;
    pub const STATE: usize = 6;
    pub const LEVEL: usize = 7;
    pub const TX_ID: usize = 8;
    pub const TX_TIME: usize = 9;
    pub const DATA: usize = 10;
    pub const DATA_ION: usize = 11;
    pub const DATA_HASH: usize = 12;
    pub const METADATA: usize = 13;
    pub const REVISION_COLUMNS: usize = 15;
}

const NOT_FULL: HandOver = HandOver("a row that is not at level full");
const DIFFERS: HandOver = HandOver("a column that is not what the block says");
const FAULTY: HandOver = HandOver("a block with a fault");

/// The blocks that hold, counted, and the numbers of those that are left to the plain Python.
#[derive(Default)]
#[allow(missing_docs)]
pub struct Stored {
    pub accepted: Decoded,
    pub left: Vec<i64>,
}

/// Checks blocks and their revisions, each the bytes of a binary COPY, sorted by number.
pub fn check(strand_id: &str, blocks: &[u8], revisions: &[u8], trust_deletions: bool) -> Read<Stored> {
    let mut stored = Stored::default();
    let mut hasher = Hasher::default();
    let mut names = names();
    let mut json = String::new();
    let mut held = Tuples::new(revisions, revision_column::REVISION_COLUMNS)?.peekable();
    let mut before = None;
    for block in Tuples::new(blocks, column::BLOCK_COLUMNS)? {
        let block = block?;
        let number = block.bigint(column::SEQUENCE_NO)?;
        if before.is_some_and(|before| before >= number) {
            return Err(HandOver("blocks out of order"));
        }
        before = Some(number);
        let mut own = Vec::new();
        while let Some(next) = held.peek() {
            let of = next.as_ref().map_err(|error| *error)?.bigint(revision_column::SEQUENCE_NO)?;
            if of > number {
                break;
            }
            if let (Some(row), true) = (held.next().transpose()?, of == number) {
                own.push(row);
            }
        }
        own.sort_by_key(|row| row.bytes(revision_column::HASH).unwrap_or_default());
        let mut checker =
            Checker { names: &mut names, hasher: &mut hasher, json: &mut json, trust_deletions };
        if checker.block(strand_id, &block, &own, &mut stored.accepted).is_err() {
            stored.left.push(number);
        }
    }
    Ok(stored)
}

struct Checker<'c, 'a> {
    names: &'c mut Names<'a>,
    hasher: &'c mut Hasher,
    json: &'c mut String,
    trust_deletions: bool,
}

impl<'a> Checker<'_, 'a> {
    fn block(
        &mut self,
        strand_id: &'a str,
        row: &Row<'a>,
        held: &[Row<'a>],
        accepted: &mut Decoded,
    ) -> Read<()> {
        let value = self.block_value(strand_id, row, held)?;
        let block = block::check(&value, self.names, self.hasher, self.trust_deletions)?;
        if !block.faults.is_empty() {
            return Err(FAULTY);
        }
        compare_block(&block, row, self.json)?;
        let mut hashes: Vec<_> = block.revisions.iter().map(|revision| revision.hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        if hashes.len() != held.len() {
            return Err(HandOver("another number of revisions"));
        }
        for revision in &block.revisions {
            let row = of_hash(held, &revision.hash)?.ok_or(DIFFERS)?;
            compare_revision(revision, row, self.names, self.json)?;
        }
        accepted.count(&block);
        Ok(())
    }

    /// Returns the block as an export holds it.
    fn block_value(&mut self, strand_id: &'a str, row: &Row<'a>, held: &[Row<'a>]) -> Read<Value<'a>> {
        if row.text(column::LEVEL)? != "full" {
            return Err(NOT_FULL);
        }
        let number = row.bigint(column::SEQUENCE_NO)?;
        let entries = array(row.bytes(column::ENTRIES_HASHES)?)?;
        let entries: Vec<Value<'a>> =
            entries.into_iter().map(|hash| hash.map(blob)).collect::<Option<_>>().ok_or(DIFFERS)?;
        let hashes = entries.iter().map(members::hash).collect::<Read<Vec<_>>>()?;
        let entries_hash = root(&hashes).ok_or(HandOver("a block without hashes"))?;
        let mut fields = vec![
            (members::BLOCK_ADDRESS, address(strand_id, number)),
            (members::TRANSACTION_ID, string(row.text(column::TRANSACTION_ID)?)),
            (members::BLOCK_TIMESTAMP, time(row.bigint(column::BLOCK_TIME)?, 6)?),
            (members::BLOCK_HASH, blob(row.bytes(column::BLOCK_HASH)?)),
            (members::ENTRIES_HASH, Value::Blob(Cow::Owned(entries_hash.to_vec()))),
            (members::PREVIOUS_BLOCK_HASH, blob(row.bytes(column::PREVIOUS_HASH)?)),
            (members::ENTRIES_HASH_LIST, Value::List(entries)),
        ];
        for (name, column) in [
            (members::TRANSACTION_INFO, column::TRANSACTION_INFO),
            (members::REDACTION_INFO, column::REDACTION_INFO),
        ] {
            if let Some(info) = row.get(column)? {
                let info = only(info, self.names)?;
                if members::Members::of(&info)?.get(members::ERASED_TRANSACTION_INFO).is_some() {
                    return Err(HandOver("a block whose statements are erased"));
                }
                fields.push((name, info));
            }
        }
        fields.push((members::REVISIONS, self.revisions(strand_id, number, row, held)?));
        Ok(Value::Struct(fields))
    }

    fn revisions(
        &mut self,
        strand_id: &'a str,
        number: i64,
        row: &Row<'a>,
        held: &[Row<'a>],
    ) -> Read<Value<'a>> {
        let hashes = array(row.bytes(column::REVISION_HASHES)?)?;
        let documents = array(row.bytes(column::REVISION_DOCUMENTS)?)?;
        if hashes.len() != documents.len() {
            return Err(HandOver("as many documents as revisions are needed"));
        }
        let mut revisions = Vec::with_capacity(hashes.len());
        for (hash, document) in hashes.into_iter().zip(documents) {
            let hash = hash.ok_or(DIFFERS)?;
            let mut fields = vec![(members::HASH, blob(hash))];
            if let Some(document) = document {
                let row = of_hash(held, hash)?.ok_or(HandOver("a revision that is not stored"))?;
                if row.bytes(revision_column::DOCUMENT_ID)? != document {
                    return Err(DIFFERS);
                }
                fields.push((members::BLOCK_ADDRESS, address(strand_id, number)));
                self.revision(row, &mut fields)?;
            }
            revisions.push(Value::Struct(fields));
        }
        Ok(Value::List(revisions))
    }

    fn revision(&mut self, row: &Row<'a>, fields: &mut Vec<Field<'a>>) -> Read<()> {
        if row.text(revision_column::LEVEL)? != "full" {
            return Err(NOT_FULL);
        }
        match row.text(revision_column::STATE)? {
            "normal" => {
                fields.push((members::DATA, only(row.bytes(revision_column::DATA_ION)?, self.names)?));
            }
            "redacted" => fields.push((members::DATA_HASH, blob(row.bytes(revision_column::DATA_HASH)?))),
            _ => {}
        }
        let metadata = match row.get(revision_column::METADATA)? {
            Some(metadata) => only(metadata, self.names)?,
            None => Value::Struct(vec![
                (members::ID, string(row.text(revision_column::DOCUMENT_ID)?)),
                (members::VERSION, integer(row.bigint(revision_column::VERSION)?)?),
                (members::TX_TIME, time(row.bigint(revision_column::TX_TIME)?, 3)?),
                (members::TX_ID, string(row.text(revision_column::TX_ID)?)),
            ]),
        };
        fields.push((members::METADATA, metadata));
        Ok(())
    }
}

fn compare_block(block: &Block<'_, '_>, row: &Row<'_>, json: &mut String) -> Read<()> {
    let shown = rows::shown(block);
    let kinds = array(row.bytes(column::STATEMENT_KINDS)?)?;
    let definitions = array(row.bytes(column::DEFINITIONS)?)?;
    let same_kinds = kinds.iter().copied().eq(shown.kinds.iter().map(|kind| Some(kind.as_bytes())));
    let same_definitions =
        definitions.iter().copied().eq(shown.definitions.iter().map(|text| Some(text.as_bytes())));
    json.clear();
    jsonb::tables(&shown.tables, json)?;
    if !same_kinds || !same_definitions || row.jsonb(column::TABLES)? != Some(json) {
        return Err(DIFFERS);
    }
    json.clear();
    jsonb::redactions(&block.redactions, json)?;
    let redactions = if block.redactions.is_empty() { None } else { Some(json.as_str()) };
    if row.jsonb(column::REDACTIONS)? != redactions { Err(DIFFERS) } else { Ok(()) }
}

fn compare_revision(
    revision: &Revision<'_, '_>,
    row: &Row<'_>,
    names: &Names<'_>,
    json: &mut String,
) -> Read<()> {
    let state = match revision.state {
        State::Normal => "normal",
        State::Redacted => "redacted",
        State::Deleted => "deleted",
    };
    let table = revision.table.ok_or(HandOver("a revision without a table"))?;
    let same = row.text(revision_column::STATE)? == state
        && row.text(revision_column::DOCUMENT_ID)? == revision.document_id
        && row.bigint(revision_column::VERSION)? == revision.version
        && row.text(revision_column::TX_ID)? == revision.tx_id
        && row.bigint(revision_column::TX_TIME)? == revision.tx_time
        && row.text(revision_column::TABLE_ID)? == table.id
        && row.text(revision_column::TABLE_NAME)? == table.name;
    let same_hash = match (row.get(revision_column::DATA_HASH)?, &revision.data_hash) {
        (Some(held), Some(hash)) => held == hash,
        _ => true,
    };
    if !same || !same_hash {
        return Err(DIFFERS);
    }
    let Some(data) = revision.data else {
        let empty =
            row.get(revision_column::DATA)?.is_none() && row.get(revision_column::DATA_ION)?.is_none();
        return if empty { Ok(()) } else { Err(DIFFERS) };
    };
    json.clear();
    jsonb::write(data, names, json)?;
    if row.jsonb(revision_column::DATA)? == Some(json) { Ok(()) } else { Err(DIFFERS) }
}

/// Returns the row with that hash; `held` is sorted by it, and has none twice, since it is part of the key.
fn of_hash<'r, 'a>(held: &'r [Row<'a>], hash: &[u8]) -> Read<Option<&'r Row<'a>>> {
    let found = held.binary_search_by(|row| row.bytes(revision_column::HASH).unwrap_or_default().cmp(hash));
    Ok(found.ok().and_then(|index| held.get(index)))
}

fn address(strand_id: &str, number: i64) -> Value<'_> {
    let number = Value::Int { negative: false, magnitude: Magnitude::Small(number.unsigned_abs()) };
    Value::Struct(vec![(members::STRAND_ID, string(strand_id)), (members::SEQUENCE_NO, number)])
}

fn string(text: &str) -> Value<'_> {
    Value::String(Cow::Borrowed(text))
}

fn blob(data: &[u8]) -> Value<'_> {
    Value::Blob(Cow::Borrowed(data))
}

fn integer<'a>(value: i64) -> Read<Value<'a>> {
    let value = u64::try_from(value).map_err(|_| HandOver("a negative number"))?;
    Ok(Value::Int { negative: false, magnitude: Magnitude::Small(value) })
}

fn time<'a>(microseconds: i64, digits: u32) -> Read<Value<'a>> {
    let time = calendar::from_microseconds(microseconds, digits).ok_or(HandOver("a time out of range"))?;
    Ok(Value::Timestamp(Box::new(time)))
}
