"""Damaged Ion, JSON and KPL-aggregated records (tests/faults/fuzz.py): none may crash or hang its reader."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.databases import migrated_database
from tests.soak.outcome import Outcome
from tests.soak.server import server

HANGS = 60  # seconds after its time in which a process of the fuzz has ended, unless an input has caught it


def fuzz(seconds: float, seed: int) -> Outcome:
    """Read damaged inputs, and store those that verify. Raises with the bytes of an input that crashes its reader."""
    with (
        server() as where,
        migrated_database(*where) as url,
        tempfile.TemporaryDirectory(prefix="strandline-soak-") as folder,
    ):
        kept = Path(folder) / "input"
        command = [sys.executable, "-m", "tests.faults.fuzz", "--seed", str(seed), "--seconds", str(seconds)]
        command += ["--input", str(kept), "--database", url]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + HANGS, check=False)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"no end with {kept.read_bytes().hex()}") from None
        if done.returncode:
            raise AssertionError(f"{done.stderr[-2000:]}\nwith {kept.read_bytes().hex()}")
        sys.stderr.write(f"fuzz: {json.loads(done.stdout)}\n")
    return Outcome()
