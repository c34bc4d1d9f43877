"""The limits of what a store vouches for, for `status`, health checks and metrics."""

from dataclasses import dataclass
from typing import Any

import psycopg

from strandline.consumer.mark.mark import read_mark
from strandline.consumer.store.graft import read_graft
from strandline.consumer.store.restored import count_unverified


@dataclass(frozen=True)
class Claims:
    """`unverified_blocks` counts blocks up to the mark that are known only from JSON: their chain holds, but no hash
    covers their data as stored. `graft` is the first block that Strandline appended, None if QLDB wrote all."""

    unverified_blocks: int
    graft: int | None

    @property
    def data_verified(self) -> bool:
        return self.unverified_blocks == 0

    def as_dict(self) -> dict[str, object]:
        """Return the claims as `status` and `/readyz` show them."""
        return {
            "data_verified": self.data_verified,
            "unverified_blocks": self.unverified_blocks,
            "graft": self.graft,
        }


def read_claims(connection: psycopg.Connection[Any]) -> Claims:
    """Read the claims in the caller's transaction."""
    return Claims(count_unverified(connection, read_mark(connection).sequence_no), read_graft(connection))
