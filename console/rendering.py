"""Makes HTML of pages: the templates and what they may use."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from strandline.console.page import Asked, Page, why_not

EVERY = (2, 5, 15, 0)  # seconds between refreshes; 0 is off

_templates = Environment(
    loader=PackageLoader("strandline.console"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(asked: Asked, page: Page, here: str) -> str:
    """Return a page's HTML; of a fragment, the part that an open page replaces. `here` is its path, without prefix."""
    values: Mapping[str, Any] = {
        **page.more,
        "data": page.data,
        "asked": asked,
        "may": asked.may,
        "why_not": lambda right: why_not(asked, right),
        "url": lambda path: asked.console.prefix + quote(path, safe="/?=&%"),
        "here": here,
        "every": refresh_seconds(asked),
        "choices": EVERY,
        "fragment": asked.fragment,
    }
    return _templates.get_template(page.template).render(values)


def refresh_seconds(asked: Asked) -> int:
    """Return the seconds between refreshes that the reader chose in the URL."""
    text = asked.query.get("every", str(EVERY[0]))
    return int(text) if text.isdecimal() and int(text) in EVERY else EVERY[0]


def number(value: object) -> str:
    """Format a whole number with separators; nothing for None."""
    return "" if value is None else f"{value:,}"


def moment(value: datetime | str | None) -> str:
    """Format a moment in UTC, to the second."""
    if value is None:
        return ""
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def duration(seconds: float | None) -> str:
    """Format a time span by its two largest units."""
    if seconds is None:
        return ""
    whole = int(seconds)
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts = [f"{whole // size if size == 86_400 else whole % larger // size} {name}"
             for (name, size), larger in zip(units, (0, 86_400, 3_600, 60), strict=True)
             if (whole // size if size == 86_400 else whole % larger // size)]  # fmt: skip
    return " ".join(parts[:2]) or "0 s"


def since(value: datetime) -> str:
    """Format the time since a moment."""
    return duration(max(0.0, (datetime.now(UTC) - value).total_seconds()))


_templates.filters.update(number=number, moment=moment, duration=duration, since=since)
