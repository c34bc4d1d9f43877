"""A struct together with what it is needed for: its Ion Hash, its JSON and its binary Ion.

Made in one pass over the value (`journal.encoding`), which takes less than a pass for each of the three:
`journal.ion_hash`, `journal.ion_json` and `journal.ion` give back what they find here.
"""

from typing import Any


class Encoded(dict[str, Any]):
    """A struct's members, not to be changed, with its `digest` (Ion Hash), `json` and `ion`."""

    __slots__ = ("digest", "ion", "json")

    def __init__(self, members: dict[str, Any], digest: bytes, json: str, ion: bytes) -> None:
        super().__init__(members)
        self.digest = digest
        self.json = json
        self.ion = ion
