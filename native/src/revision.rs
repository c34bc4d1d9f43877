//! Checks a revision (`journal/check/block.py`, `check_revision`).

use crate::hash::{Hash, Hasher, sha256};
use crate::members::{self, Members};
use crate::merkle::dot;
use crate::value::{Names, Precision, Read, Value};

/// The state of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// With data.
    Normal,
    /// With the hash of the erased data instead.
    Redacted,
    /// With neither: it deleted the document.
    Deleted,
}

/// A document's table: id and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Table<'v> {
    pub id: &'v str,
    pub name: &'v str,
}

/// A revision and the contents that its hash covers.
#[allow(missing_docs)]
pub struct Revision<'v, 'a> {
    pub hash: Hash,
    pub document_id: &'v str,
    pub version: i64,
    pub state: State,
    pub metadata: Members<'v, 'a>,
    pub tx_id: &'v str,
    pub tx_time: i64,
    pub data: Option<&'v Value<'a>>,
    pub data_hash: Option<Hash>,
    pub table: Option<Table<'v>>,
    /// The form of a deletion's hash.
    pub deletion: Option<&'static str>,
    pub fault: Option<RevisionFault>,
}

/// Why a revision's hash does not hold.
#[allow(missing_docs)]
pub enum RevisionFault {
    Deletion,
    Hash(&'static str),
}

/// Checks a revision that is not the system's.
pub fn check<'v, 'a>(
    value: Members<'v, 'a>,
    names: &Names<'_>,
    hasher: &mut Hasher,
    trust_deletions: bool,
) -> Read<Revision<'v, 'a>> {
    let metadata = value.members(members::METADATA)?;
    let mut revision = Revision {
        hash: value.hash(members::HASH)?,
        document_id: metadata.id(members::ID)?,
        version: metadata.number(members::VERSION)?,
        state: State::Normal,
        metadata,
        tx_id: metadata.id(members::TX_ID)?,
        tx_time: metadata.time(members::TX_TIME)?,
        data: value.value(members::DATA)?,
        data_hash: None,
        table: None,
        deletion: None,
        fault: None,
    };
    let data_hash = value.value(members::DATA_HASH)?;
    if let Some(data) = revision.data {
        // The plain Python treats a typed null like a hash here.
        if !matches!(value.get(members::DATA_HASH), None | Some(Value::Null(crate::value::IonType::Null))) {
            revision.fault = Some(RevisionFault::Hash("holds both data and dataHash"));
            return Ok(revision);
        }
        revision.data_hash = Some(hasher.hash(data, names));
    } else if data_hash.is_some() {
        revision.state = State::Redacted;
        revision.data_hash = Some(value.hash(members::DATA_HASH)?);
    } else {
        revision.state = State::Deleted;
    }
    let metadata_hash = hasher.hash_struct(metadata.0, names);
    if revision.state == State::Deleted {
        revision.deletion = deletion_form(&metadata_hash, &revision.hash, trust_deletions);
        revision.fault = if revision.deletion.is_none() { Some(RevisionFault::Deletion) } else { None };
    } else if dot(Some(&metadata_hash), revision.data_hash.as_ref()) != Some(revision.hash) {
        revision.fault = Some(RevisionFault::Hash(match revision.state {
            State::Redacted => "its hash is not that of its metadata and dataHash",
            _ => "its hash is not that of its metadata and data",
        }));
    }
    Ok(revision)
}

impl Revision<'_, '_> {
    /// True if the row's other columns reproduce exactly this metadata and its hash.
    pub fn is_plain_metadata(&self) -> bool {
        let Some(Value::Timestamp(time)) = self.metadata.get(members::TX_TIME) else { return false };
        self.metadata.0.len() == 4
            && time.precision == Precision::Second
            && time.fraction_digits == 3
            && time.offset == Some(0)
    }
}

/// Returns the form of a deletion's hash: metadata and nothing (AWS's Java verifier), metadata alone, or metadata
/// and a null (docs/qldb-formats.md, "Hashes").
fn deletion_form(metadata_hash: &Hash, hash: &Hash, trust_deletions: bool) -> Option<&'static str> {
    let null = sha256(&[0x0B, 0x0F, 0x0E]);
    if dot(Some(metadata_hash), Some(&sha256(&[]))) == Some(*hash) {
        Some("nothing")
    } else if metadata_hash == hash {
        Some("metadata")
    } else if dot(Some(metadata_hash), Some(&null)) == Some(*hash) {
        Some("null")
    } else if trust_deletions {
        Some("trusted")
    } else {
        None
    }
}
