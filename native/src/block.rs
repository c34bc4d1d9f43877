//! Checks a block of an export as `journal/check/block.py` does (`check_block`): same checks, order and messages.
//!
//! Checks only the forms that exports in Ion have; a block of another shape is handed over.

use crate::hash::{Hash, Hasher};
use crate::members::{self, Members};
use crate::merkle::{dot, root};
use crate::revision::{self, Revision, RevisionFault, Table};
use crate::statement;
use crate::value::{Field, HandOver, IonType, Names, Read, Value};

/// The longest time from txTime to blockTimestamp, in microseconds.
const MOST_TIME_TO_BLOCK: i64 = 60_000_000;
/// Members of entriesHashList that are QLDB's own.
const OWN_ENTRIES: usize = 2;
/// QLDB's own quota is 40 documents a transaction; the linear search is too slow for many more.
const MOST_DOCUMENTS: usize = 200;

/// A failed check: the member, and why.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Fault {
    pub fault: &'static str,
    pub detail: String,
}

/// A revision that a block's redactionInfo names.
#[allow(missing_docs)]
pub struct Redaction<'v> {
    pub sequence_no: i64,
    pub table_id: &'v str,
    pub document_id: &'v str,
    pub version: i64,
}

/// A block and its faults; nothing of a block with a fault may be used as verified.
#[allow(missing_docs)]
pub struct Block<'v, 'a> {
    pub strand_id: &'v str,
    pub sequence_no: i64,
    pub block_hash: Hash,
    pub previous_hash: Option<Hash>,
    pub transaction_id: &'v str,
    pub block_time: i64,
    pub entries: Vec<Option<Hash>>,
    pub transaction_info: Option<&'v [Field<'a>]>,
    pub redaction_info: Option<&'v [Field<'a>]>,
    pub redactions: Vec<Redaction<'v>>,
    pub documents: Vec<(&'v str, Table<'v>)>,
    pub statements: Vec<&'v str>,
    pub revision_hashes: Vec<Option<Hash>>,
    pub revision_documents: Vec<Option<&'v str>>,
    pub revisions: Vec<Revision<'v, 'a>>,
    /// True if no revisions arrive separately.
    pub complete: bool,
    /// The hash of transactionInfo, if there is one.
    info_hash: Option<Hash>,
    /// The hash of redactionInfo, if there is one.
    redaction_hash: Option<Hash>,
    /// The members of entriesHashList that are the hash of no part of the block.
    pub unexplained: usize,
    /// Why the block is not shown to be complete.
    pub omissions: Vec<String>,
    pub faults: Vec<Fault>,
    pub warnings: Vec<Fault>,
}

/// Checks a block of an export.
pub fn check<'v, 'a>(
    value: &'v Value<'a>,
    names: &'v Names<'a>,
    hasher: &mut Hasher,
    trust_deletions: bool,
) -> Read<Block<'v, 'a>> {
    let value = Members::of(value)?;
    if value.get(members::REVISIONS).is_none() && value.get(members::REVISION_SUMMARIES).is_some() {
        return Err(HandOver("a block summary of a stream"));
    }
    let mut block = Block::begin(value, names, hasher)?;
    block.check_revisions(value.list(members::REVISIONS)?, names, hasher, trust_deletions)?;
    block.check_cross_references();
    block.account_for_entries();
    Ok(block)
}

/// Checks a stream's summary of a block, whose revisions arrive separately.
pub fn check_summary<'v, 'a>(
    value: Members<'v, 'a>,
    names: &'v Names<'a>,
    hasher: &mut Hasher,
) -> Read<Block<'v, 'a>> {
    if value.get(members::REVISIONS).is_some() {
        return Err(HandOver("a summary with whole revisions"));
    }
    let mut block = Block::begin(value, names, hasher)?;
    block.read_summaries(value.list(members::REVISION_SUMMARIES)?)?;
    block.check_cross_references();
    block.account_for_entries();
    Ok(block)
}

fn entries(value: Members<'_, '_>) -> Read<Vec<Option<Hash>>> {
    match value.get(members::ENTRIES_HASH_LIST) {
        Some(Value::List(hashes)) => hashes.iter().map(members::hash).collect(),
        _ => Err(HandOver("entriesHashList is missing or not a list")),
    }
}

