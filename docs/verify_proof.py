"""Check a Strandline proof against a digest saved from Amazon QLDB, trusting nothing but this file and Python.

    python docs/verify_proof.py FILE --digest BASE64

FILE is what `strandline prove` writes: a revision of a document, and the hashes that lead from it to the digest of its
ledger. This program
 1. reads the revision's data and metadata, which are binary Ion (https://amazon-ion.github.io/ion-docs/docs/binary.html),
 2. computes their Ion Hash with SHA-256 (https://amazon-ion.github.io/ion-hash/docs/spec.html),
 3. joins the two to the revision's hash, as QLDB did,
 4. joins that with each hash of the proof in turn, and compares the end with the digest.
A change to any byte of the data or metadata gives another end, and nobody can make hashes that lead back to the digest.

Exit status: 0 the proof holds, 1 it does not, 2 no such file, not a proof, or wrong use.
It does not show where in the ledger the block stands or who wrote it: no hash covers that. Nor can it know where a
digest came from: give one that you, or somebody you trust, saved while QLDB ran.
"""

import argparse
import hashlib
import json
import struct
import sys
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class NotProved(Exception):
    """The proof does not hold; the text says why."""


class NotAProof(Exception):
    """The file is not a proof, or the digest is none."""


# ---- 1. Reading binary Ion -------------------------------------------------------------------------------------------

NULL, BOOL, POSITIVE_INT, NEGATIVE_INT, FLOAT, DECIMAL, TIMESTAMP, SYMBOL = range(8)
STRING, CLOB, BLOB, LIST, SEXP, STRUCT, ANNOTATION = range(8, 15)

VERSION_MARKER = b"\xe0\x01\x00\xea"
SYSTEM_SYMBOLS = "$ion $ion_1_0 $ion_symbol_table name version imports symbols max_id $ion_shared_symbol_table".split()
UNKNOWN = None  # the text of symbol zero


@dataclass
class Value:
    """An Ion value, as far as its hash needs it.

    `qualifier` is Ion Hash's "type qualifier". `content` is the bytes that stand for a scalar in the hash; the values
    in a list or s-expression; the (name, value) pairs of a struct; None for a null.
    """

    kind: int
    qualifier: int
    content: Any
    annotations: tuple[str | None, ...] = ()


