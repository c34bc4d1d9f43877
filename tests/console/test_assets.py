"""The files that a browser loads are those that were looked at, and their licences come with them."""

import hashlib
import re
from pathlib import Path

import strandline.console
from strandline.console.app import STATIC

# dist/htmx.min.js of the npm package htmx.org 4.0.1.
HTMX = "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"
TEMPLATES = Path(strandline.console.__file__).parent / "templates"


def test_htmx_is_the_vendored_version() -> None:
    assert hashlib.sha256((STATIC / "htmx.min.js").read_bytes()).hexdigest() == HTMX
    assert "Zero-Clause BSD" in (STATIC / "htmx.LICENSE.txt").read_text()


def test_there_is_nothing_else() -> None:
    names = {"htmx.min.js", "htmx.LICENSE.txt", "console.css", "console.js", "verify_proof.py"}
    assert {path.name for path in STATIC.iterdir() if path.name != "__pycache__"} == names


def test_templates_need_nothing_that_the_policy_forbids() -> None:
    for path in TEMPLATES.iterdir():
        text = path.read_text()
        assert not re.search(r"\son\w+=|\bstyle=|<style|javascript:|hx-on|js:|hx-trigger=\"[^\"]*\[", text), path.name
        assert not re.search(r"<script(?![^>]*\ssrc=)", text), path.name
        assert not re.search(r"(?:src|href|action)=\"https?:", text), path.name
        assert "|safe" not in text.replace(" ", ""), path.name
