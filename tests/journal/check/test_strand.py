"""The chain of a strand's blocks, and its digests."""

from strandline.journal.check import merkle
from strandline.journal.check.strand import Chain
from tests.journals import small_journal

BLOCKS = [(b["blockAddress"]["sequenceNo"], b["blockHash"], b["previousBlockHash"]) for b in small_journal()]
HASHES = [block_hash for _, block_hash, _ in BLOCKS]


def faults_of(
    blocks: list[tuple[int, bytes, bytes]], tip: int | None = None
) -> tuple[Chain, list[tuple[int | None, str]]]:
    chain = Chain(tip)
    return chain, [(fault.sequence_no, fault.fault) for block in blocks for fault in chain.add(*block)]


def test_unbroken_strand_has_no_faults() -> None:
    chain, faults = faults_of(BLOCKS)
    assert faults == []
    assert (chain.first_no, chain.last_no) == (0, 8)
    assert chain.digest == merkle.root(HASHES)


def test_digest_is_computed_for_every_tip() -> None:
    for tip in range(9):
        assert faults_of(BLOCKS, tip)[0].digest == merkle.root(HASHES[: tip + 1])


def test_digest_is_none_without_all_blocks() -> None:
    assert faults_of(BLOCKS, 9)[0].digest is None
    assert faults_of(BLOCKS[1:])[0].digest is None
    assert faults_of(BLOCKS[:3] + BLOCKS[4:])[0].digest is None
    assert faults_of([])[0].digest is None


def test_digest_below_a_gap_still_holds() -> None:
    assert faults_of(BLOCKS[:5] + BLOCKS[6:], 4)[0].digest == merkle.root(HASHES[:5])


def test_broken_links_are_faults() -> None:
    assert faults_of(BLOCKS[:3] + BLOCKS[5:])[1] == [(3, "missing")]
    assert faults_of([(0, HASHES[0], b"before")])[1] == [(0, "previousBlockHash")]
    assert faults_of([*BLOCKS[:4], (4, b"x" * 32, b"y" * 32)])[1] == [(4, "previousBlockHash")]
    assert faults_of(BLOCKS[4:])[1] == []
