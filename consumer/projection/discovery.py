"""Finds the projections of the configured packages and checks their declarations."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType

from strandline.consumer.projection.column_types import INDEXABLE, TYPES
from strandline.consumer.projection.definition import (
    NAME,
    RESERVED,
    BlockProjection,
    ComposedProjection,
    Projection,
    computed,
)
from strandline.journal.errors import UsageError


def discover(packages: Sequence[str]) -> dict[str, Projection]:
    """Every projection in the packages (or single modules) and what is below them, by name.

    Raises `UsageError` where a module cannot be imported, or a projection contradicts itself or another.
    """
    found: dict[str, Projection] = {}
    for module in {module.__name__: module for name in packages for module in _modules(name)}.values():
        projection = getattr(module, "PROJECTION", None)
        if projection is None:
            continue
        if not isinstance(projection, Projection):
            raise UsageError(f"{module.__name__}: PROJECTION is not a Row-, Block- or ComposedProjection.")
        if fault := _fault(projection):
            raise UsageError(f"{module.__name__}: {fault}")
        if projection.name in found:
            raise UsageError(f"{module.__name__}: another projection is named {projection.name!r} already.")
        found[projection.name] = projection
    return dict(sorted(found.items()))


def find_projection(projections: Mapping[str, Projection], name: str) -> Projection:
    """Return the projection of that name. Raises `UsageError` if there is none."""
    if name not in projections:
        raise UsageError(f"There is no projection {name!r}; there are {', '.join(projections) or 'none'}.")
    return projections[name]


def _modules(name: str) -> Iterator[ModuleType]:
    module = _import(name)
    yield module
    if hasattr(module, "__path__"):
        for below in sorted(pkgutil.iter_modules(module.__path__), key=lambda info: info.name):
            yield from _modules(f"{name}.{below.name}")


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as exc:
        raise UsageError(
            f"The projections in {name} cannot be imported ({type(exc).__name__}: {exc}).\n"
            "Check the module, or STRANDLINE_PROJECTIONS."
        ) from exc


def _fault(projection: Projection) -> str | None:
    names = [*(column.name for column in projection.columns), *(column.name for column in computed(projection))]
    if not NAME.fullmatch(projection.name):
        return "a projection's name has at most 40 small letters, digits and underscores."
    if odd := [name for name in names if not NAME.fullmatch(name) or name in RESERVED]:
        return f"{odd[0]!r} cannot be a column's name."
    if len(set(names)) < len(names):
        return "two columns have one name."
    if odd := [column.type for column in projection.columns if column.type not in TYPES]:
        return f"{odd[0]!r} is not a column type; there are {', '.join(TYPES)}."
    indexable = [column.name for column in projection.columns if column.type in INDEXABLE]
    if odd := [name for part in (projection.key, *projection.indexes) for name in part if name not in indexable]:
        return f"key or index names {odd[0]!r}, which is no column, or not of {', '.join(INDEXABLE)}."
    if not isinstance(projection, BlockProjection) and not projection.tables:
        return "it names no source tables."
    return _store_fault(projection)


def _store_fault(projection: Projection) -> str | None:
    if projection.store == "postgresql":
        told = projection.analysis or any(column.mapping for column in projection.columns)
        return "analyzers and mappings are for OpenSearch only." if told else None
    if projection.readers != "analysts":
        return "a restricted read model may not be in OpenSearch."
    if projection.indexes or (isinstance(projection, ComposedProjection) and projection.computed):
        return "indexes and computed columns are for PostgreSQL only."
    return None
