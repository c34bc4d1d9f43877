"""A struct with its Ion Hash and its binary Ion, both computed in one pass (`journal.ion.encoding`).

`journal.ion.hash` and `journal.ion.values` return these cached forms. All members are of plain types, so
`journal.ion.json` can use the encoder of Python's json.
"""

from typing import Any


class Encoded(dict[str, Any]):
    """A struct's members with its `digest` (Ion Hash) and `ion`. Immutable by convention.

    Holds only str, int, bool, float, Decimal, bytes, None, Timestamp, list and dict, at every level, and no character
    that jsonb refuses.
    """

    __slots__ = ("digest", "ion")

    def __init__(self, members: dict[str, Any], digest: bytes, ion: bytes) -> None:
        super().__init__(members)
        self.digest = digest
        self.ion = ion
