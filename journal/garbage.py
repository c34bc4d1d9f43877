"""Garbage collection for programs that make very many values at a time."""

import gc

_NEW_VALUES = 50_000


def collect_rarely() -> None:
    """Let Python look for cycles after 50,000 new values instead of 700, and never among what is imported so far.

    Documents, blocks and rows are very many values without cycles. At the default, looking took a tenth of the time of
    decoding, and a quarter of the processor time of several projections on threads, whose values are alive at once.
    """
    gc.freeze()
    gc.set_threshold(_NEW_VALUES)
