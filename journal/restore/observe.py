"""Reads recipes off Ion: the assignment of a document whose types are known."""

from math import isnan
from typing import Any

from amazon.ion.core import IonType, Timestamp
from amazon.ion.simple_types import IonPyNull

from strandline.journal.ion.down_conversion import down_convert
from strandline.journal.ion.json import exact
from strandline.journal.restore.nodes import MEMBER, Assignment, Path
from strandline.journal.restore.recipes import kind_of

_PLAIN_NAMES = {str: "string", bool: "bool", int: "int", float: "float", bytes: "blob", dict: "struct", list: "list"}


def observe(value: Any) -> tuple[Any, Assignment]:
    """Return the JSON of an Ion value, and the recipes that give it back; of fields with several, the last one seen."""
    assignment: Assignment = {}
    shown = exact(down_convert(value))
    _observe(value, shown, (), assignment)
    return shown, assignment


def recipe_of(value: Any) -> str:
    """Return the recipe of an Ion value; for a container, its own."""
    annotations = "".join(f"{getattr(one, 'text', one)}::" for one in getattr(value, "ion_annotations", ()))
    return annotations + _name(value)


def _name(value: Any) -> str:
    if isinstance(value, IonPyNull):
        name = str(value.ion_type.name).lower()
        return "null" if name == "null" else f"null.{name}"
    if value is None:
        return "null"
    if isinstance(value, float) and value - value != 0:
        return "nan" if isnan(value) else "+inf" if value > 0 else "-inf"
    ion_type = getattr(value, "ion_type", None)
    if isinstance(ion_type, IonType):
        return str(ion_type.name).lower()
    if isinstance(value, Timestamp):
        return "timestamp"
    plain = _PLAIN_NAMES.get(type(value))
    if plain is None:
        plain = "struct" if isinstance(value, dict) else "symbol" if hasattr(value, "text") else "decimal"
    return plain


def _observe(value: Any, shown: Any, path: Path, into: Assignment) -> None:
    into[path, kind_of(shown)] = recipe_of(value)
    if type(shown) is dict:
        for name, member in value.items():
            if name in shown:  # a name without text is not
                _observe(member, shown[name], (*path, name), into)
    elif type(shown) is list:
        for member, one in zip(value, shown, strict=True):
            _observe(member, one, (*path, MEMBER), into)