class IonReader:
    """Reads the one value in some bytes of binary Ion; any fault raises NotProved."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.symbols: list[str | None] = [UNKNOWN, *SYSTEM_SYMBOLS]

    def read_one(self) -> Value:
        if self.data[:4] != VERSION_MARKER:
            raise NotProved("the revision is not binary Ion")
        try:
            values = list(self._top_level())
        except (IndexError, UnicodeDecodeError, OverflowError, struct.error):
            raise NotProved("the revision's Ion is damaged") from None
        except RecursionError:
            raise NotProved("the revision's Ion is nested too deeply") from None
        if len(values) != 1:
            raise NotProved(f"expected one Ion value, found {len(values)}")
        return values[0]

    def _top_level(self) -> Iterator[Value]:
        while self.position < len(self.data):
            if self.data[self.position : self.position + 4] == VERSION_MARKER:
                self.position += 4
                self.symbols = [UNKNOWN, *SYSTEM_SYMBOLS]
                continue
            value = self._value(len(self.data))
            if value is None:
                continue
            if value.kind == STRUCT and value.annotations[:1] == ("$ion_symbol_table",):
                self._take_symbols(value)
            else:
                yield value

    def _take_symbols(self, table: Value) -> None:
        """A local symbol table: the texts that the values after it name by number."""
        if table.content is None:
            self.symbols = [UNKNOWN, *SYSTEM_SYMBOLS]
            return
        fields = dict(table.content)
        imports, symbols = fields.get("imports"), fields.get("symbols")
        if imports is not None and imports.kind == LIST and imports.content:
            raise NotProved("the revision's Ion needs a shared symbol table, which it does not hold")
        if imports is None or imports.kind != SYMBOL or imports.content != b"$ion_symbol_table":
            self.symbols = [UNKNOWN, *SYSTEM_SYMBOLS]
        if symbols is not None and symbols.kind == LIST:
            for symbol in symbols.content or ():
                known = symbol.kind == STRING and symbol.content is not None
                self.symbols.append(symbol.content.decode() if known else UNKNOWN)

    def _value(self, end: int) -> Value | None:
        """The next value, or None for padding. Every value starts with its type and its length."""
        descriptor = self._bytes(1, end)[0]
        kind, low = descriptor >> 4, descriptor & 15
        if kind == ANNOTATION:
            return self._annotated(low, end)
        if kind > ANNOTATION:
            raise NotProved("the revision's Ion has a type that does not exist")
        if low == 15:
            return Value(kind, 0x2F if kind == NEGATIVE_INT else kind << 4 | 15, None)
        if kind == BOOL:
            if low > 1:
                raise NotProved("the revision's Ion has a boolean that is none")
            return Value(kind, kind << 4 | low, b"")
        sorted_struct = kind == STRUCT and low == 1
        length = self._unsigned(end) if low == 14 or sorted_struct else low
        start = self.position
        body = self._bytes(length, end)
        if kind == NULL:
            return None
        if kind in (LIST, SEXP, STRUCT):
            self.position = start
            members = self._fields if kind == STRUCT else self._members
            return Value(kind, kind << 4, members(start + length))
        if kind == SYMBOL:
            text = self._symbol(int.from_bytes(body, "big"))
            return Value(kind, 0x71 if text is UNKNOWN else 0x70, b"" if text is UNKNOWN else text.encode())
        return Value(kind, kind << 4, SCALARS[kind](body))

    def _annotated(self, low: int, end: int) -> Value:
        length = self._unsigned(end) if low == 14 else low
        end_of_wrapper = self.position + length
        if low == 15 or end_of_wrapper > end:
            raise NotProved("the revision's Ion is damaged")
        names_length = self._unsigned(end_of_wrapper)
        end_of_names = self.position + names_length
        names = []
        while self.position < end_of_names:
            names.append(self._symbol(self._unsigned(end_of_names)))
        value = self._value(end_of_wrapper)
        if value is None or value.annotations or not names or self.position != end_of_wrapper:
            raise NotProved("the revision's Ion is damaged")
        value.annotations = tuple(names)
        return value

    def _members(self, end: int) -> list[Value]:
        members = []
        while self.position < end:
            value = self._value(end)
            if value is not None:
                members.append(value)
        return members

    def _fields(self, end: int) -> list[tuple[str | None, Value]]:
        fields = []
        while self.position < end:
            name = self._symbol(self._unsigned(end))
            value = self._value(end)
            if value is not None:
                fields.append((name, value))
        return fields

    def _symbol(self, number: int) -> str | None:
        if number >= len(self.symbols):
            raise NotProved("the revision's Ion names a symbol that it does not hold")
        return self.symbols[number]

    def _bytes(self, length: int, end: int) -> bytes:
        start, self.position = self.position, self.position + length
        if self.position > end:
            raise NotProved("the revision's Ion is cut short")
        return self.data[start : self.position]

    def _unsigned(self, end: int) -> int:
        number, self.position = read_var_uint(self.data, self.position)
        if self.position > end:
            raise NotProved("the revision's Ion is cut short")
        return number


def read_var_uint(data: bytes, position: int) -> tuple[int, int]:
    """An Ion VarUInt: seven bits a byte, the last byte marked by its highest bit. Returns number and next position."""
    number = 0
    while True:
        byte = data[position]
        position += 1
        number = number << 7 | byte & 0x7F
        if byte & 0x80:
            return number, position


def read_var_int(data: bytes, position: int) -> tuple[int, int, int]:
    """An Ion VarInt: as VarUInt, with the sign in the first byte. Returns sign, magnitude, next position."""
    sign = data[position] >> 6 & 1
    first = bytes([data[position] & 0xBF])
    magnitude, after = read_var_uint(first + data[position + 1 :], 0)
    return sign, magnitude, position + after


# ---- 2. Ion Hash -----------------------------------------------------------------------------------------------------
# Each scalar's bytes in the hash are those of its shortest binary encoding.


def write_var_uint(number: int) -> bytes:
    out = [number & 0x7F | 0x80]
    while number := number >> 7:
        out.append(number & 0x7F)
    return bytes(reversed(out))


def write_var_int(sign: int, magnitude: int) -> bytes:
    out = bytearray(write_var_uint(magnitude))
    if out[0] & 0x40:  # the place of the sign is taken
        out.insert(0, 0)
    out[0] |= sign << 6
    return bytes(out)


def write_int(sign: int, magnitude: int) -> bytes:
    """An Ion Int: the sign in the highest bit; no bytes for zero, one for negative zero."""
    if not magnitude:
        return b"\x80" if sign else b""
    out = bytearray(magnitude.to_bytes(magnitude.bit_length() // 8 + 1, "big"))
    out[0] |= sign << 7
    return bytes(out)


def read_int(data: bytes) -> tuple[int, int]:
    if not data:
        return 0, 0
    return data[0] >> 7, int.from_bytes(bytes([data[0] & 0x7F]) + data[1:], "big")


def integer(body: bytes) -> bytes:
    return body.lstrip(b"\0")


def floating(body: bytes) -> bytes:
    if len(body) not in (0, 4, 8):
        raise NotProved("the revision's Ion has a float of a wrong size")
    number = struct.unpack(">f" if len(body) == 4 else ">d", body)[0] if body else 0.0
    if number != number:
        return b"\x7f\xf8\0\0\0\0\0\0"  # one NaN for all
    packed = struct.pack(">d", number)
    return b"" if packed == bytes(8) else packed


def decimal(body: bytes) -> bytes:
    if not body:
        return b""
    exponent_sign, exponent, after = read_var_int(body, 0)
    sign, coefficient = read_int(body[after:])
    if not (exponent or sign or coefficient):
        return b""
    return write_var_int(exponent_sign if exponent else 0, exponent) + write_int(sign, coefficient)


def timestamp(body: bytes) -> bytes:
    """The offset, then year, month, day, hour, minute, second as far as they are known, then a fraction."""
    sign, offset, position = read_var_int(body, 0)
    out = write_var_int(sign, offset)  # negative zero: the offset is not known
    for _ in range(6):
        if position == len(body):
            return out
        number, position = read_var_uint(body, position)
        out += write_var_uint(number)
    if position == len(body):
        return out
    sign, exponent, position = read_var_int(body, position)
    _, fraction = read_int(body[position:])
    if not sign or not exponent:
        return out  # no digits behind the point
    return out + write_var_int(sign, exponent) + write_int(0, fraction)


SCALARS: dict[int, Callable[[bytes], bytes]] = {
    POSITIVE_INT: integer,
    NEGATIVE_INT: integer,
    FLOAT: floating,
    DECIMAL: decimal,
    TIMESTAMP: timestamp,
    STRING: lambda body: body.decode().encode(),
    CLOB: bytes,
    BLOB: bytes,
}

BEGIN, ESCAPE, END = b"\x0b", b"\x0c", b"\x0e"


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def escape(data: bytes) -> bytes:
    for marker in (ESCAPE, BEGIN, END):
        data = data.replace(marker, ESCAPE + marker)
    return data


def serialize(value: Value) -> bytes:
    """What is hashed for a value: begin, type qualifier, content, end."""
    if value.content is None:
        content = b""
    elif value.kind in (LIST, SEXP):
        content = b"".join(map(serialize, value.content))
    elif value.kind == STRUCT:
        # A struct has no order: its fields' hashes are sorted.
        content = escape(b"".join(sorted(sha256(symbol(name) + serialize(field)) for name, field in value.content)))
    else:
        content = escape(value.content)
    serialized = BEGIN + bytes([value.qualifier]) + content + END
    if value.annotations:
        return BEGIN + b"\xe0" + b"".join(map(symbol, value.annotations)) + serialized + END
    return serialized


def symbol(text: str | None) -> bytes:
    return BEGIN + (b"\x71" if text is UNKNOWN else b"\x70" + escape(text.encode())) + END


def ion_hash(value: Value) -> bytes:
    """The hash of a value; NotProved where it is nested too deeply to compute it."""
    try:
        return sha256(serialize(value))
    except RecursionError:
        raise NotProved("the revision's Ion is nested too deeply") from None


# ---- 3. The revision's hash ------------------------------------------------------------------------------------------


def join(a: bytes, b: bytes) -> bytes:
    """QLDB's way to join two hashes: SHA-256 of both, the smaller first; bytes are signed and the last counts most."""
    if not a or not b:
        return a or b

    def order(digest: bytes) -> list[int]:
        return [byte - 256 if byte > 127 else byte for byte in reversed(digest)]

    return sha256(a + b if order(a) <= order(b) else b + a)


