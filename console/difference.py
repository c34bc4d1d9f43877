"""The difference between two JSON documents, by path."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from strandline.journal.ion.json import json_text

Kind = Literal["added", "removed", "changed", "same"]


@dataclass(frozen=True)
class Field:
    """One leaf of a document: its path, and its JSON text in the older and the newer one."""

    path: str
    kind: Kind
    before: str | None
    after: str | None


def difference(before: Any, after: Any) -> list[Field]:
    """Return every leaf of either document, in the order of the newer one; members of lists go by index."""
    return list(_compare("", before, after))


def leaves(document: Any) -> list[Field]:
    """Return every leaf of one document, as `same`."""
    return [Field(path, "same", None, text) for path, text in _leaves("", document)]


def _compare(path: str, before: Any, after: Any) -> Iterator[Field]:
    if isinstance(before, Mapping) and isinstance(after, Mapping) and (before or after):
        for name in [*after, *(one for one in before if one not in after)]:
            below = f"{path}.{name}" if path else str(name)
            yield from _member(below, name in before, before.get(name), name in after, after.get(name))
    elif _is_list(before) and _is_list(after) and (before or after):
        for index in range(max(len(before), len(after))):
            was, is_ = index < len(before), index < len(after)
            yield from _member(
                f"{path}[{index}]", was, before[index] if was else None, is_, after[index] if is_ else None
            )
    elif _same(before, after):
        yield from (Field(one, "same", text, text) for one, text in _leaves(path, after))
    elif isinstance(before, Mapping | list) or isinstance(after, Mapping | list):
        yield from (Field(one, "removed", text, None) for one, text in _leaves(path, before))
        yield from (Field(one, "added", None, text) for one, text in _leaves(path, after))
    else:
        yield Field(path, "changed", text_of(before), text_of(after))


def _member(path: str, was: bool, before: Any, is_: bool, after: Any) -> Iterator[Field]:
    if was and is_:
        yield from _compare(path, before, after)
    elif is_:
        yield from (Field(one, "added", None, text) for one, text in _leaves(path, after))
    else:
        yield from (Field(one, "removed", text, None) for one, text in _leaves(path, before))


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, member in value.items():
            yield from _leaves(f"{path}.{name}" if path else str(name), member)
    elif _is_list(value) and value:
        for index, member in enumerate(value):
            yield from _leaves(f"{path}[{index}]", member)
    else:
        yield path, text_of(value)


def _same(before: Any, after: Any) -> bool:
    # 14.0 and 14.00 are different decimals in Ion, and true is not 1.
    return text_of(before) == text_of(after)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def text_of(value: Any) -> str:
    """Return the JSON text of a value as it is stored: every digit of a number."""
    if isinstance(value, Decimal):
        return format(value, "f")
    return json_text(value).decode("utf-8", "replace")
