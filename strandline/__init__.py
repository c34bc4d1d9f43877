"""Strandline: verified, erasable, rebuildable read models of an Amazon QLDB journal.

A projection imports the names below. The folders next to this file are links to the folders of the repository: a
module's import path is `strandline.` and its file's path.
"""

from strandline.consumer.projection.definition import (
    Block,
    BlockProjection,
    Column,
    ComposedProjection,
    Computed,
    KeyLookup,
    Lookup,
    Revision,
    RowProjection,
    Rows,
    Unprojectable,
)

__all__ = [
    "Block",
    "BlockProjection",
    "Column",
    "ComposedProjection",
    "Computed",
    "KeyLookup",
    "Lookup",
    "Revision",
    "RowProjection",
    "Rows",
    "Unprojectable",
]
