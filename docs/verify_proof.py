"""Check a Strandline proof against a digest saved from Amazon QLDB, trusting nothing but this file and Python.

    python docs/verify_proof.py FILE --digest BASE64

FILE is what `strandline prove` writes: a revision of a document, parts of its block, and the hashes that lead from it
to the digest of its ledger. This program
 1. reads the revision's data and metadata, which are binary Ion (https://amazon-ion.github.io/ion-docs/docs/binary.html),
 2. computes their Ion Hash with SHA-256 (https://amazon-ion.github.io/ion-hash/docs/spec.html),
 3. joins the two to the revision's hash, as QLDB did, and checks that neither can be taken for the other,
 4. checks that the block's transaction names the document, and that the block is one of the ledger's blocks,
 5. joins the revision's hash with each hash of the proof in turn, and compares the end with the digest,
 6. prints the revision as text.
A change to any byte of the data or metadata gives another end, and nobody can make hashes that lead back to the digest.

There are three answers, each with its exit status:
 0  the proof holds (it says so if it is weak: an older file, or one without the parts of the block, skips step 4),
 1  the proof does not hold,
 3  the proof cannot be checked: not a proof, damaged, or without what a check needs;
 2  is a wrong use of this program, such as a file that does not exist.
It does not show the number of the block or who wrote it: no hash covers that. Nor can it know where a digest came from:
give one that you, or somebody you trust, saved while QLDB ran.
"""

import argparse
import hashlib
import json
import re
import struct
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any


class NotProved(Exception):
    """The proof does not hold; the message says why."""


class NotChecked(Exception):
    """The proof cannot be checked; the message says why."""


class WrongUse(Exception):
    """There is no such file, or the digest is not one."""


# ---- 1. Reading binary Ion -------------------------------------------------------------------------------------------

NULL, BOOL, POSITIVE_INT, NEGATIVE_INT, FLOAT, DECIMAL, TIMESTAMP, SYMBOL = range(8)
STRING, CLOB, BLOB, LIST, SEXP, STRUCT, ANNOTATION = range(8, 15)

VERSION_MARKER = b"\xe0\x01\x00\xea"
SYSTEM_SYMBOLS = "$ion $ion_1_0 $ion_symbol_table name version imports symbols max_id $ion_shared_symbol_table".split()
UNKNOWN = None  # the text of symbol zero


