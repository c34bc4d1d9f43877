"""The command `doctor`."""

import sys
from typing import TYPE_CHECKING

from strandline.cli.options import AsJson
from strandline.cli.output import plain, say, show_json
from strandline.cli.texts import count

if TYPE_CHECKING:
    from strandline.consumer.diagnosis.finding import Finding

MARKS = {"ok": "ok", "note": "-", "warning": "warning", "fault": "FAULT"}


def doctor(as_json: AsJson = False) -> int:
    """Check versions, settings, the stores and the stream.

    It changes nothing, and prints no payload and no secret. Status 1: something would break later.
    """
    from strandline.consumer.diagnosis.diagnose import diagnose
    from strandline.consumer.diagnosis.finding import breaks

    found = []
    for one in diagnose():
        found.append(one)
        if not as_json:
            _say(one)
    faulty = breaks(found)
    if as_json:
        show_json({"ok": not faulty, "checks": [one.as_dict() for one in found]})
    else:
        faults = sum(one.level == "fault" for one in found)
        warnings = sum(one.level == "warning" for one in found)
        say(f"{count(faults, 'fault')}, {count(warnings, 'warning')}.")
    return 1 if faulty else 0


def _say(one: "Finding") -> None:
    say(f"{MARKS[one.level]:<8}{one.area}: {plain(one.check)}: {plain(one.text)}")
    if one.advice:
        say(f"{'':<8}→ {plain(one.advice)}")
    sys.stdout.flush()
