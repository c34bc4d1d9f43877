"""The output formats of an export; a module of its own, which the command line can import quickly."""

from enum import StrEnum


class Format(StrEnum):
    """QLDB's output formats; JSON loses Ion's types."""

    ION_TEXT = "ION_TEXT"
    ION_BINARY = "ION_BINARY"
    JSON = "JSON"

    @property
    def extension(self) -> str:
        return "json" if self is Format.JSON else "ion"
