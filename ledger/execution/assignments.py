"""SET, REMOVE and INSERT INTO within a document. Pure: each returns the changed document and leaves the old one."""

from collections.abc import Sequence
from typing import Any

from strandline.ledger.partiql.errors import SemanticError
from strandline.ledger.partiql.values import MISSING, STRUCTS, is_unknown, kind, step
from strandline.ledger.values import alike

Path = Sequence[str | int]


def assigned(data: Any, path: Path, value: Any) -> Any:
    """Return the data with the value at the path. A field that is not there is added, a struct on the way too."""
    if not path:
        return value
    name, rest = path[0], path[1:]
    if isinstance(name, int):
        items = _list(data, name)
        items[name] = assigned(items[name], rest, value)
        return alike(data, items)
    if is_unknown(data):
        data = {}
    if not isinstance(data, STRUCTS):
        raise SemanticError(f"Semantic Error: a field is set in a struct, not in a value of type {kind(data)}")
    changed = assigned(data.get(name, MISSING), rest, value)
    members = {key: member for key, member in data.items() if key != name or changed is not MISSING}
    if changed is not MISSING:
        members[name] = changed
    return alike(data, members)


def removed(data: Any, path: Path) -> Any:
    """Return the data without what is at the path; a no-op if nothing is."""
    name, rest = path[0], path[1:]
    inner = step(data, name)
    if inner is MISSING:
        return data
    if rest:
        return assigned(data, [name], removed(inner, rest))
    if isinstance(data, STRUCTS):
        return alike(data, {key: member for key, member in data.items() if key != name})
    return alike(data, [member for place, member in enumerate(data) if place != name])


def inserted(data: Any, path: Path, value: Any, at: str | int | None) -> Any:
    """Return the data with the value as a new member of the collection at the path.

    In a list, `at` is the position from 0, by default the end; in a struct it is the new field's name.
    """
    target = data
    for name in path:
        target = step(target, name)
    if isinstance(target, STRUCTS):
        if not isinstance(at, str):
            raise SemanticError("Semantic Error: INSERT INTO a struct needs AT with a field's name")
        if at in target:
            raise SemanticError("Semantic Error: INSERT INTO: the struct has this field")
        return assigned(data, [*path, at], value)
    if kind(target) not in ("list", "sexp"):
        raise SemanticError(f"Semantic Error: INSERT INTO needs a list or a struct, not a value of type {kind(target)}")
    place = len(target) if at is None else at
    if not isinstance(place, int) or not 0 <= place <= len(target):
        raise SemanticError("Semantic Error: INSERT INTO a list: AT is a position in it")
    return assigned(data, path, alike(target, [*target[:place], value, *target[place:]]))


def _list(data: Any, place: int) -> list[Any]:
    if kind(data) not in ("list", "sexp"):
        raise SemanticError(f"Semantic Error: a position is in a list, not in a value of type {kind(data)}")
    if not 0 <= place < len(data):
        raise SemanticError("Semantic Error: the list has no such position")
    return list(data)
