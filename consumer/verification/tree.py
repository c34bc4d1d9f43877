"""The Merkle tree over the store's blocks. Roots of full, aligned ranges are stored as they are first computed.

A block's hash does not change below the mark, nor does a root over such blocks. So a digest or a path reads the blocks
of at most one range on each side, a root for each level above, and the blocks that came since the last call.
`verify` computes every stored root again.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest

from strandline.consumer.database.connection import Connection, columns_of
from strandline.consumer.mark.mark import read_mark
from strandline.journal.check import merkle
from strandline.journal.check.block import Fault
from strandline.journal.check.strand import Chain
from strandline.journal.errors import StrandlineError, UsageError

LOWEST = 8  # ranges of 256 blocks: smaller ones are computed
ROWS_AT_A_TIME = 5_000

READ_BLOCKS = """
    SELECT sequence_no, block_hash, previous_hash FROM journal.block
    WHERE sequence_no BETWEEN %s AND %s ORDER BY sequence_no"""
READ_GAP = "SELECT first_no, last_no FROM journal.accepted_gap WHERE first_no <= %s ORDER BY first_no LIMIT 1"
COUNT_LOWEST = f"SELECT coalesce(max(number) + 1, 0) FROM journal.subroot WHERE height = {LOWEST}"
READ_ROOT = "SELECT hash FROM journal.subroot WHERE height = %s AND number = %s"
ADD_ROOTS = """
    INSERT INTO journal.subroot (height, number, hash) SELECT * FROM unnest(%s::int[], %s::bigint[], %s::bytea[])
    ON CONFLICT DO NOTHING"""
# In the order in which the roots become complete.
READ_ROOTS = """
    SELECT height, number, hash FROM journal.subroot WHERE (number + 1) << height > %s
    ORDER BY (number + 1) << height, height"""

Progress = Callable[[int, int], None]  # blocks done, blocks in all
Root = tuple[int, int, bytes]  # of blocks number * 2**height to (number + 1) * 2**height - 1


class Roots:
    """The roots that become complete, from height `LOWEST` on, as block hashes are appended in order."""

    def __init__(self, count: int = 0, peaks: Iterable[bytes] = ()) -> None:
        """`count` blocks, a multiple of 2**LOWEST, came before; `peaks` are their full trees, the largest first."""
        self.count = count
        heights = [height for height in reversed(range(count.bit_length())) if count >> height & 1]
        self._peaks = list(zip(heights, peaks, strict=True))

    def append(self, block_hash: bytes) -> Iterator[Root]:
        height, root = 0, block_hash
        self.count += 1
        while self._peaks and self._peaks[-1][0] == height:
            root = merkle.dot(self._peaks.pop()[1], root)
            height += 1
            if height >= LOWEST:
                yield height, (self.count >> height) - 1, root
        self._peaks.append((height, root))


class BlockTree:
    """The tree over the blocks from 0 to a tip, by default the mark.

    The constructor computes and stores the roots that are missing, and checks the links of the blocks that it reads for
    that. It raises `UsageError` if the tip is not a block's number, `StrandlineError` if the store does not begin at
    block 0, ends before the tip, has an accepted gap below it, or at a broken link.
    """

    def __init__(self, connection: Connection, tip: int | None = None, *, progress: Progress = lambda *_: None) -> None:
        if tip is not None and tip < 0:
            raise UsageError(f"a tip is the number of a block, 0 or higher, not {tip}")
        mark = read_mark(connection)
        if mark.strand_id is None or mark.sequence_no < mark.origin:
            raise StrandlineError("the store holds no blocks yet: replay a journal, or write to the ledger, first")
        if mark.origin > 0:
            raise StrandlineError(
                f"a digest covers every block from 0 to its tip, and the store begins at block {mark.origin}: "
                "replay all of the journal into a database with STRANDLINE_ORIGIN=0"
            )
        self.strand_id = mark.strand_id
        self.tip = mark.sequence_no if tip is None else tip
        if self.tip > mark.sequence_no:
            raise StrandlineError(f"the journal in the store ends at block {mark.sequence_no}, before block {tip}")
        if gap := connection.execute(READ_GAP, [self.tip]).fetchone():
            raise StrandlineError(
                f"a digest covers every block from 0 to its tip, and blocks {gap[0]} to {gap[1]} are an accepted gap: "
                f"give a tip below {gap[0]}"
            )
        self._connection = connection
        self._known: dict[int, list[bytes]] = {}  # hashes of blocks, by their range of height LOWEST
        self._extend(progress)

    def digest(self) -> bytes:
        """Return the digest at the tip."""
        return self._partial(0)

    def path(self, block: int) -> list[bytes]:
        """Return the siblings from a block's hash to the digest, lowest first. Raises ValueError beyond the tip."""
        if not 0 <= block <= self.tip:
            raise ValueError(f"block {block} is not among those up to {self.tip}")
        siblings = []
        for height in range(self.tip.bit_length()):
            sibling = block >> height ^ 1
            if (sibling + 1) << height <= self.tip + 1:
                siblings.append(self._full(height, sibling))
            elif sibling << height <= self.tip:
                siblings.append(self._partial(sibling << height))
        return siblings

    def _extend(self, progress: Progress) -> None:
        (stored,) = self._connection.execute(COUNT_LOWEST).fetchone() or (0,)
        start = min(stored << LOWEST, (self.tip + 1) >> LOWEST << LOWEST)
        new: list[Root] = []
        roots = Roots(start, [self._full(height, number) for height, number in _trees(0, start)])
        for number, block_hash in self._linked(start):
            new += roots.append(block_hash)
            self._known.setdefault(number >> LOWEST, []).append(block_hash)
            self._known.pop((number >> LOWEST) - 1, None)
            if len(new) >= ROWS_AT_A_TIME:
                self._connection.execute(ADD_ROOTS, columns_of(new))
                new = []
            if number % ROWS_AT_A_TIME == 0:
                progress(number, self.tip + 1)
        if new:
            self._connection.execute(ADD_ROOTS, columns_of(new))

    def _linked(self, start: int) -> Iterator[tuple[int, bytes]]:
        """Yield the numbers and hashes of the blocks from `start` to the tip, whose links hold, the first one's too."""
        chain = Chain()
        with self._connection.cursor(name="tree") as cursor:
            cursor.itersize = ROWS_AT_A_TIME
            for number, block_hash, previous in cursor.execute(READ_BLOCKS, [max(start - 1, 0), self.tip], binary=True):
                for fault in chain.add(number, block_hash, previous):
                    raise StrandlineError(f"block {fault.sequence_no}: {fault.fault}: {fault.detail}")
                if number >= start:
                    yield number, block_hash
        if chain.first_no != max(start - 1, 0) or chain.last_no != self.tip:
            raise _incomplete(self.tip)

    def _full(self, height: int, number: int) -> bytes:
        """Return the root of a full range: no block of it is beyond the tip."""
        if height >= LOWEST:
            row = self._connection.execute(READ_ROOT, [height, number]).fetchone()
            if row is None:
                raise StrandlineError(
                    f"the stored root over blocks {number << height} to {((number + 1) << height) - 1} is missing: "
                    "run `strandline verify`"
                )
            return bytes(row[0])
        first = number << height
        within = first - (first >> LOWEST << LOWEST)
        return merkle.root(self._hashes(first >> LOWEST)[within : within + (1 << height)])

    def _partial(self, start: int) -> bytes:
        """Return the root over the blocks from `start`, where a range begins, to the tip."""
        root = b""
        for height, number in reversed(_trees(start, self.tip + 1)):
            root = merkle.dot(self._full(height, number), root)
        return root

    def _hashes(self, lowest: int) -> list[bytes]:
        """Return the hashes of the blocks in a range of height LOWEST, as far as the tip."""
        if lowest not in self._known:
            first, last = lowest << LOWEST, min((lowest + 1) << LOWEST, self.tip + 1) - 1
            rows = self._connection.execute(READ_BLOCKS, [first, last], binary=True).fetchall()
            if len(rows) != last - first + 1:
                raise _incomplete(self.tip)
            self._known[lowest] = [block_hash for _, block_hash, _ in rows]
        return self._known[lowest]