@dataclass
class Value:
    """An Ion value, in the form that its hash needs.

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
        """Take a local symbol table: the texts that the values after it name by number."""
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
        """Read the next value, or None for padding. Every value starts with its type and its length."""
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
            name = self._unsigned(end)
            value = self._value(end)
            if value is not None:  # the name of padding means nothing
                fields.append((self._symbol(name), value))
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
    """Read an Ion VarUInt: seven bits a byte, the highest bit marks the last. Returns number and next position."""
    number = 0
    while True:
        byte = data[position]
        position += 1
        number = number << 7 | byte & 0x7F
        if byte & 0x80:
            return number, position


def read_var_int(data: bytes, position: int) -> tuple[int, int, int]:
    """Read an Ion VarInt: as VarUInt, with the sign in the first byte. Returns sign, magnitude, next position."""
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
    """Write an Ion Int: the sign in the highest bit; no bytes for zero, one for negative zero."""
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
    """Rewrite the offset, then year, month, day, hour, minute, second if known, then a fraction."""
    sign, offset, position = read_var_int(body, 0)
    out = write_var_int(sign, offset)  # negative zero: the offset is not known
    parts = []
    while position < len(body) and len(parts) < 6:
        number, position = read_var_uint(body, position)
        parts.append(number)
        out += write_var_uint(number)
    if len(parts) < 4 and (offset or not sign):
        raise NotProved("the revision's Ion has a day with an offset")
    check_time(parts, -offset if sign else offset)
    if position == len(body):
        return out
    sign, exponent, position = read_var_int(body, position)
    fraction_sign, fraction = read_int(body[position:])
    if fraction_sign or (fraction and not sign) or fraction >= 10**exponent:
        raise NotProved("the revision's Ion has a time whose fraction of a second is none")
    if not sign or not exponent:
        return out  # no digits behind the point
    return out + write_var_int(sign, exponent) + write_int(0, fraction)


def check_time(parts: list[int], offset: int) -> None:
    try:
        if len(parts) not in (1, 2, 3, 5, 6) or abs(offset) >= 24 * 60:
            raise ValueError
        whole = datetime(*(parts + [1, 1][len(parts) - 1 :] if len(parts) < 3 else parts))
        if len(parts) > 3:
            whole += timedelta(minutes=offset)
    except (ValueError, OverflowError):
        raise NotProved("the revision's Ion has a time that is none") from None


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
    """Return the bytes that are hashed for a value: begin, type qualifier, content, end."""
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
    """Return the hash of a value. Raises NotProved if it is nested too deeply."""
    try:
        return sha256(serialize(value))
    except RecursionError:
        raise NotProved("the revision's Ion is nested too deeply") from None


# ---- 3. The revision's hash ------------------------------------------------------------------------------------------

METADATA = {"id": STRING, "version": POSITIVE_INT, "txTime": TIMESTAMP, "txId": STRING}


def join(a: bytes, b: bytes) -> bytes:
    """Join two hashes as QLDB does: SHA-256 of both, the smaller first; bytes are signed and the last counts most."""
    if not a or not b:
        return a or b

    def order(digest: bytes) -> list[int]:
        return [byte - 256 if byte > 127 else byte for byte in reversed(digest)]

    return sha256(a + b if order(a) <= order(b) else b + a)


def check_revision(proof: dict[str, Any], documents: list[str] | None) -> tuple[str, Value, Value | None]:
    """Check the revision's hash; returns the revision's state, its metadata and its data.

    `documents` are those that the block's transaction names, None if the file does not hold them.
    """
    if proof["level"] != "full":
        raise NotChecked("the block is known only as JSON: the revision's hash cannot be recomputed from its content")
    revision = proof["revision"]
    if "metadata" not in revision:
        raise NotChecked("the file lacks the revision's metadata")
    metadata = IonReader(base64(revision, "metadata")).read_one()
    data = IonReader(base64(revision, "data")).read_one() if "data" in revision else None
    if not is_metadata(metadata):
        raise NotProved("the revision's metadata is not what QLDB writes: id, version, txTime and txId")
    fields = dict(metadata.content)
    if (fields["id"].content.decode(), number_of(fields["version"])) != (proof["documentId"], proof["version"]):
        raise NotProved("the document or version is not that of the revision's metadata")
    state = check_hashes(ion_hash(metadata), data, revision)
    if data is not None and state == "normal":
        if data.kind != STRUCT:
            raise NotProved("the revision's data is not a struct")
        # A join does not tell which of the two is the metadata.
        if is_metadata(data) and (documents is None or dict(data.content)["id"].content.decode() in documents):
            raise NotChecked("the revision's data has the form of metadata, so either half could be the metadata")
    return state, metadata, data


def check_hashes(metadata_hash: bytes, data: Value | None, revision: dict[str, Any]) -> str:
    expected = sha256_hash(revision, "hash")
    nothing, null = sha256(b""), sha256(BEGIN + b"\x0f" + END)
    if data is not None and data.content is not None:
        if "dataHash" in revision:
            raise NotProved("the revision holds both data and dataHash")
        state, candidates = "normal", [join(metadata_hash, ion_hash(data))]
    elif "dataHash" in revision:
        data_hash = sha256_hash(revision, "dataHash")
        state, candidates = "redacted", [join(metadata_hash, data_hash)]
        if data_hash in (nothing, null):
            raise NotProved("the revision's dataHash is that of a deletion")
    else:
        # AWS's own verifier joins the hash of nothing; that of a null is a form that QLDB may have used.
        state, candidates = "deleted", [join(metadata_hash, nothing), join(metadata_hash, null)]
        if expected == metadata_hash:
            raise NotChecked("a deletion whose hash is that of its metadata alone could be part of another revision")
    if expected not in candidates:
        raise NotProved("the revision's hash is not that of its metadata and data")
    return state


def is_metadata(value: Value) -> bool:
    if value.kind != STRUCT or value.content is None or value.annotations or len(value.content) != len(METADATA):
        return False
    fields = dict(value.content)
    return (
        fields.keys() == METADATA.keys()
        and all(
            fields[name].kind == kind and fields[name].content is not None and not fields[name].annotations
            for name, kind in METADATA.items()
        )
        and all(is_id(fields[name].content.decode()) for name in ("id", "txId"))
    )


def is_id(name: str) -> bool:
    return 0 < len(name) <= 128 and name.isprintable()


def number_of(value: Value) -> int:
    return int.from_bytes(value.content, "big")


# ---- 4. The revision's block -----------------------------------------------------------------------------------------


def documents_in(block: dict[str, Any]) -> tuple[list[str], Value]:
    """Return the documents that the block's transaction names, also as an Ion value."""
    documents = IonReader(base64(block, "documents")).read_one()
    if documents.kind != STRUCT or documents.content is None:
        raise NotProved("the block's documents are not a struct")
    for _, document in documents.content:
        if document.kind != STRUCT or getattr(dict(document.content or ()).get("tableName"), "kind", None) != STRING:
            raise NotProved("the block's documents have no table")
    return [str(name) for name, _ in documents.content], documents


