"""Checks of the program itself: versions, the kernel, optional packages, room on the disk."""

import os
import platform
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from strandline.consumer.diagnosis.finding import Findings
from strandline.consumer.extras import PACKAGES, install_line
from strandline.consumer.settings import Settings
from strandline.journal.decode.kernel import KERNEL

PACKAGE = "strandline"
SHOWN = ("amazon.ion", "boto3", "opensearch-py", "psycopg", "pydantic")
# The use of each extra.
EXTRAS = {
    "embedded": "the embedded PostgreSQL",
    "console": "`strandline console`",
    "alb": "`strandline console` behind an AWS load balancer",
    "worker": "`strandline worker`",
    "parquet": "`strandline export-model` to Parquet",
    "provenance": "`strandline lineage -o`",
    "shell": "`strandline shell` with completion",
    "cluster": "`--cluster`",
    "tracing": "STRANDLINE_TRACING",
}
LEAST_FREE = 1 << 30


def check_program(findings: Findings) -> None:
    """Check versions, the kernel and the extras."""
    findings.ok("version", f"Strandline {version(PACKAGE)}, Python {platform.python_version()}, {platform.platform()}")
    if KERNEL == "native":
        findings.ok("kernel", f"native ({version('strandline-native')})")
    elif os.environ.get("STRANDLINE_KERNEL") == "python":
        findings.note("kernel", "plain Python, by STRANDLINE_KERNEL")
    elif find_spec("strandline_native") is not None:
        advice = "install the wheel that was built with it (`make wheels`); in a clone, `make native`"
        findings.warn("kernel", "plain Python: the native kernel that is installed is of another version", advice)
    else:
        advice = "install the wheel of the native one, which decodes several times as fast; in a clone, `make native`"
        findings.note("kernel", "plain Python", advice)
    findings.ok("packages", ", ".join(f"{name} {version(name)}" for name in SHOWN))
    missing = [extra for extra in EXTRAS if any(find_spec(package) is None for package in PACKAGES[extra])]
    if missing:
        named = ", ".join(f"{extra} ({EXTRAS[extra]})" for extra in missing)
        findings.note("extras", f"not installed: {named}", f"to add one: `{install_line(missing[0])}`")
    elif requires(PACKAGE):
        findings.ok("extras", f"all installed: {', '.join(EXTRAS)}")


def check_disk(findings: Findings, settings: Settings) -> None:
    """Check the room for temporary files, and for the embedded database and samples."""
    places = {"home": settings.home, "temporary files": Path(tempfile.gettempdir())}
    for name, folder in places.items():
        there = next(one for one in (folder, *folder.parents) if one.exists())
        if not os.access(there, os.W_OK | os.X_OK):
            setting = "STRANDLINE_HOME" if name == "home" else "TMPDIR"
            findings.fault(name, f"{there} cannot be written to", f"set {setting} to another folder")
            continue
        free = shutil.disk_usage(there).free
        text = f"{folder}: {free / 1e9:.1f} GB free"
        if free < LEAST_FREE:
            findings.fault(name, text, "make room: a full disk stops the database and every command")
        else:
            findings.ok(name, text)


def installed(name: str) -> str | None:
    """Return the version of a package, None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
