//! A block of QLDB's own verifies; with any byte changed it neither panics nor verifies as another block.

use strandline_native::decode::{Decoded, Packed, decode};
use strandline_native::value::HandOver;

const BLOCK: &[u8] = include_bytes!("../../tests/vectors/blocks/aws-cli_get-block_seq100.ion");

#[test]
fn real_block_verifies() {
    let decoded = decode(BLOCK, false, true).unwrap();

    assert!(decoded.faults.is_empty() && decoded.warnings.is_empty());
    assert_eq!(decoded.packed, Some(Packed { first_no: 100, last_no: 100, in_order: true }));
    let [link] = &decoded.links[..] else { panic!("one block") };
    assert_eq!((link.sequence_no, link.revisions, link.system_revisions), (100, 1, 0));
    assert!(decoded.rows.blocks.starts_with(&[0, 16]) && decoded.rows.revisions.starts_with(&[0, 15]));
}

#[test]
fn changed_statement_is_a_fault() {
    let text = str::from_utf8(BLOCK).unwrap().replacen("FROM", "from", 1);
    let decoded = decode(text.as_bytes(), false, true).unwrap();

    let faults: Vec<_> = decoded.faults.iter().map(|(number, fault)| (*number, fault.fault)).collect();
    assert_eq!(faults, [(100, "transactionInfo")]);
    assert_eq!(decoded.packed, None);
}

#[test]
fn no_changed_byte_panics_or_changes_what_verifies() {
    let rows = decode(BLOCK, false, true).unwrap().rows.revisions;
    for index in 0..BLOCK.len() {
        for bit in [0x01, 0x04, 0x20, 0x80] {
            let mut changed = BLOCK.to_vec();
            changed[index] ^= bit;
            if let Ok(Decoded { packed: Some(_), rows: found, .. }) = decode(&changed, false, true) {
                assert!(found.revisions == rows, "byte {index}");
            }
        }
        assert!(decode(&BLOCK[..index], false, true).is_err() || BLOCK[..index].trim_ascii().len() < 10);
    }
}

#[test]
fn rare_input_is_handed_over() {
    let why = |data: &[u8]| decode(data, false, true).err();

    assert_eq!(why(b"{\"blockAddress\": {}}"), Some(HandOver("JSON")));
    assert_eq!(why(b"\x1F\x8B"), Some(HandOver("not UTF-8")));
    assert_eq!(why(b"{a:1,a:2}"), Some(HandOver("a struct with a repeated field")));
    assert_eq!(why(b"{a:1}"), Some(HandOver("a struct that is missing")));
    assert_eq!(why(b"5"), Some(HandOver("a member that is not a struct")));
}