def check_revision(proof: dict[str, Any]) -> str:
    """Whether the revision's hash is that of its metadata and data; returns what the revision is."""
    if proof["level"] != "full":
        raise NotProved("the block is known only as JSON, so the revision's hash cannot be recomputed from its content")
    revision = proof["revision"]
    if "metadata" not in revision:
        raise NotProved("the revision's metadata is missing")
    metadata = IonReader(base64(revision, "metadata")).read_one()
    check_metadata(metadata, proof)
    metadata_hash = ion_hash(metadata)
    expected = sha256_hash(revision, "hash")
    data = IonReader(base64(revision, "data")).read_one() if "data" in revision else None
    if data is not None and data.content is not None:
        if "dataHash" in revision:
            raise NotProved("the revision holds both data and dataHash")
        state, candidates = "with its data", [join(metadata_hash, ion_hash(data))]
    elif "dataHash" in revision:
        state = "redacted: the proof holds the hash of its data instead"
        candidates = [join(metadata_hash, sha256_hash(revision, "dataHash"))]
    else:
        # AWS's own verifier joins the hash of nothing; the others are forms that QLDB may have used.
        state = "a deletion of the document"
        null_hash = sha256(BEGIN + b"\x0f" + END)
        candidates = [join(metadata_hash, sha256(b"")), metadata_hash, join(metadata_hash, null_hash)]
    if expected not in candidates:
        raise NotProved("the revision's hash is not that of its metadata and data")
    return state


