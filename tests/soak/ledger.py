"""A thousand transactions and redactions after those of QLDB, from eight writers that are killed now and then."""

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random

from tests.databases import migrated_database
from tests.ledger.grafting import graft
from tests.soak.outcome import Outcome
from tests.soak.server import server


def ledger(seconds: float, seed: int) -> Outcome:
    """Write, export and stream, and fill two stores from that, round by round."""
    random, deadline, outcome = Random(seed), time.monotonic() + seconds, Outcome()
    with server() as where:
        while outcome == Outcome() or time.monotonic() < deadline:
            with ExitStack() as stack:
                stores = [stack.enter_context(migrated_database(*where)) for _ in range(3)]
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="strandline-soak-")))
                outcome += graft(
                    *stores, folder, blocks=random.randint(50, 500), requests=125, kills=random.randint(3, 12),
                    random=random,
                )  # fmt: skip
    return outcome