def check_block(proof: dict[str, Any], names: list[str], documents: Value) -> None:
    """Check that the proof leads through a block whose transaction names the document, to its place in the ledger."""
    block, path = proof["block"], hashes(proof, "proof")
    number, tip = proof["blockAddress"]["sequenceNo"], proof["digestTipAddress"]["sequenceNo"]
    if proof["documentId"] not in names:
        raise NotProved("the block's transaction does not name the document")
    # transactionInfo is a struct: its hash is over the sorted hashes of its fields, of which the file has one in full.
    fields = sorted([sha256(symbol("documents") + serialize(documents)), *hashes(block, "otherFields")])
    transaction = sha256(BEGIN + b"\xd0" + escape(b"".join(fields)) + END)
    entries, previous = hashes(block, "entriesHashList"), sha256_hash(block, "previousBlockHash")
    if transaction not in entries:
        raise NotProved("the hash of the block's transactionInfo is not in its entriesHashList")
    node, length = sha256_hash(proof["revision"], "hash"), 0
    while node not in entries and length < len(path):
        node, length = join(node, path[length]), length + 1
    if node not in entries or node == transaction:
        raise NotProved("the proof does not lead to a member of the block's entriesHashList")
    through = [*siblings(entries, entries.index(node)), previous]
    if path[length : length + len(through)] != through:
        raise NotProved("the proof does not lead through the block's entriesHashList and previousBlockHash")
    above = path[length + len(through) :]
    if not 0 < number <= tip or len(above) != path_length(number, tip):
        raise NotProved("the proof is not as long as one from this block to the digest's tip")
    # The block before is next to this one in the tree of all blocks. Nothing within a block can pass for its hash, so
    # what passes for a block here is one.
    levels = (number & -number).bit_length() - 1
    before = hashes(block, "previousBlockPath")
    below = sum(((number >> level) + 1) << level <= tip for level in range(levels))
    if len(before) != levels or fold(previous, before) != above[below]:
        raise NotProved("the hash of the block before is not that of the block next to this one")


def siblings(leaves: list[bytes], index: int) -> list[bytes]:
    """Return the hashes that lead from a leaf to the root of a tree in which an odd last node moves up."""
    found = []
    while len(leaves) > 1:
        if index ^ 1 < len(leaves):
            found.append(leaves[index ^ 1])
        pairs = [leaves[at : at + 2] for at in range(0, len(leaves), 2)]
        leaves, index = [join(*pair) if len(pair) == 2 else pair[0] for pair in pairs], index // 2
    return found


