"""The command line, `strandline COMMAND`. Light to import: every process that decodes imports it once more."""

import gc
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, of this process's arguments unless given; gives the exit status."""
    from strandline.cli.app import run

    gc.freeze()  # what is imported stays: Python need not look through it for garbage
    return run(arguments)
