"""Pretends that a projection's definition has changed."""

import sys
from collections.abc import Callable

import pytest

from strandline.consumer.projection.definition import Projection


def redefine(monkeypatch: pytest.MonkeyPatch, fingerprint: Callable[[Projection], str]) -> None:
    """Replace `fingerprint` in every module that uses it."""
    for name, module in list(sys.modules.items()):
        if name.startswith("strandline.") and hasattr(module, "fingerprint") and callable(module.fingerprint):
            monkeypatch.setattr(module, "fingerprint", fingerprint)
