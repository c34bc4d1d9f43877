"""The strand of a simulated journal: the times and the contents of its blocks."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from strandline.journal.check.merkle import Frontier
from strandline.journal.ion.values import Timestamp
from strandline.journal.make.block import BlockMaker, NewRedaction, Statement, timestamp
from strandline.journal.simulation.ledger import SimulatedLedger, Transaction, new_id

_FIRST_TIME = 1_672_628_400_000  # 2023-01-02T03:00:00Z


@dataclass(frozen=True)
class Simulated:
    """Counts of a simulated journal; `revisions` and `deletions` exclude the system's, `digest` covers up to `tip`."""

    strand_id: str
    blocks: int
    revisions: int
    redactions: int
    deletions: int
    digest: bytes
    tip: int


class SimulatedStrand:
    """Makes the strand's blocks and counts their contents."""

    def __init__(self, kind: type[SimulatedLedger], seed: int, blocks: int, redactions: float) -> None:
        self.random = Random(seed)
        self.blocks = blocks
        self.ledger = kind(self.random)
        self.maker = BlockMaker(new_id(self.random))
        self.redacted: dict[int, list[tuple[NewRedaction, int]]] = defaultdict(list)
        """For each block: its redacted revisions, and the blocks that redact them."""
        self.redactions = 0
        self.revisions = 0
        self._frontier = Frontier()
        self._milliseconds = _FIRST_TIME
        wanted = round(redactions * blocks)
        self._redactions_wanted = max(wanted, 1) if redactions and blocks >= 100 else wanted
        self._openings = _openings(kind)

    def make(self) -> Iterator[dict[str, Any]]:
        for number in range(self.blocks):
            self._milliseconds += 100 + int(self.random.expovariate(1 / 4000))
            block = self._block(number)
            self._frontier.append(block["blockHash"])
            yield block

    def summary(self) -> Simulated:
        return Simulated(
            strand_id=self.maker.strand_id,
            blocks=self.blocks,
            revisions=self.revisions,
            redactions=self.redactions,
            deletions=self.ledger.deletions,
            digest=self._frontier.digest(),
            tip=self.blocks - 1,
        )

    def start_time(self) -> Timestamp:
        """Return a time before every block."""
        return timestamp(_FIRST_TIME)

    def end_time(self) -> Timestamp:
        """Return a time after every block made so far."""
        return timestamp(self._milliseconds + 1000)

    def _block(self, number: int) -> dict[str, Any]:
        if number < len(self._openings):
            statements = [(text, ()) for text in self._openings[number]]
            return self._make(Transaction(number, self._time(), {}, statements), system_revisions=1)
        transaction = self._transaction(number, number - len(self._openings))
        self.revisions += len(transaction.revisions)
        self.redactions += len(transaction.redactions)
        for redaction in transaction.redactions:
            self.redacted[redaction.sequence_no].append((redaction, number))
        return self._make(transaction)

    def _transaction(self, number: int, since_opening: int) -> Transaction:
        time = self._time()
        late = number >= self.blocks // 4
        wanted, left = self._redactions_wanted - self.redactions, self.blocks - number
        due = since_opening < 3 or (late and self.ledger.deletes and not self.ledger.deletions)
        # A redaction may need two blocks: if nothing can be redacted, an update first makes a revision inactive.
        if due or not wanted or (left > 2 * wanted + 2 and self.random.random() * left >= wanted):
            return self.ledger.transaction(number, time, first=since_opening, late=late)
        redaction = self.ledger.redaction(number, time, self.maker.strand_id)
        return redaction or self.ledger.outdating(number, time)

    def _make(self, transaction: Transaction, system_revisions: int = 0) -> dict[str, Any]:
        started = self._milliseconds - self.random.randrange(20, 60)
        committed = self._milliseconds + self.random.randrange(2, 22)
        block = self.maker.make(
            transaction_id=new_id(self.random),
            tx_time=transaction.time,
            block_time=timestamp(committed),
            statements=[
                Statement(text, timestamp(started + index), parameters)
                for index, (text, parameters) in enumerate(transaction.statements)
            ],
            revisions=transaction.revisions,
            redactions=transaction.redactions,
            system_revisions=[self.random.randbytes(32) for _ in range(system_revisions)],
        )
        self._milliseconds = committed
        return block

    def _time(self) -> Timestamp:
        return timestamp(self._milliseconds)


def _openings(kind: type[SimulatedLedger]) -> list[list[str]]:
    """Return the statements of the first blocks: the system's own, then one table or index each."""
    tables = [[f"CREATE TABLE {table}"] for table in kind.tables]
    indexes = [[f"CREATE INDEX ON {table} ({field})"] for table, field in kind.tables.items()]
    return [[], *tables, *indexes]