def path_length(block: int, tip: int) -> int:
    length, size = 0, tip + 1
    while size > 1:
        length, block, size = length + (block ^ 1 < size), block // 2, (size + 1) // 2
    return length


def fold(leaf: bytes, path: list[bytes]) -> bytes:
    for sibling in path:
        leaf = join(leaf, sibling)
    return leaf


# ---- 5. From the revision to the digest ------------------------------------------------------------------------------

WEAK = "the proof is not bound to its block: nothing shows that the block's transaction names the document"


def verify(proof: dict[str, Any], digest: bytes | None) -> bool:
    """Check all of a proof and print the revision; returns whether the proof is bound to its block.

    Without `digest` the one in the file is used.
    """
    block = proof.get("block")
    names, documents = documents_in(block) if block is not None else (None, None)
    state, metadata, data = check_revision(proof, names)
    if names is not None and documents is not None:
        check_block(proof, names, documents)
    path = hashes(proof, "proof")
    end = fold(sha256_hash(proof["revision"], "hash"), path)
    if end != sha256_hash(proof, "digest"):
        raise NotProved("the proof does not lead from the revision's hash to the digest in the file")
    if digest is not None and end != digest:
        raise NotProved("the proof does not lead to the digest given")
    print_content(proof, state, dict(metadata.content), data)
    if documents is not None:
        print(f"table        {text(dict(dict(documents.content)[proof['documentId']].content)['tableName'])}")
    print(f"shown: {len(path)} hashes lead from it to the digest {'given' if digest else 'in the file'}")
    notes = [*proof["notes"], "the block's number and its writer are claims of the file: no hash covers them"]
    if block is None:
        notes.insert(0, WEAK)
    if state == "redacted":
        notes.insert(0, "the data are not in the proof (redacted, or withheld): their hash is in their place")
    if digest is None:
        notes.append("compared with the digest in the file itself: give one saved from QLDB with --digest")
    for note in notes:
        print(f"note: {note}")
    return block is not None


def print_content(proof: dict[str, Any], state: str, metadata: dict[Any, Value], data: Value | None) -> None:
    writers = {"qldb": "QLDB", "strandline": "Strandline, not QLDB"}
    print(f"document     {proof['documentId']}, version {proof['version']}")
    print(f"transaction  {text(metadata['txId'])} at {text(metadata['txTime'])}")
    print(f"block        {proof['blockAddress']['sequenceNo']} of strand {proof['blockAddress']['strandId']}")
    print(f"written by   {writers[proof['writtenBy']]}")
    print(f"state        {state}")
    if state == "normal" and data is not None:
        print(f"data         {text(data)}")


# ---- 6. Ion as text --------------------------------------------------------------------------------------------------

KINDS = "null bool int int float decimal timestamp symbol string clob blob list sexp struct".split()
ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\"}


def text(value: Value) -> str:
    """Return a value as Ion text (https://amazon-ion.github.io/ion-docs/docs/spec.html) without
    control characters."""
    names = "".join(f"{symbol_text(name)}::" for name in value.annotations)
    return names + (null_text(value) if value.content is None else TEXTS[value.kind](value))


def null_text(value: Value) -> str:
    return "null" if value.kind == NULL else f"null.{KINDS[value.kind]}"


def float_text(value: Value) -> str:
    number = struct.unpack(">d", value.content or bytes(8))[0]
    if number != number or number in (float("inf"), float("-inf")):
        return "nan" if number != number else "+inf" if number > 0 else "-inf"
    shown = repr(number)
    return shown if "e" in shown else f"{shown}e0"


