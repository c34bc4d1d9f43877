"""Runs the long tests, each for its share of the time. Ends with one line on stdout: the sum of their outcomes."""

import argparse
import hashlib
import sys
import time
import traceback
from collections.abc import Mapping

from tests.soak.long_tests import LONG_TESTS, LongTest
from tests.soak.outcome import Outcome


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--duration", type=float, default=600, help="seconds, for all of it")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("only", nargs="*", metavar="NAME", help=f"some of: {' '.join(LONG_TESTS)}")
    given = parser.parse_args()
    if unknown := set(given.only) - set(LONG_TESTS):
        parser.error(f"no long test {' '.join(sorted(unknown))}: they are {' '.join(LONG_TESTS)}")
    chosen = {name: test for name, test in LONG_TESTS.items() if not given.only or name in given.only}
    return soak(chosen, given.duration, given.seed)


def soak(chosen: Mapping[str, LongTest], duration: float, seed: int) -> int:
    """Run the tests. Returns the exit status: 1 if one failed, or found anything lost, duplicated or resurrected."""
    end = time.monotonic() + duration
    total, failed = Outcome(), []
    for left, (name, test) in zip(range(len(chosen), 0, -1), chosen.items(), strict=True):
        seconds = max(0.0, (end - time.monotonic()) / left)
        _say(f"{name}: {seconds:.0f} s, seed {seed}")
        try:
            outcome = test(seconds, _own(seed, name))
        except Exception:
            traceback.print_exc()
            failed.append(name)
            continue
        _say(f"{name}: {outcome}")
        total += outcome
        if not outcome.good:
            failed.append(name)
    for name in failed:
        _say(f"failed: {name}; again with: make soak ONLY={name} SEED={seed} DURATION={duration / len(chosen):.0f}")
    sys.stdout.write(f"{total}\n")
    return 1 if failed else 0


def _own(seed: int, name: str) -> int:
    """Return a test's own seed, which does not depend on the other tests."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:6], "big")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
