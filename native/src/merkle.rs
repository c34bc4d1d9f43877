//! QLDB's `dot` and its Merkle tree (QLDB developer guide, "Verification"; AWS's Java verifier).

use crate::hash::{Hash, sha256};
use std::cmp::Ordering;

/// Returns the SHA-256 of both hashes, the smaller first as signed bytes from the last; if one is empty, the other.
pub fn dot(a: Option<&Hash>, b: Option<&Hash>) -> Option<Hash> {
    let (Some(a), Some(b)) = (a, b) else { return a.or(b).copied() };
    let (first, second) = if order(a, b) == Ordering::Greater { (b, a) } else { (a, b) };
    Some(sha256([*first, *second].as_flattened()))
}

/// Returns the Merkle root of the hashes in their order (an odd last one moves up unchanged); none for none.
pub fn root(hashes: &[Option<Hash>]) -> Option<Hash> {
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level.chunks(2).map(parent).collect();
    }
    level.first().copied().flatten()
}

fn parent(pair: &[Option<Hash>]) -> Option<Hash> {
    match pair {
        [a, b] => dot(a.as_ref(), b.as_ref()),
        [odd] => *odd,
        _ => None,
    }
}

fn order(a: &Hash, b: &Hash) -> Ordering {
    let signed = |hash: &Hash| hash.map(|byte| byte.cast_signed());
    signed(a).iter().rev().cmp(signed(b).iter().rev())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_operand_gives_the_other() {
        assert_eq!(dot(None, None), None);
        assert_eq!(dot(Some(&[1; 32]), None), Some([1; 32]));
        assert_eq!(root(&[None, Some([2; 32]), None]), Some([2; 32]));
    }

    #[test]
    fn bytes_are_compared_as_signed_from_the_last() {
        let (mut a, mut b) = ([0; 32], [0; 32]);
        a[31] = 0x80; // the smaller one: -128
        b[31] = 0x01;
        b[0] = 0xFF;
        assert_eq!(dot(Some(&b), Some(&a)), Some(sha256(&[a, b].concat())));
        assert_eq!(dot(Some(&a), Some(&b)), dot(Some(&b), Some(&a)));
    }
}
