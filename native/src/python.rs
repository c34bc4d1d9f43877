//! The functions that Python sees; they release the GIL while they work.

use crate::block::Fault;
use crate::decode::{self, Decoded, Link};
use crate::hash::Hash;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

/// Raised by one with every change of what `decode` gives, so that an old build is not taken for a new one.
const SEAM: u32 = 3;

#[pymodule]
fn strandline_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("SEAM", SEAM)?;
    module.add_function(wrap_pyfunction!(decode_object, module)?)?;
    module.add_function(wrap_pyfunction!(values, module)?)
}

/// What an object held, as the members of `Decoded` in their order; or, as text, why it is left to the plain Python.
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

/// For tests: each top-level value's Ion Hash, JSON and Ion; or, as text, why they are left to the plain Python.
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
        (blocks, revisions, packed.first_no, packed.last_no, &rows.shapes.found, packed.in_order)
    });
    (
        links,
        rows,
        faults(&decoded.faults),
        faults(&decoded.warnings),
        decoded.redactions,
        &decoded.deletions,
        &decoded.redacted,
        &decoded.named,
    )
        .into_pyobject(py)
}

type LinkTuple<'py> = (String, i64, Bound<'py, PyBytes>, Bound<'py, PyBytes>, bool, usize, usize);

fn link_tuple<'py>(py: Python<'py>, link: &Link) -> LinkTuple<'py> {
    (
        link.strand_id.clone(),
        link.sequence_no,
        PyBytes::new(py, &link.block_hash),
        PyBytes::new(py, link.previous_hash.as_ref().map_or(&[], |hash: &Hash| hash)),
        true,
        link.revisions,
        link.system_revisions,
    )
}

fn faults(faults: &[(i64, Fault)]) -> Vec<(i64, &'static str, &str)> {
    faults.iter().map(|(sequence_no, fault)| (*sequence_no, fault.fault, fault.detail.as_str())).collect()
}