def check_roots(connection: Connection, blocks: Iterable[tuple[int, bytes]], first_no: int = 0) -> Iterator[Fault]:
    """Compare the stored roots with those of the blocks from `first_no` on, given in order by number and hash.

    The roots over blocks below are taken as they are stored. Yields a fault for the first root that differs.
    """
    start = -(-first_no >> LOWEST) << LOWEST
    peaks = [connection.execute(READ_ROOT, tree).fetchone() for tree in _trees(0, start)]
    if None in peaks:
        return  # not stored yet, nor what is above
    roots = Roots(start, [bytes(row[0]) for row in peaks if row is not None])
    computed = (root for number, block_hash in blocks if number >= start for root in roots.append(block_hash))
    with connection.cursor(name="roots") as cursor:
        cursor.itersize = ROWS_AT_A_TIME
        for stored, root in zip_longest(cursor.execute(READ_ROOTS, [start], binary=True), computed):
            if stored is None:
                return  # the rest has not been stored yet
            if root is None or tuple(stored) != root:
                height, number, _ = stored
                first, last = number << height, ((number + 1) << height) - 1
                yield Fault(last, "subroot", f"the stored root over blocks {first} to {last} is another")
                return


def _trees(start: int, end: int) -> list[tuple[int, int]]:
    """Return the largest full ranges, from `start`, where a range begins that `end` may cut, as height and number."""
    trees = []
    for height in reversed(range((end - start).bit_length())):
        if (end - start) >> height & 1:
            trees.append((height, start >> height))
            start += 1 << height
    return trees


def _incomplete(tip: int) -> StrandlineError:
    return StrandlineError(f"blocks from 0 to {tip} are missing in the store: run `strandline verify` to see which")