def check_metadata(metadata: Value, proof: dict[str, Any]) -> None:
    if metadata.kind != STRUCT or metadata.content is None:
        raise NotProved("the revision's metadata is no struct")
    fields = dict(metadata.content)
    document, version = fields.get("id"), fields.get("version")
    if not (
        document
        and document.kind == STRING
        and document.content == proof["documentId"].encode()
        and version
        and version.kind == POSITIVE_INT
        and version.content is not None
        and int.from_bytes(version.content, "big") == proof["version"]
    ):
        raise NotProved("the document or version is not that of the revision's metadata")


# ---- 4. From the revision to the digest ------------------------------------------------------------------------------


def verify(proof: dict[str, Any], digest: bytes | None) -> None:
    """Check all of a proof, printing what holds; NotProved says what does not. `digest` may be None: the file's own."""
    state = check_revision(proof)
    print(f"holds: revision of document {proof['documentId']}, version {proof['version']}, {state}")
    end = sha256_hash(proof["revision"], "hash")
    for index in range(len(proof["proof"])):
        end = join(end, sha256_hash(proof["proof"], index))
    if end != sha256_hash(proof, "digest"):
        raise NotProved("the proof does not lead from the revision's hash to the digest in the file")
    if digest is not None and end != digest:
        raise NotProved("the proof does not lead to the digest given")
    print(f"holds: {len(proof['proof'])} hashes lead from it to the digest {'given' if digest else 'in the file'}")
    for note in proof["notes"]:
        print(f"note: {note}")
    if digest is None:
        print("note: the digest in the file is the file's own word; give one saved from QLDB with --digest")


def read_proof(path: str) -> dict[str, Any]:
    try:
        proof = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise NotAProof(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise NotAProof(f"{path}: not JSON; expected a file of `strandline prove`") from None
    if not isinstance(proof, dict) or proof.get("format") != "strandline-proof/1":
        raise NotAProof(f"{path}: not a strandline-proof/1; expected a file of `strandline prove`")
    shapes = {"documentId": str, "version": int, "level": str, "revision": dict, "proof": list, "notes": list}
    for name, shape in shapes.items():
        if not isinstance(proof.get(name), shape):
            raise NotAProof(f"{path}: damaged proof: {name} is missing or of the wrong kind")
    if isinstance(proof["version"], bool):
        raise NotAProof(f"{path}: damaged proof: version is not a number")
    # What is printed must not steer a terminal.
    if not all(isinstance(text, str) and text.isprintable() for text in [proof["documentId"], *proof["notes"]]):
        raise NotAProof(f"{path}: damaged proof: it holds text that cannot be printed")
    return proof


def base64(holder: Any, name: str | int) -> bytes:
    try:
        return b64decode(holder[name], validate=True)
    except (LookupError, TypeError, ValueError):
        raise NotAProof(f"damaged proof: {name} is missing or not base64") from None


def sha256_hash(holder: Any, name: str | int) -> bytes:
    data = base64(holder, name)
    if len(data) != 32:
        raise NotAProof(f"damaged proof: {name} is not a SHA-256 hash")
    return data


def main() -> int:
    parser = argparse.ArgumentParser(description="Check a Strandline proof against a digest saved from Amazon QLDB.")
    parser.add_argument("file", metavar="FILE", help="a file that `strandline prove` wrote")
    parser.add_argument("--digest", metavar="BASE64", help="the ledger's digest, saved while QLDB ran")
    arguments = parser.parse_args()
    try:
        digest = None if arguments.digest is None else sha256_hash(vars(arguments), "digest")
        verify(read_proof(arguments.file), digest)
    except NotProved as reason:
        print(f"DOES NOT HOLD: {reason}")
        return 1
    except NotAProof as reason:
        print(f"CANNOT BE CHECKED: {reason}", file=sys.stderr)
        return 2
    print("THE PROOF HOLDS")
    return 0


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(main())