def decimal_text(value: Value) -> str:
    if not value.content:
        return "0."
    exponent_sign, exponent, after = read_var_int(value.content, 0)
    sign, coefficient = read_int(value.content[after:])
    minus, digits = "-" if sign else "", decimal_digits(coefficient)
    if not exponent:
        return f"{minus}{digits}."
    if not exponent_sign or exponent > 40:
        return f"{minus}{digits}d{'-' if exponent_sign else ''}{exponent}"
    digits = digits.rjust(exponent + 1, "0")
    return f"{minus}{digits[:-exponent]}.{digits[-exponent:]}"


def decimal_digits(number: int) -> str:
    """Return a number's digits; str() refuses more than 4,300."""
    parts = []
    while number >= 10**4000:
        number, rest = divmod(number, 10**4000)
        parts.append(str(rest).rjust(4000, "0"))
    return str(number) + "".join(reversed(parts))


def timestamp_text(value: Value) -> str:
    sign, offset, position = read_var_int(value.content, 0)
    parts = []
    while position < len(value.content) and len(parts) < 6:
        number, position = read_var_uint(value.content, position)
        parts.append(number)
    minutes = -offset if sign else offset
    if len(parts) > 3:
        local = datetime(*parts[:5]) + timedelta(minutes=minutes)
        parts[:5] = [local.year, local.month, local.day, local.hour, local.minute]
    shown = "-".join(f"{part:0{width}}" for part, width in zip(parts[:3], (4, 2, 2), strict=False)) + "T"
    if len(parts) < 4:
        return shown
    shown += ":".join(f"{part:02}" for part in parts[3:])
    if position < len(value.content):
        _, exponent, position = read_var_int(value.content, position)
        shown += "." + decimal_digits(read_int(value.content[position:])[1]).rjust(exponent, "0")
    if not offset:
        return shown + ("-00:00" if sign else "Z")
    return f"{shown}{'-' if sign else '+'}{offset // 60:02}:{offset % 60:02}"


def quoted(content: str, quote: str) -> str:
    return quote + "".join(escaped(character, quote) for character in content) + quote


def escaped(character: str, quote: str) -> str:
    if character == quote:
        return f"\\{quote}"
    if character in ESCAPES:
        return ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def symbol_text(name: str | None) -> str:
    if name is UNKNOWN:
        return "$0"
    plain = re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) and name not in ("null", "true", "false", "nan")
    return name if plain else quoted(name, "'")


def fields_text(value: Value) -> str:
    return ", ".join(f"{symbol_text(name)}: {text(field)}" for name, field in value.content)


def clob_text(value: Value) -> str:
    content = "".join(
        chr(byte) if 31 < byte < 127 else f"\\x{byte:02x}" for byte in value.content.replace(b"\\", b"\\\\")
    )
    return '{{"' + content.replace('"', '\\"') + '"}}'


TEXTS: dict[int, Callable[[Value], str]] = {
    BOOL: lambda value: "true" if value.qualifier & 1 else "false",
    POSITIVE_INT: lambda value: decimal_digits(number_of(value)),
    NEGATIVE_INT: lambda value: f"-{decimal_digits(number_of(value))}",
    FLOAT: float_text,
    DECIMAL: decimal_text,
    TIMESTAMP: timestamp_text,
    SYMBOL: lambda value: "$0" if value.qualifier == 0x71 else symbol_text(value.content.decode()),
    STRING: lambda value: quoted(value.content.decode(), '"'),
    CLOB: clob_text,
    BLOB: lambda value: "{{" + b64encode(value.content).decode() + "}}",
    LIST: lambda value: "[" + ", ".join(map(text, value.content)) + "]",
    SEXP: lambda value: "(" + " ".join(map(text, value.content)) + ")",
    STRUCT: lambda value: "{" + fields_text(value) + "}",
}

# ---- The file --------------------------------------------------------------------------------------------------------

FORMATS = ("strandline-proof/1", "strandline-proof/2")


