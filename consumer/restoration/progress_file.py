"""The file in a destination that says which objects are done, so that a restoration resumes."""

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from strandline.journal.errors import UsageError
from strandline.journal.restore.block import HeldOut, Learned
from strandline.journal.restore.history import Shape
from strandline.journal.restore.nodes import Assignment

NAME = ".restoration.jsonl"
_TYPES = {one.__name__: one for one in (dict, list, str, bool, int, Decimal, type(None))}


@dataclass
class DoneObject:
    """A source object that is restored as far as it can be: the files written for it and what was found.

    `sha256` is of the source object's bytes. `knowledge` counts what had been learned before it was searched.
    """

    name: str
    sha256: str
    outputs: list[str]
    blocks: int = 0
    restored: int = 0
    tried: int = 0
    knowledge: int = 0
    lifted: Counter[str] = field(default_factory=Counter)
    kept_back: Counter[str] = field(default_factory=Counter)
    held_out: list[HeldOut] = field(default_factory=list)


class ProgressFile:
    """An append-only file of JSON lines; a line counts once it is complete."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self.done: dict[str, DoneObject] = {}
        self.learned: list[Learned] = []
        self._read()

    @classmethod
    def exists_in(cls, folder: Path) -> bool:
        return (folder / NAME).is_file()

    def add(self, done: DoneObject, learned: list[Learned]) -> None:
        """Append an object, whose files are on the disk already, and what it taught."""
        self.done[done.name] = done
        self.learned += learned
        line = json.dumps({"object": _object_json(done), "learned": [_learned_json(one) for one in learned]})
        with self._path.open("ab") as file:
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)

    def _read(self) -> None:
        whole = b""
        data = self._path.read_bytes() if self._path.exists() else b""
        for line in data.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break  # cut off by a kill; the object is restored again
            try:
                value = json.loads(line)
                done = _object(value["object"])
                learned = [_learned(one) for one in value["learned"]]
            except (ValueError, LookupError, TypeError):
                raise UsageError(f"{self._path}: damaged; empty the folder, and restore again") from None
            self.done[done.name] = done
            self.learned += learned
            whole += line
        if len(whole) < len(data):
            self._path.write_bytes(whole)


def _object_json(done: DoneObject) -> dict[str, Any]:
    return {**vars(done), "held_out": [list(one) for one in done.held_out]}


def _object(value: Mapping[str, Any]) -> DoneObject:
    held_out = [HeldOut._make([*members, tuple(fields)]) for *members, fields in value["held_out"]]
    lifted, kept_back = Counter(value["lifted"]), Counter(value["kept_back"])
    return DoneObject(**{**value, "lifted": lifted, "kept_back": kept_back, "held_out": held_out})


def _learned_json(learned: Learned) -> list[Any]:
    names, types = learned.shape
    fields = [[list(path), kind, recipe] for (path, kind), recipe in learned.assignment.items()]
    return [learned.table, list(names), [one.__name__ for one in types], fields]


def _learned(value: list[Any]) -> Learned:
    table, names, types, fields = value
    shape: Shape = (tuple(names), tuple(_TYPES[name] for name in types))
    assignment: Assignment = {(tuple(path), kind): recipe for path, kind, recipe in fields}
    return Learned(table, shape, assignment)
