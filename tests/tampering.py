"""Changes to the small journal, and the block and fault, or the omission, that each must give."""

from strandline.journal.check import merkle
from strandline.journal.ion.hash import ion_hash
from tests.journals import Block, small_journal


def change_data(blocks: list[Block]) -> None:
    blocks[3]["revisions"][0]["data"]["status"] = "Valid"


def change_type_only(blocks: list[Block]) -> None:
    blocks[3]["revisions"][0]["data"]["status"] = b"Revoked"


def change_metadata(blocks: list[Block]) -> None:
    blocks[3]["revisions"][0]["metadata"]["version"] = 7


def drop_block(blocks: list[Block]) -> None:
    del blocks[4]


def swap_blocks(blocks: list[Block]) -> None:
    blocks[3], blocks[4] = blocks[4], blocks[3]


def swap_numbers(blocks: list[Block]) -> None:
    blocks[4]["blockAddress"]["sequenceNo"], blocks[5]["blockAddress"]["sequenceNo"] = 5, 4
    blocks[4], blocks[5] = blocks[5], blocks[4]


def twice_with_other_content(blocks: list[Block]) -> None:
    forged = small_journal()[4]
    forged["entriesHashList"][0] = ion_hash("forged")
    forged["entriesHash"] = merkle.root(forged["entriesHashList"])
    forged["blockHash"] = merkle.dot(forged["entriesHash"], forged["previousBlockHash"])
    blocks.append(forged)


def drop_revision(blocks: list[Block]) -> None:
    del blocks[2]["revisions"][1]


def drop_all_revisions(blocks: list[Block]) -> None:
    del blocks[3]["revisions"]


def drop_system_revision(blocks: list[Block]) -> None:
    blocks[1]["revisions"] = [{"hash": ion_hash("other")}]


def move_revision(blocks: list[Block]) -> None:
    blocks[5]["revisions"].append(blocks[3]["revisions"].pop())


def false_data_hash(blocks: list[Block]) -> None:
    revision = blocks[3]["revisions"][0]
    del revision["data"]
    revision["dataHash"] = ion_hash("forged")


def drop_data(blocks: list[Block]) -> None:
    del blocks[3]["revisions"][0]["data"]


def change_statement(blocks: list[Block]) -> None:
    blocks[3]["transactionInfo"]["statements"][0]["statement"] = "UPDATE Licence SET points = ?"


def drop_transaction_info(blocks: list[Block]) -> None:
    del blocks[3]["transactionInfo"]


def forge_redaction(blocks: list[Block]) -> None:
    blocks[7]["redactionInfo"]["revisions"][0]["version"] = 1


def add_redaction(blocks: list[Block]) -> None:
    blocks[4]["redactionInfo"] = small_journal()[7]["redactionInfo"]


def cut_link(blocks: list[Block]) -> None:
    blocks[5]["previousBlockHash"] = ion_hash("elsewhere")


def relink(blocks: list[Block]) -> None:
    cut_link(blocks)
    blocks[5]["blockHash"] = merkle.dot(blocks[5]["entriesHash"], blocks[5]["previousBlockHash"])


def change_entry(blocks: list[Block]) -> None:
    blocks[4]["entriesHashList"][2] = ion_hash("other")


def change_address(blocks: list[Block]) -> None:
    blocks[3]["revisions"][0]["blockAddress"] = {"strandId": "Strand0000000000000000", "sequenceNo": 2}


def change_transaction_id(blocks: list[Block]) -> None:
    blocks[3]["transactionId"] = "Transaction99999999999"


def drop_member(blocks: list[Block]) -> None:
    del blocks[3]["entriesHashList"]


def other_strand(blocks: list[Block]) -> None:
    blocks[8] = small_journal("OtherStrand00000000000")[8]


TABLE = [
    (change_data, (3, "revision-hash")),
    (change_type_only, (3, "revision-hash")),
    (change_metadata, (3, "revision-hash")),
    (drop_block, (4, "missing")),
    (swap_blocks, (4, "order")),
    (swap_numbers, (5, "previousBlockHash")),
    (twice_with_other_content, (4, "conflict")),
    (drop_revision, (2, "revisions")),
    (drop_all_revisions, (3, "documents")),
    (drop_system_revision, (1, "revisions")),
    (move_revision, (5, "revisions")),
    (false_data_hash, (3, "revision-hash")),
    (drop_data, (3, "deletion-hash")),
    (change_statement, (3, "transactionInfo")),
    (drop_transaction_info, (3, "documents")),
    (forge_redaction, (7, "redactionInfo")),
    (add_redaction, (4, "redactionInfo")),
    (cut_link, (5, "blockHash")),
    (relink, (5, "previousBlockHash")),
    (change_entry, (4, "entriesHash")),
    (change_address, (3, "revision-address")),
    (change_transaction_id, (3, "transactionId")),
    (drop_member, (3, "shape")),
    (other_strand, (8, "strand")),
]


def strip_block(blocks: list[Block]) -> None:
    """Take everything but the hashes out of block 3."""
    del blocks[3]["transactionInfo"], blocks[3]["revisions"]


def strip_revisions_to_hashes(blocks: list[Block]) -> None:
    """Let the revisions of block 3 look like the system's."""
    del blocks[3]["transactionInfo"]
    blocks[3]["revisions"] = [{"hash": revision["hash"]} for revision in blocks[3]["revisions"]]


def strip_redaction(blocks: list[Block]) -> None:
    """Hide a redaction, whose statement stays."""
    del blocks[7]["redactionInfo"]


def strip_redacting_block(blocks: list[Block]) -> None:
    """Hide a redaction with its statement."""
    del blocks[7]["redactionInfo"], blocks[7]["transactionInfo"]


OMISSIONS = [
    (strip_block, 3),
    (strip_revisions_to_hashes, 3),
    (strip_redaction, 7),
    (strip_redacting_block, 7),
]
"""Changes that no hash shows, and the block that each leaves incomplete."""
