//! The functions exported to Python; they release the GIL while they work.

use crate::block::Fault;
use crate::decode::{self, Decoded, Link, Packed};
use crate::hash::Hash;
use crate::record::{self, Side};
use crate::statement;
use crate::stored;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use std::collections::BTreeMap;

/// Incremented with every change of the functions' results, so that Python refuses an old build.
const SEAM: u32 = 10;

#[pymodule]
fn strandline_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("SEAM", SEAM)?;
    module.add_function(wrap_pyfunction!(decode_object, module)?)?;
    module.add_function(wrap_pyfunction!(decode_record, module)?)?;
    module.add_function(wrap_pyfunction!(check_stored, module)?)?;
    module.add_function(wrap_pyfunction!(statement_texts, module)?)?;
    module.add_function(wrap_pyfunction!(value, module)?)?;
    module.add_function(wrap_pyfunction!(values, module)?)
}

/// Decodes an object: the members of `Decoded` in their order; or, as text, why it is handed over.
#[pyfunction]
#[pyo3(name = "decode")]
fn decode_object<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyBytes>,
    trust_deletions: bool,
    with_rows: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let data = data.as_bytes();
    match py.detach(|| decode::decode(data, trust_deletions, with_rows)) {
        Ok(decoded) => Ok(tuple(py, &decoded)?.into_any()),
        Err(handed_over) => Ok(handed_over.0.into_pyobject(py)?.into_any()),
    }
}

/// Decodes a stream's user record: its kind, `Decoded`'s members, and its data for pairing (see `side`); or, as
/// text, why it is handed over.
#[pyfunction]
fn decode_record<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyBytes>,
    trust_deletions: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let data = data.as_bytes();
    match py.detach(|| record::decode(data, trust_deletions)) {
        Ok(record) => {
            let found = (record.kind, tuple(py, &record.decoded)?, side(py, &record.side)?);
            Ok(found.into_pyobject(py)?.into_any())
        }
        Err(handed_over) => Ok(handed_over.0.into_pyobject(py)?.into_any()),
    }
}

/// Checks stored blocks, given as binary COPYs of their rows and of their revisions': the members of `Decoded` for those
/// that hold, and the numbers of the others; or, as text, why all are handed over.
#[pyfunction]
fn check_stored<'py>(
    py: Python<'py>,
    strand_id: &str,
    blocks: &Bound<'py, PyBytes>,
    revisions: &Bound<'py, PyBytes>,
    trust_deletions: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let (blocks, revisions) = (blocks.as_bytes(), revisions.as_bytes());
    match py.detach(|| stored::check(strand_id, blocks, revisions, trust_deletions)) {
        Ok(found) => Ok((tuple(py, &found.accepted)?, found.left).into_pyobject(py)?.into_any()),
        Err(handed_over) => Ok(handed_over.0.into_pyobject(py)?.into_any()),
    }
}

/// Returns the fields in their order, or None.
fn side<'py>(py: Python<'py>, side: &Side) -> PyResult<Option<Bound<'py, PyTuple>>> {
    let found = match side {
        Side::Neither => return Ok(None),
        Side::Block { strand_id, sequence_no, block_hash, transaction_id, block_time, revisions } => {
            let revisions = revisions.iter().map(|(hash, document_id, table)| {
                (PyBytes::new(py, hash), document_id, table.as_ref().map(|(id, name)| (id, name)))
            });
            let revisions = revisions.collect::<Vec<_>>();
            let block_hash = PyBytes::new(py, block_hash);
            (strand_id, *sequence_no, block_hash, transaction_id, *block_time, revisions).into_pyobject(py)?
        }
        Side::Revision { strand_id, sequence_no, hash, document_id, version, table, tx_id, tx_time } => {
            let (hash, table) = (PyBytes::new(py, hash), (&table.0, &table.1));
            (strand_id, *sequence_no, hash, document_id, *version, table, tx_id, *tx_time)
                .into_pyobject(py)?
        }
    };
    Ok(Some(found))
}

/// Returns the statement texts of a transactionInfo; None if it is handed over.
#[pyfunction]
fn statement_texts(info: &[u8]) -> Option<Vec<String>> {
    statement::texts(info).ok()
}

/// Returns the Ion Hash and the JSON of one value; None if it is handed over.
#[pyfunction]
fn value<'py>(py: Python<'py>, data: &[u8]) -> Option<(Bound<'py, PyBytes>, String)> {
    let (hash, json) = decode::value(data).ok()?;
    Some((PyBytes::new(py, &hash), json))
}

/// For tests: each top-level value's Ion Hash, JSON and Ion; or, as text, why they are handed over.
#[pyfunction]
fn values<'py>(py: Python<'py>, data: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
    let data = data.as_bytes();
    match py.detach(|| decode::values(data)) {
        Ok(values) => {
            let values =
                values.iter().map(|(hash, json, ion)| (PyBytes::new(py, hash), json, PyBytes::new(py, ion)));
            Ok(PyList::new(py, values.collect::<Vec<_>>())?.into_any())
        }
        Err(handed_over) => Ok(handed_over.0.into_pyobject(py)?.into_any()),
    }
}

fn tuple<'py>(py: Python<'py>, decoded: &Decoded) -> PyResult<Bound<'py, PyTuple>> {
    let links = decoded.links.iter().map(|link| link_tuple(py, link)).collect::<Vec<_>>();
    let rows = decoded.packed.as_ref().map(|packed| {
        let rows = &decoded.rows;
        let (blocks, revisions) = (PyBytes::new(py, &rows.blocks), PyBytes::new(py, &rows.revisions));
        let counts = rows.counts.iter().flat_map(|(table_id, shapes)| {
            shapes.iter().map(move |(shape, count)| ((table_id, *shape), *count))
        });
        let counts = counts.collect::<BTreeMap<_, _>>();
        let Packed { first_no, last_no, in_order } = *packed;
        (blocks, revisions, first_no, last_no, in_order, &rows.shapes.found, counts, &rows.tables)
    });
    let omissions = decoded.omissions.iter();
    let omissions = omissions.map(|(number, hash, detail)| (*number, PyBytes::new(py, hash), detail));
    let omissions = omissions.collect::<Vec<_>>();
    (
        links,
        rows,
        faults(&decoded.faults),
        faults(&decoded.warnings),
        decoded.redactions,
        &decoded.deletions,
        &decoded.redacted,
        &decoded.named,
        omissions,
    )
        .into_pyobject(py)
}

type LinkTuple<'py> = (String, i64, Bound<'py, PyBytes>, Bound<'py, PyBytes>, bool, usize, usize, usize);

fn link_tuple<'py>(py: Python<'py>, link: &Link) -> LinkTuple<'py> {
    (
        link.strand_id.clone(),
        link.sequence_no,
        PyBytes::new(py, &link.block_hash),
        PyBytes::new(py, link.previous_hash.as_ref().map_or(&[], |hash: &Hash| hash)),
        true,
        link.revisions,
        link.system_revisions,
        link.unexplained,
    )
}

fn faults(faults: &[(i64, Fault)]) -> Vec<(i64, &'static str, &str)> {
    faults.iter().map(|(sequence_no, fault)| (*sequence_no, fault.fault, fault.detail.as_str())).collect()
}
