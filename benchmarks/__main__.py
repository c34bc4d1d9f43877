"""`make bench`: measure all groups of benchmarks, or those that are named, and print each figure with its ratio."""

import argparse
import importlib
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measuring import Figure, Options

# Each is a module of this folder with `measure(options: Options) -> Iterator[Figure]`, and with `REVISIONS` if its
# default differs.
GROUPS = ("whole", "journal", "composed", "ledger", "drivers", "redaction", "rebuild", "worker", "failover", "scale")

REVISIONS = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"one or more of {', '.join(GROUPS)}; default: all")
    parser.add_argument("--revisions", type=int, help=f"the minimum in a simulated journal ({REVISIONS:,})")
    parser.add_argument("--forms", nargs="*", default=["ION_BINARY", "ION_TEXT"])
    given = parser.parse_args()
    if unknown := set(given.groups) - set(GROUPS):
        parser.error(f"no group {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    console = Console(width=130)
    for group in given.groups or GROUPS:
        table = Table("of", "step", "rows", "seconds", "a second", "ratio", "to", "peak MB", title=group)
        module = importlib.import_module(f"benchmarks.{group}")
        revisions = given.revisions or getattr(module, "REVISIONS", REVISIONS)
        with tempfile.TemporaryDirectory(prefix="strandline-bench-") as folder:
            for figure in module.measure(Options(revisions, tuple(given.forms), Path(folder))):
                table.add_row(*_cells(figure))
        console.print(table)


def _cells(figure: Figure) -> tuple[str, ...]:
    measured = figure.measured
    ratio = "" if figure.ratio is None else f"{figure.ratio:.3f}"
    rate = f"{measured.rate:,.0f}" if measured.rows > 1 else ""  # one row: the seconds are a duration
    return (
        figure.subject, figure.step, f"{measured.rows:,}", f"{measured.seconds:.2f}", rate, ratio,
        figure.baseline, str(measured.peak_mb),
    )  # fmt: skip


if __name__ == "__main__":
    main()
