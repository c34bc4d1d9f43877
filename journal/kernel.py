"""Which kernel decodes: the native one (native/, built by `make native`) where it is there, else the plain Python.

Both give the same; `journal.rows` is the readable statement of it, and takes what the native kernel leaves to it: JSON,
and Ion that is malformed or rare. STRANDLINE_KERNEL=python switches the native one off.
"""

import importlib
import os
from collections import Counter
from typing import Any, Literal

from journal import rows
from journal.block import Fault
from journal.errors import UnreadableError
from journal.gzipped import decompressed
from journal.rows import Decoded, Link, Rows

_SEAM = 3  # of native/src/python.rs; a build that has another is not used


def _native() -> Any | None:
    if os.environ.get("STRANDLINE_KERNEL") == "python":
        return None
    try:
        module = importlib.import_module("strandline_native")
    except ImportError:
        return None
    return module if getattr(module, "SEAM", None) == _SEAM else None


_NATIVE = _native()

KERNEL: Literal["native", "python"] = "python" if _NATIVE is None else "native"
"""The kernel that this process uses."""


def decode(data: bytes, *, trust_deletions: bool = False, with_rows: bool = True) -> Decoded:
    """As `journal.rows.decode`; the native kernel releases the GIL, so threads run side by side."""
    decoded = None if _NATIVE is None else decode_natively(_NATIVE, data, trust_deletions, with_rows)
    if decoded is None:
        decoded = rows.decode(data, trust_deletions=trust_deletions, with_rows=with_rows)
    return decoded


def decode_natively(native: Any, data: bytes, trust_deletions: bool, with_rows: bool) -> Decoded | None:
    """What the native module gives; None where it leaves the object to the plain Python."""
    try:
        found = native.decode(decompressed(data), trust_deletions, with_rows)
    except UnreadableError:
        return None
    if isinstance(found, str):
        return None
    links, packed, faults, warnings, redactions, deletions, redacted, named = found
    return Decoded(
        links=[Link(*link) for link in links],
        rows=None if packed is None else Rows(*packed),
        faults=[Fault(*fault) for fault in faults],
        warnings=[Fault(*warning) for warning in warnings],
        redactions=redactions,
        deletions=Counter(deletions),
        redacted=redacted,
        named=named,
    )
