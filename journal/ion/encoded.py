"""A struct together with its Ion Hash and its binary Ion, made in one pass over it (`journal.ion.encoding`).

`journal.ion.hash` and `journal.ion.values` give back what they find here. All its members are of plain types, which
is why `journal.ion.json` can leave them to the encoder of Python's json.
"""

from typing import Any


class Encoded(dict[str, Any]):
    """A struct's members, not to be changed, with its `digest` (Ion Hash) and `ion`.

    Throughout it holds nothing but str, int, bool, float, Decimal, bytes, None, Timestamp, list and dict, and no
    character that jsonb refuses.
    """

    __slots__ = ("digest", "ion")

    def __init__(self, members: dict[str, Any], digest: bytes, ion: bytes) -> None:
        super().__init__(members)
        self.digest = digest
        self.ion = ion
