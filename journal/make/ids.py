"""Makes ids in QLDB's form: 22 characters of base62."""

import hashlib
import secrets

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LENGTH = 22
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]


def new_id() -> str:
    """Return a new random id of 128 bits."""
    return _spell(secrets.randbits(128))


def derived_id(*parts: str) -> str:
    """Derive an id from the parts by SHA-256: the same parts always give the same id."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return _spell(int.from_bytes(digest[:16], "big"))


def _spell(number: int) -> str:
    pairs = []
    for _ in range(_LENGTH // 2):
        number, pair = divmod(number, 62 * 62)
        pairs.append(_PAIRS[pair])
    return "".join(reversed(pairs))
