"""Finds the projections of the configured packages and validates their declarations."""

import importlib
import pkgutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from strandline.consumer.projection.definition import Projection, function
from strandline.consumer.projection.fingerprint import hash_code, imported_modules
from strandline.consumer.projection.validation import find_fault
from strandline.journal.errors import UsageError

SAMPLES = "strandline.projections."


def discover(packages: Sequence[str]) -> dict[str, Projection]:
    """Return every projection in the packages (or single modules) and in those below them, by name.

    Packages in the working directory are found, after all others. Raises `UsageError` if a module cannot be imported or
    defines nothing, or if a declaration is invalid.
    """
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    found: dict[str, Projection] = {}
    others: list[str] = []
    imported: set[str] = set()
    for module in {module.__name__: module for name in packages for module in _modules(name)}.values():
        name = module.__name__
        imported |= imported_modules(name, packages) - {name}
        if not hasattr(module, "PROJECTION"):
            if not hasattr(module, "__path__"):
                others.append(name)
            continue
        projection = module.PROJECTION
        if not isinstance(projection, Projection):
            raise UsageError(f"{name}: PROJECTION is not a RowProjection, BlockProjection or ComposedProjection.")
        if fault := find_fault(projection):
            raise UsageError(f"{name}: {fault}")
        if projection.name in found:
            raise UsageError(f"{name}: another projection is named {projection.name!r} already.")
        found[projection.name] = replace(projection, code_hash=hash_code(name, packages))
    if unused := [name for name in others if name not in imported]:
        raise UsageError(
            f"{unused[0]}: it has no PROJECTION, and no other module imports it. Add one, or move the module away."
        )
    return dict(sorted(found.items()))


def find_projection(projections: Mapping[str, Projection], name: str) -> Projection:
    """Return the projection of that name. Raises `UsageError` if there is none."""
    if name not in projections:
        raise UsageError(f"There is no projection {name!r}; there are {', '.join(projections) or 'none'}.")
    return projections[name]


def is_sample(projection: Projection) -> bool:
    """Return whether the projection is one of Strandline's own, for its sample ledgers."""
    return function(projection).__module__.startswith(SAMPLES)


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
