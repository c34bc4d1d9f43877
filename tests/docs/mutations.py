"""Mutated proofs, for which both verifiers must give the same answer."""

import copy
import dataclasses
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from strandline.journal.check import merkle
from strandline.journal.errors import StrandlineError
from strandline.journal.ion import values as ion
from strandline.journal.ion.hash import ion_hash
from strandline.journal.make.block import timestamp
from strandline.journal.proofs.file import Proof
from tests.journal.proofs.examples import make_proof, make_strand, real_proof

DATA = (
    b'{a:1,b:"text",c:2020-01-02T03:04:05.678Z,d:1.50,e:[1,-2,true,null.int],f:{{AAEC}},g:sym,h:x::{y:1e0},'
    b'i:(s 1),j:{{"clob"}},k:2020T,l:2020-05-06T07:08+02:30,m:-0.,n:123456789012345678901234567890}'
)
METADATA = {"id": "doc", "version": 3, "txTime": timestamp(0), "txId": "tx"}
HASH = b64encode(bytes(32)).decode()
VALUES = [None, 0, 1, -1, True, 1.5, 3.0, "", "a", [], {}, "AAAA", [None], [""], "a\x1b", "ü", 2**70, HASH, [HASH]]

Hash = Callable[[bytes], bytes]


def mutated_files(random: Random, hash_of: list[Hash]) -> Iterator[bytes]:
    """Yield proofs in which bytes, members, or the Ion of a revision are changed, without end.

    The revision's hash is computed again over changed Ion, by each of the functions, so that only reading differs.
    """
    proofs = [make_proof(make_strand(), 3, state) for state in ("normal", "redacted", "deleted")]
    data, metadata = ion.write(next(ion.read_typed(DATA))), ion.write(METADATA)
    while True:
        text = random.choice(proofs).to_json()
        yield _mutate(random, text.encode())
        yield json.dumps(_change_member(random, json.loads(text))).encode()
        halves = (_mutate(random, metadata), data) if random.random() < 0.3 else (metadata, _mutate(random, data))
        for hash_function in hash_of:
            try:
                digest = merkle.dot(*map(hash_function, halves))
            except Exception:  # this verifier does not read it
                continue
            yield _revision(*halves, digest).to_json().encode()


def our_hash(data: bytes) -> bytes:
    """Return the Ion Hash of a value. Raises StrandlineError."""
    values = list(ion.read_typed(data))
    if len(values) != 1:
        raise StrandlineError("not one value")
    return ion_hash(values[0])


def _revision(metadata: bytes, data: bytes, digest: bytes) -> Proof:
    return dataclasses.replace(
        real_proof(), document_id="doc", version=3, hash=digest, metadata=metadata, data=data, path=(), digest=digest
    )


def _mutate(random: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        at = random.randrange(len(changed)) if changed else 0
        kind = random.randrange(7)
        if kind < 3 and changed:
            changed[at] = random.randrange(256)
        elif kind == 3 and changed:
            changed[at] ^= 1 << random.randrange(8)
        elif kind == 4 and changed:
            del changed[at]
        elif kind == 5:
            changed.insert(at, random.randrange(256))
        else:
            changed[at:at] = changed[at : at + random.randrange(6)]
    return bytes(changed)


def _change_member(random: Random, content: dict[str, Any]) -> dict[str, Any]:
    content = copy.deepcopy(content)
    inner = [value for value in content.values() if isinstance(value, dict)]
    holder = random.choice([content, *inner])
    name = random.choice(list(holder))
    value, kind = holder[name], random.randrange(6)
    if kind == 0:
        del holder[name]
    elif kind <= 2:
        holder[name] = random.choice(VALUES)
    elif isinstance(value, str) and value:
        holder[name] = _change_text(random, value)
    elif isinstance(value, list) and value:
        at = random.randrange(len(value))
        changes: list[Callable[[], object]] = [
            lambda: value.pop(at),
            lambda: value.insert(at, random.choice(value)),
            lambda: value.__setitem__(at, random.choice([None, "", 1, HASH])),
        ]
        random.choice(changes)()
    elif isinstance(value, int):
        holder[name] = value + random.choice((-3, -1, 1, 2, 5, 10**9, 10**20))
    return content


def _change_text(random: Random, text: str) -> str:
    try:
        return b64encode(_mutate(random, b64decode(text, validate=True))).decode()
    except ValueError:
        return text[:-1]
