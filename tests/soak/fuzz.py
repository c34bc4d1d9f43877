"""Damaged Ion, JSON and KPL-aggregated records (tests/faults/fuzz.py): none may crash or hang whoever reads it."""

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
    """Inputs, with what verifies of them stored; raises for one that its reader does not survive, with its bytes."""
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