impl<'v, 'a> Block<'v, 'a> {
    /// Checks a block without its revisions.
    fn begin(value: Members<'v, 'a>, names: &'v Names<'a>, hasher: &mut Hasher) -> Read<Self> {
        let address = value.members(members::BLOCK_ADDRESS)?;
        let mut block = Block {
            strand_id: address.id(members::STRAND_ID)?,
            sequence_no: address.sequence_no()?,
            block_hash: value.hash(members::BLOCK_HASH)?,
            previous_hash: value.hash_or_empty(members::PREVIOUS_BLOCK_HASH)?,
            transaction_id: value.id(members::TRANSACTION_ID)?,
            block_time: value.time(members::BLOCK_TIMESTAMP)?,
            entries: entries(value)?,
            transaction_info: None,
            redaction_info: None,
            redactions: Vec::new(),
            documents: Vec::new(),
            statements: Vec::new(),
            revision_hashes: Vec::new(),
            revision_documents: Vec::new(),
            revisions: Vec::new(),
            complete: true,
            info_hash: None,
            redaction_hash: None,
            unexplained: 0,
            omissions: Vec::new(),
            faults: Vec::new(),
            warnings: Vec::new(),
        };
        if value.get(members::ERASED_TRANSACTION_INFO).is_some() {
            return Err(HandOver("a block whose statements are erased"));
        }
        block.check_hashes(value.hash(members::ENTRIES_HASH)?);
        block.read_transaction(value, names, hasher)?;
        block.read_redactions(value, names, hasher)?;
        Ok(block)
    }

    fn fault(&mut self, fault: &'static str, detail: impl Into<String>) {
        self.faults.push(Fault { fault, detail: detail.into() });
    }

    fn check_hashes(&mut self, entries_hash: Hash) {
        if root(&self.entries) != Some(entries_hash) {
            self.fault("entriesHash", "is not the Merkle root of entriesHashList");
        }
        if dot(Some(&entries_hash), self.previous_hash.as_ref()) != Some(self.block_hash) {
            self.fault("blockHash", "is not the hash of entriesHash and previousBlockHash");
        }
    }

    fn read_transaction(
        &mut self,
        value: Members<'v, 'a>,
        names: &'v Names<'a>,
        hasher: &mut Hasher,
    ) -> Read<()> {
        let Some(info) = value.value(members::TRANSACTION_INFO)? else { return Ok(()) };
        let info = Members::of(info)?;
        self.transaction_info = Some(info.0);
        self.info_hash = Some(hasher.hash_struct(info.0, names));
        if !self.entries.contains(&self.info_hash) {
            self.fault("transactionInfo", "its hash is not in entriesHashList");
        }
        for statement in info.list(members::STATEMENTS)? {
            self.statements.push(Members::of(statement)?.text(members::STATEMENT)?);
        }
        let documents = match info.get(members::DOCUMENTS) {
            None | Some(Value::Null(IonType::Null)) => return Ok(()),
            Some(documents) => Members::of(documents)?.0,
        };
        if documents.len() > MOST_DOCUMENTS {
            return Err(HandOver("very many documents"));
        }
        for (name, document) in documents {
            let document_id = names.text(*name).filter(|text| members::is_id(text));
            let document_id = document_id.ok_or(HandOver("a document without id"))?;
            let document = Members::of(document)?;
            let table = Table { id: document.id(members::TABLE_ID)?, name: document.table_name()? };
            self.documents.push((document_id, table));
        }
        Ok(())
    }

    fn read_redactions(
        &mut self,
        value: Members<'v, 'a>,
        names: &Names<'_>,
        hasher: &mut Hasher,
    ) -> Read<()> {
        let Some(info) = value.value(members::REDACTION_INFO)? else { return Ok(()) };
        let info = Members::of(info)?;
        self.redaction_info = Some(info.0);
        self.redaction_hash = Some(hasher.hash_struct(info.0, names));
        if !self.entries.contains(&self.redaction_hash) {
            self.fault("redactionInfo", "its hash is not in entriesHashList");
        }
        if info.value(members::REVISIONS)?.is_none() {
            return Err(HandOver("a redactionInfo without revisions"));
        }
        for revision in info.list(members::REVISIONS)? {
            let revision = Members::of(revision)?;
            let address = revision.members(members::BLOCK_ADDRESS)?;
            if address.id(members::STRAND_ID)? != self.strand_id {
                self.fault("redactionInfo", "names a revision of another strand");
            }
            self.redactions.push(Redaction {
                sequence_no: address.sequence_no()?,
                table_id: revision.id(members::TABLE_ID)?,
                document_id: revision.id(members::DOCUMENT_ID)?,
                version: revision.number(members::VERSION)?,
            });
        }
        Ok(())
    }

