"""Converts documents of a known shape in one pass: a plan is an assignment, compiled.

It applies known recipes only. A document with anything else is left to the search.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from strandline.journal.restore.nodes import MEMBER, Assignment, Field, Path
from strandline.journal.restore.recipes import NOT_POSSIBLE, converter, timestamp

Convert = Callable[[Any], Any]

_TYPES: dict[str, type] = {
    "object": dict,
    "array": list,
    "bool": bool,
    "int": int,
    "real": Decimal,
    "null": type(None),
}
# Recipes that leave a value as `read_json` gives it.
_AS_IS = frozenset((("bool", "bool"), ("int", "int"), ("real", "decimal"), ("null", "null")))


class UnknownFieldError(Exception):
    """A document with a field, or a kind of value, that the plan has no recipe for."""


class Plan:
    """An assignment that has been right at least once."""

    def __init__(self, assignment: Mapping[Field, str]) -> None:
        self.assignment = dict(assignment)
        self._convert: Convert | None = None

    def __call__(self, value: Any) -> Any:
        """Return the Ion value; NOT_POSSIBLE if a recipe does not fit. Raises UnknownFieldError, RecursionError."""
        if self._convert is None:
            self._convert = _compile(self.assignment)
        return self._convert(value)

    def merged(self, assignment: Assignment) -> "Plan | None":
        """Return the plan for both assignments, None if they contradict each other."""
        own = self.assignment
        if any(own.get(field, recipe) != recipe for field, recipe in assignment.items()):
            return None
        return Plan({**own, **assignment})

    def __reduce__(self) -> tuple[type["Plan"], tuple[Assignment]]:
        return Plan, (self.assignment,)  # a compiled plan cannot be sent to another process


class _Impossible(Exception):  # not an error: ends the conversion of one document
    pass


def _compile(assignment: Assignment) -> Convert:
    tree = _tree(assignment)
    root = _by_type((), tree)

    def convert(value: Any) -> Any:
        try:
            return _converted(root, value)
        except _Impossible:
            return NOT_POSSIBLE

    return convert


# The recipes of each path by kind, and the names below it.
_Tree = dict[Path, tuple[dict[str, str], list[str]]]


def _tree(assignment: Assignment) -> _Tree:
    tree: _Tree = {}
    for (path, kind), recipe in assignment.items():
        tree.setdefault(path, ({}, []))[0][kind] = recipe
    for path in list(tree):
        if path:
            tree.setdefault(path[:-1], ({}, []))[1].append(path[-1])
    return tree


_ByType = dict[type, Convert | None]
"""The function for each type of a JSON value; None leaves the value as it is."""


def _by_type(path: Path, tree: _Tree) -> _ByType:
    recipes, names = tree[path]
    result: _ByType = {}
    for kind, recipe in recipes.items():
        if kind in ("time", "text"):
            continue
        if kind == "object":
            members = {name: _by_type((*path, name), tree) for name in names if name != MEMBER}
            result[dict] = _struct(members, recipe)
        elif kind == "array":
            result[list] = _list(_by_type((*path, MEMBER), tree) if MEMBER in names else {}, recipe)
        else:
            result[_TYPES[kind]] = None if (kind, recipe) in _AS_IS else _checked(converter(recipe))
    text, time = recipes.get("text"), recipes.get("time")
    if text is not None or time is not None:
        result[str] = _string(text, time)
    return result


def _converted(by_type: _ByType, value: Any) -> Any:
    try:
        convert = by_type[type(value)]
    except KeyError:
        raise UnknownFieldError from None
    return value if convert is None else convert(value)


def _struct(members: dict[str, _ByType], recipe: str) -> Convert:
    finish = None if recipe == "struct" else converter(recipe)

    def convert(value: dict[str, Any]) -> Any:
        result = {}
        try:
            for name, member in value.items():
                known = members[name][type(member)]
                result[name] = member if known is None else known(member)
        except KeyError:
            raise UnknownFieldError from None
        return result if finish is None else finish(result)

    return convert


def _list(members: _ByType, recipe: str) -> Convert:
    finish = None if recipe == "list" else converter(recipe)

    def convert(value: list[Any]) -> Any:
        result = [_converted(members, member) for member in value]
        return result if finish is None else finish(result)

    return convert


def _string(text: str | None, time: str | None) -> Convert | None:
    """Return the function for a path's strings; only those in the form of a timestamp have the recipe `time`."""
    if time in (None, text) and text == "string":
        return None
    if time == "timestamp":
        other = None if text is None else _checked(converter(text))

        def convert(value: str) -> Any:
            found = timestamp(value)
            if found is not NOT_POSSIBLE:
                return found
            if other is None:
                raise UnknownFieldError
            return other(value)

        return convert
    return _checked(converter(text or time or "string"))


def _checked(convert: Convert) -> Convert:
    def checked(value: Any) -> Any:
        converted = convert(value)
        if converted is NOT_POSSIBLE:
            raise _Impossible
        return converted

    return checked
