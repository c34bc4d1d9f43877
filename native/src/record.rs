//! Checks one user record of a stream (`journal/decode/record.py`): a block summary, revision details, or control.
//!
//! Answers only for a sound record; the plain Python names the faults of any other.

use crate::block;
use crate::decode::{self, Decoded, MOST_BYTES, names};
use crate::hash::{Hash, Hasher};
use crate::members::{self, Members};
use crate::revision::{self, State, Table};
use crate::value::{HandOver, Names, Read, Value};

/// The contents of a record.
pub struct Record {
    /// Its recordType; for a control record followed by its event.
    pub kind: &'static str,
    /// The rows and their counts.
    pub decoded: Decoded,
    /// The data for pairing the block and its revisions.
    pub side: Side,
}

/// A revision that arrives separately: its hash and document, and the table's id and name.
pub type Expected = (Hash, String, Option<(String, String)>);

/// The data for pairing (`journal/check/pairing.py`); times in microseconds from 2000.
#[allow(missing_docs)]
pub enum Side {
    Neither,
    Block {
        strand_id: String,
        sequence_no: i64,
        block_hash: Hash,
        transaction_id: String,
        block_time: i64,
        revisions: Vec<Expected>,
    },
    Revision {
        strand_id: String,
        sequence_no: i64,
        hash: Hash,
        document_id: String,
        version: i64,
        table: (String, String),
        tx_id: String,
        tx_time: i64,
    },
}

/// Reads, verifies and packs the only record in `data`.
pub fn decode(data: &[u8], trust_deletions: bool) -> Read<Record> {
    if data.len() > MOST_BYTES {
        return Err(HandOver("a very large record"));
    }
    let mut names = names();
    let value = decode::only(data, &mut names)?;
    let record = Members::of(&value)?;
    let payload = record.members(members::PAYLOAD)?;
    match record.text(members::RECORD_TYPE)? {
        "CONTROL" => Ok(Record { kind: control(payload)?, decoded: Decoded::default(), side: Side::Neither }),
        "BLOCK_SUMMARY" => summary(payload, &names),
        "REVISION_DETAILS" => details(payload, &names, trust_deletions),
        _ => Err(HandOver("a record of another type")),
    }
}

fn control(payload: Members<'_, '_>) -> Read<&'static str> {
    Ok(match payload.get(members::CONTROL_RECORD_TYPE) {
        Some(Value::String(event)) if event == "CREATED" => "CONTROL CREATED",
        Some(Value::String(event)) if event == "COMPLETED" => "CONTROL COMPLETED",
        _ => return Err(HandOver("a control record of another type")),
    })
}

fn summary<'a>(payload: Members<'_, 'a>, names: &Names<'a>) -> Read<Record> {
    let block = block::check_summary(payload, names, &mut Hasher::default())?;
    if !block.faults.is_empty() {
        return Err(HandOver("a block with faults"));
    }
    let mut decoded = Decoded::default();
    decoded.count(&block);
    decoded.rows.push(&block, names);
    decoded.count_packed(block.sequence_no);
    let expected = block.revision_hashes.iter().zip(&block.revision_documents);
    let revisions = expected.filter_map(|(hash, document)| {
        let (hash, document) = ((*hash)?, (*document)?);
        let table = block.documents.iter().find(|(id, _)| *id == document).map(|(_, table)| owned(*table));
        Some((hash, document.to_owned(), table))
    });
    let side = Side::Block {
        strand_id: block.strand_id.to_owned(),
        sequence_no: block.sequence_no,
        block_hash: block.block_hash,
        transaction_id: block.transaction_id.to_owned(),
        block_time: block.block_time,
        revisions: revisions.collect(),
    };
    Ok(Record { kind: "BLOCK_SUMMARY", decoded, side })
}

fn details(payload: Members<'_, '_>, names: &Names<'_>, trust_deletions: bool) -> Read<Record> {
    let (value, info) = (payload.members(members::REVISION)?, payload.members(members::TABLE_INFO)?);
    let address = value.members(members::BLOCK_ADDRESS)?;
    let (strand_id, sequence_no) = (address.id(members::STRAND_ID)?, address.sequence_no()?);
    let mut revision = revision::check(value, names, &mut Hasher::default(), trust_deletions)?;
    if revision.fault.is_some() {
        return Err(HandOver("a revision with a fault"));
    }
    let table = Table { id: info.id(members::TABLE_ID)?, name: info.table_name()? };
    revision.table = Some(table);
    let mut decoded = Decoded::default();
    decoded.deletions.extend(revision.deletion);
    if revision.state == State::Redacted {
        decoded.redacted.push((revision.document_id.to_owned(), revision.version));
    }
    decoded.rows.push_revision(sequence_no, &revision, names);
    decoded.count_packed(sequence_no);
    let side = Side::Revision {
        strand_id: strand_id.to_owned(),
        sequence_no,
        hash: revision.hash,
        document_id: revision.document_id.to_owned(),
        version: revision.version,
        table: owned(table),
        tx_id: revision.tx_id.to_owned(),
        tx_time: revision.tx_time,
    };
    Ok(Record { kind: "REVISION_DETAILS", decoded, side })
}

fn owned(table: Table<'_>) -> (String, String) {
    (table.id.to_owned(), table.name.to_owned())
}
