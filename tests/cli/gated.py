"""Runs a command that says "ready" at its second progress report and waits there for a signal."""

import sys
import time
from itertools import count

from strandline.cli import interrupts, main, progress

_report = progress._Lines.report
_reports = count(1)


def report(self: progress._Lines, label: str, done: int, total: int | None) -> None:
    if next(_reports) == 2:
        sys.stderr.write("ready\n")
        sys.stderr.flush()
        while interrupts._received is None:
            time.sleep(0.01)
    _report(self, label, done, total)


if __name__ == "__main__":
    progress._Lines.report = report  # type: ignore[method-assign]
    sys.exit(main())
