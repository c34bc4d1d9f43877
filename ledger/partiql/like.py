"""LIKE: `%` stands for any characters, `_` for one."""

from functools import lru_cache

from strandline.ledger.partiql.errors import SemanticError

_ANY_ONE = None  # the parsed `_`
Part = tuple[str | None, ...]


def matches(text: str, pattern: str, escape: str | None) -> bool:
    """Return whether the text matches. The time is at most proportional to the product of the lengths."""
    parts = _parse(pattern, escape)
    first, *rest = parts
    if not rest:
        return len(text) == len(first) and _fits(text, 0, first)
    last = rest.pop()
    if len(text) < len(first) + len(last) or not _fits(text, 0, first):
        return False
    end = len(text) - len(last)
    if not _fits(text, end, last):
        return False
    position = len(first)
    # The earliest place of each part leaves most room for those after it.
    for part in rest:
        while position + len(part) <= end and not _fits(text, position, part):
            position += 1
        if position + len(part) > end:
            return False
        position += len(part)
    return True


@lru_cache(200)
def _parse(pattern: str, escape: str | None) -> tuple[Part, ...]:
    """Return the parts between the `%`; None in a part is any character."""
    if escape is not None and len(escape) != 1:
        raise SemanticError("Semantic Error: LIKE: ESCAPE is one character")
    parts: list[list[str | None]] = [[]]
    characters = iter(pattern)
    for character in characters:
        if character == escape:
            following = next(characters, None)
            if following is None or following not in ("%", "_", escape):
                raise SemanticError("Semantic Error: LIKE: the escape is followed by %, _ or itself")
            parts[-1].append(following)
        elif character == "%":
            parts.append([])
        else:
            parts[-1].append(_ANY_ONE if character == "_" else character)
    return tuple(map(tuple, parts))


def _fits(text: str, position: int, part: Part) -> bool:
    return all(one is None or text[position + place] == one for place, one in enumerate(part))
