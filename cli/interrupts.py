"""SIGINT, SIGTERM and SIGHUP: a long command takes them between two steps, so that no step is half done.

amazon.ion's C code crashes if a signal handler raises while it reads or writes a value.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

INTERRUPTED = 128 + signal.SIGINT
# A step that takes longer, such as a statement that waits for a lock, is broken off.
PATIENCE_SECONDS = 10
STOPPING = b"\nStopping after the current step; press Ctrl-C again to stop at once.\n"

_HANDLED: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}
_NEXT = {
    "demo": "Run the command again to continue.",
    "rebuild": "The current generation stays in service. Run the command again to resume.",
    "replay": "What was ingested is stored. Run the command again to resume.",
    "simulate": "The folder is incomplete: delete it, then run the command again.",
    "scrub": "The copy is incomplete: delete it, then run the command again.",
    "verify": "Nothing was changed. Run the command again to verify.",
}
_OTHERWISE = "What was committed is stored. Run the command again to continue."

_steps = 0  # blocks of `between_steps` that are open
_received: int | None = None  # the signal that waits for the end of a step


def interrupted_text(command: str | None) -> str:
    """Say what an interrupted command leaves, and what to do next."""
    return f"Interrupted. {_NEXT.get(command or '', _OTHERWISE)}"


@contextmanager
def handled_signals() -> Iterator[None]:
    """Turn the signals into `KeyboardInterrupt` or `SystemExit` until the block ends, so that a command can clean up.

    A signal that the caller ignores stays ignored.
    """
    global _received
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [number for number, default in _HANDLED.items() if signal.getsignal(number) == default]
    for number in numbers:
        signal.signal(number, _handle)
    before = signal.signal(signal.SIGALRM, lambda *_: _raise())
    _received = None
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        for number in numbers:
            signal.signal(number, _HANDLED[number])


@contextmanager
def between_steps() -> Iterator[None]:
    """Keep the signals that arrive in the block for `end_step`."""
    global _steps
    _steps += 1
    try:
        yield
    finally:
        _steps -= 1
    if not _steps:
        end_step()


def end_step() -> None:
    """Raise what the signal that arrived during the step calls for. Called from any thread."""
    if _received is not None:
        _raise()


def _handle(number: int, _: FrameType | None) -> None:
    global _received
    again, _received = _received is not None, number
    if again or not _steps:
        _raise()
    os.write(2, STOPPING)  # sys.stderr may be in the middle of a write
    signal.alarm(PATIENCE_SECONDS)


def _raise() -> None:
    if _received in (None, signal.SIGINT):
        raise KeyboardInterrupt
    raise SystemExit(128 + _received)