    fn check_revisions(
        &mut self,
        revisions: &'v [Value<'a>],
        names: &Names<'_>,
        hasher: &mut Hasher,
        trust_deletions: bool,
    ) -> Read<()> {
        for value in revisions {
            let value = Members::of(value)?;
            if value.get(members::METADATA).is_none() {
                self.revision_hashes.push(Some(value.hash(members::HASH)?));
                self.revision_documents.push(None);
                if value.value(members::DATA)?.is_some() || value.value(members::DATA_HASH)?.is_some() {
                    self.fault("revision", "a system revision holds more than a hash");
                }
                continue;
            }
            let mut revision = revision::check(value, names, hasher, trust_deletions)?;
            revision.table =
                self.documents.iter().find(|(id, _)| *id == revision.document_id).map(|(_, table)| *table);
            self.revision_hashes.push(Some(revision.hash));
            self.revision_documents.push(Some(revision.document_id));
            self.name_revision_faults(value, &revision)?;
            self.revisions.push(revision);
        }
        if self.revisions.len() > MOST_DOCUMENTS {
            return Err(HandOver("very many revisions"));
        }
        self.check_revisions_root();
        Ok(())
    }

    fn read_summaries(&mut self, summaries: &'v [Value<'a>]) -> Read<()> {
        for summary in summaries {
            let summary = Members::of(summary)?;
            self.revision_hashes.push(Some(summary.hash(members::HASH)?));
            let named = summary.value(members::DOCUMENT_ID)?;
            self.revision_documents.push(named.map(|_| summary.id(members::DOCUMENT_ID)).transpose()?);
        }
        self.complete = self.revision_documents.iter().all(Option::is_none);
        self.check_revisions_root();
        Ok(())
    }

    fn check_revisions_root(&mut self) {
        if !self.revision_hashes.is_empty() && !self.entries.contains(&root(&self.revision_hashes)) {
            self.fault("revisions", "the Merkle root of the revisions' hashes is not in entriesHashList");
        }
    }

    fn name_revision_faults(&mut self, value: Members<'v, 'a>, revision: &Revision<'v, 'a>) -> Read<()> {
        let name = || format!("revision {} version {}", revision.document_id, revision.version);
        match revision.fault {
            Some(RevisionFault::Deletion) => {
                self.fault("deletion-hash", name() + ": has no data, and its hash is not that of a deletion");
            }
            Some(RevisionFault::Hash(fault)) => self.fault("revision-hash", format!("{}: {fault}", name())),
            None => {}
        }
        let address = value.members(members::BLOCK_ADDRESS)?;
        if address.id(members::STRAND_ID)? != self.strand_id || address.sequence_no()? != self.sequence_no {
            self.fault("revision-address", name() + ": its blockAddress is not this block's");
        }
        Ok(())
    }

    /// Checks members that no hash covers against members that one does (docs/verification.md).
    fn check_cross_references(&mut self) {
        let mut named: Vec<&str> = self.revision_documents.iter().copied().flatten().collect();
        named.sort_unstable();
        named.dedup();
        // A transaction that redacts may or may not name the redacted document: no real one was available.
        let redacts = |id: &str| self.redactions.iter().any(|redaction| redaction.document_id == id);
        let lists = |id: &str| self.documents.iter().any(|(listed, _)| *listed == id);
        let differ = self.documents.iter().any(|(id, _)| named.binary_search(id).is_err() && !redacts(id))
            || named.iter().any(|id| !lists(id) && !redacts(id));
        if differ {
            let (listed, found) = (self.documents.len(), named.len());
            let detail =
                format!("transactionInfo names {listed} documents, the revisions {found}; they differ");
            self.fault("documents", detail);
        }
        for revision in &self.revisions {
            if revision.tx_id != self.transaction_id {
                let detail =
                    format!("revision {}: its txId is not the block's transactionId", revision.document_id);
                self.faults.push(Fault { fault: "transactionId", detail });
            }
            if !(revision.tx_time..revision.tx_time + MOST_TIME_TO_BLOCK).contains(&self.block_time) {
                let detail = "is not within a minute after the revisions' txTime".to_owned();
                self.warnings.push(Fault { fault: "blockTimestamp", detail });
            }
        }
    }

    /// Counts the members of entriesHashList that no part of the block explains, and finds omissions.
    fn account_for_entries(&mut self) {
        let mut unexplained: Vec<Hash> = self.entries.iter().flatten().copied().collect();
        let revisions = if self.revision_hashes.is_empty() { None } else { root(&self.revision_hashes) };
        for digest in [self.info_hash, revisions, self.redaction_hash].into_iter().flatten() {
            if let Some(place) = unexplained.iter().position(|entry| *entry == digest) {
                unexplained.swap_remove(place);
            }
        }
        self.unexplained = unexplained.len();
        let redacts = self.statements.iter().any(|text| matches!(statement::kind(text), "EXEC" | "EXECUTE"));
        if self.redaction_info.is_none() && redacts {
            self.omissions.push("a statement redacts, and there is no redactionInfo".to_owned());
        }
        // Block 0 comes before every table, so it holds nothing of a user's.
        if self.unexplained > OWN_ENTRIES && self.transaction_info.is_none() && self.sequence_no > 0 {
            self.omissions.push(format!(
                "{} members of entriesHashList are the hash of nothing in the block; {OWN_ENTRIES} are QLDB's own",
                self.unexplained
            ));
        }
    }
}