def read_proof(path: str) -> dict[str, Any]:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise WrongUse(f"{path}: {error.strerror}") from None
    try:
        proof = json.loads(content)
    except (ValueError, RecursionError):
        raise NotChecked(f"{path}: not JSON; expected a file of `strandline prove`") from None
    if not isinstance(proof, dict) or proof.get("format") not in FORMATS:
        raise NotChecked(f"{path}: not a {FORMATS[-1]}; expected a file of `strandline prove`")
    check_members(proof, "documentId version level writtenBy revision proof notes blockAddress digestTipAddress")
    check_members(proof["blockAddress"], "strandId sequenceNo")
    check_members(proof["digestTipAddress"], "sequenceNo")
    if "block" in proof:
        check_members(proof, "block")
    # Decoded here, so that damage is found before anything is checked.
    sha256_hash(proof, "digest")
    hashes(proof, "proof")
    for name, read in (("hash", sha256_hash), ("metadata", base64), ("data", base64), ("dataHash", sha256_hash)):
        if name == "hash" or name in proof["revision"]:
            read(proof["revision"], name)
    if "block" in proof:
        base64(proof["block"], "documents")
        sha256_hash(proof["block"], "previousBlockHash")
        for name in ("otherFields", "entriesHashList", "previousBlockPath"):
            hashes(proof["block"], name)
    return proof


SHAPES: dict[str, Callable[[Any], bool]] = {
    "level": lambda value: value in ("full", "chain"),
    "writtenBy": lambda value: value in ("qldb", "strandline"),
    # What is printed must not steer a terminal.
    "notes": lambda value: isinstance(value, list) and all(isinstance(one, str) and one.isprintable() for one in value),
    **dict.fromkeys(["documentId", "strandId"], lambda value: isinstance(value, str) and value.isprintable()),
    **dict.fromkeys(["version", "sequenceNo"], lambda value: type(value) is int and value >= 0),
    **dict.fromkeys(["revision", "block", "blockAddress", "digestTipAddress"], lambda value: isinstance(value, dict)),
    "proof": lambda value: isinstance(value, list),
}


def check_members(holder: dict[str, Any], names: str) -> None:
    for name in names.split():
        if not SHAPES[name](holder.get(name)):
            raise NotChecked(f"damaged proof: {name} is missing or of the wrong kind")


def base64(holder: Any, name: str | int) -> bytes:
    try:
        return b64decode(holder[name], validate=True)
    except (LookupError, TypeError, ValueError):
        raise NotChecked(f"damaged proof: {name} is missing or not base64") from None


def sha256_hash(holder: Any, name: str | int) -> bytes:
    data = base64(holder, name)
    if len(data) != 32:
        raise NotChecked(f"damaged proof: {name} is not a SHA-256 hash")
    return data


def hashes(holder: dict[str, Any], name: str) -> list[bytes]:
    members = holder.get(name)
    if not isinstance(members, list):
        raise NotChecked(f"damaged proof: {name} is missing or not a list")
    return [sha256_hash(members, index) for index in range(len(members))]


def main() -> int:
    parser = argparse.ArgumentParser(description="Check a Strandline proof against a digest saved from Amazon QLDB.")
    parser.add_argument("file", metavar="FILE", help="a file that `strandline prove` wrote")
    parser.add_argument("--digest", metavar="BASE64", help="the ledger's digest, saved while QLDB ran")
    arguments = parser.parse_args()
    try:
        digest = None if arguments.digest is None else given_digest(arguments.digest)
        bound = verify(read_proof(arguments.file), digest)
    except NotProved as reason:
        print(f"THE PROOF DOES NOT HOLD: {reason}")
        return 1
    except NotChecked as reason:
        print(f"THE PROOF CANNOT BE CHECKED: {reason}")
        return 3
    except WrongUse as reason:
        print(reason, file=sys.stderr)
        return 2
    weakly = "" if bound else ", WEAKLY (see the notes)"
    print(f"THE PROOF HOLDS{weakly}, against the digest {'in the file itself' if digest is None else 'given'}")
    return 0


def given_digest(argument: str) -> bytes:
    try:
        return sha256_hash([argument], 0)
    except NotChecked:
        raise WrongUse("--digest is not a SHA-256 hash in base64") from None


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(main())
