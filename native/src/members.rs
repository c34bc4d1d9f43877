//! Reads the members of a block's structs as the required types; a member of another type is handed over.

use crate::calendar::microseconds;
use crate::hash::Hash;
use crate::symbols::SYSTEM;
use crate::value::{Field, HandOver, IonType, Magnitude, NameId, Read, Value};

const LONGEST_ID: usize = 128;
const MOST_SEQUENCE_NO: i64 = 1 << 62;

macro_rules! members {
    ($($constant:ident $text:literal,)*) => {
        /// The names of the members, which follow the system's symbols in [`crate::value::Names`].
        pub const NAMES: &[&str] = &[$($text),*];

        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Place { $($constant),* }

        $(#[doc = $text] pub const $constant: NameId = SYSTEM.len() + 1 + Place::$constant as usize;)*
    };
}

members! {
    BLOCK_ADDRESS "blockAddress",
    STRAND_ID "strandId",
    SEQUENCE_NO "sequenceNo",
    TRANSACTION_ID "transactionId",
    BLOCK_TIMESTAMP "blockTimestamp",
    BLOCK_HASH "blockHash",
    ENTRIES_HASH "entriesHash",
    PREVIOUS_BLOCK_HASH "previousBlockHash",
    ENTRIES_HASH_LIST "entriesHashList",
    TRANSACTION_INFO "transactionInfo",
    ERASED_TRANSACTION_INFO "erasedTransactionInfo",
    REDACTION_INFO "redactionInfo",
    REVISIONS "revisions",
    REVISION_SUMMARIES "revisionSummaries",
    STATEMENTS "statements",
    STATEMENT "statement",
    DOCUMENTS "documents",
    TABLE_ID "tableId",
    TABLE_NAME "tableName",
    DOCUMENT_ID "documentId",
    HASH "hash",
    DATA "data",
    DATA_HASH "dataHash",
    METADATA "metadata",
    ID "id",
    TX_TIME "txTime",
    TX_ID "txId",
    RECORD_TYPE "recordType",
    CONTROL_RECORD_TYPE "controlRecordType",
    PAYLOAD "payload",
    REVISION "revision",
    TABLE_INFO "tableInfo",
}

/// The system's symbol of that text.
pub const VERSION: NameId = 5;

/// A struct's members.
#[derive(Clone, Copy)]
pub struct Members<'v, 'a>(pub &'v [Field<'a>]);

impl<'v, 'a> Members<'v, 'a> {
    /// Returns the members of a struct.
    pub fn of(value: &'v Value<'a>) -> Read<Self> {
        match value {
            Value::Struct(fields) => Ok(Self(fields)),
            _ => Err(HandOver("a member that is not a struct")),
        }
    }

    /// Returns a member, if present.
    pub fn get(self, name: NameId) -> Option<&'v Value<'a>> {
        self.0.iter().find(|(id, _)| *id == name).map(|(_, value)| value)
    }

    /// Returns a member that is present and not a null of any type.
    pub fn value(self, name: NameId) -> Read<Option<&'v Value<'a>>> {
        match self.get(name) {
            Some(Value::Annotated(annotated)) if matches!(annotated.1, Value::Null(_)) => {
                Err(HandOver("an annotated null"))
            }
            value => Ok(value.filter(|value| !matches!(value, Value::Null(_)))),
        }
    }

    /// Reads a struct.
    pub fn members(self, name: NameId) -> Read<Self> {
        self.get(name).map(Self::of).unwrap_or(Err(HandOver("a struct that is missing")))
    }

    /// Reads a list; empty if missing or null.
    pub fn list(self, name: NameId) -> Read<&'v [Value<'a>]> {
        match self.get(name) {
            None | Some(Value::Null(IonType::Null)) => Ok(&[]),
            Some(Value::List(members)) => Ok(members),
            Some(_) => Err(HandOver("a member that is not a list")),
        }
    }

    /// Reads a string.
    pub fn text(self, name: NameId) -> Read<&'v str> {
        match self.get(name) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(HandOver("a member that is not text")),
        }
    }

    /// Reads an id: printable ASCII, not long.
    pub fn id(self, name: NameId) -> Read<&'v str> {
        let text = self.text(name)?;
        if is_id(text) { Ok(text) } else { Err(HandOver("a member that is not an id")) }
    }

    /// Reads the name of a table.
    pub fn table_name(self) -> Read<&'v str> {
        let name = self.text(TABLE_NAME)?;
        if name.is_empty() { Err(HandOver("an empty table name")) } else { Ok(name) }
    }

    /// Reads the number of a block.
    pub fn sequence_no(self) -> Read<i64> {
        let number = self.number(SEQUENCE_NO)?;
        if number > MOST_SEQUENCE_NO { Err(HandOver("a sequence number out of range")) } else { Ok(number) }
    }

    /// Reads a whole number from 0 that fits a bigint.
    pub fn number(self, name: NameId) -> Read<i64> {
        match self.get(name) {
            Some(Value::Int { negative: false, magnitude: Magnitude::Small(value) }) => {
                i64::try_from(*value).map_err(|_| HandOver("a number of too many bits"))
            }
            _ => Err(HandOver("a member that is not a whole number")),
        }
    }

    /// Reads a SHA-256 hash.
    pub fn hash(self, name: NameId) -> Read<Hash> {
        self.get(name)
            .and_then(|value| hash(value).ok().flatten())
            .ok_or(HandOver("a member that is not a hash"))
    }

    /// Reads a SHA-256 hash, or none if it is empty.
    pub fn hash_or_empty(self, name: NameId) -> Read<Option<Hash>> {
        self.get(name).map(hash).unwrap_or(Err(HandOver("a hash that is missing")))
    }

    /// Reads a time, in microseconds from 2000.
    pub fn time(self, name: NameId) -> Read<i64> {
        match self.get(name) {
            Some(Value::Timestamp(time)) => {
                microseconds(time).ok_or(HandOver("a time that a block does not hold"))
            }
            _ => Err(HandOver("a member that is not a time")),
        }
    }
}

/// Returns true for a printable, short text.
pub fn is_id(text: &str) -> bool {
    (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Reads a SHA-256 hash, or none if it is empty.
pub fn hash(value: &Value<'_>) -> Read<Option<Hash>> {
    match value {
        Value::Blob(data) if data.is_empty() => Ok(None),
        Value::Blob(data) => {
            data.as_ref().try_into().map(Some).map_err(|_| HandOver("a hash of another length"))
        }
        _ => Err(HandOver("a member that is not a hash")),
    }
}
