"""Checks of the settings and of the projections that they name. Secrets are masked."""

from typing import Any

from psycopg.conninfo import conninfo_to_dict

from strandline.consumer.diagnosis.finding import Findings
from strandline.consumer.projection.discovery import discover, is_sample
from strandline.consumer.settings import PREFIX, Settings

MASK = "(set, not shown)"
SHOWN_OF_A_URL = ("host", "hostaddr", "port", "dbname", "user", "sslmode")


def check_settings(findings: Findings, settings: Settings) -> None:
    """Show the settings that differ from their defaults, and check that each has an effect."""
    for name in sorted(settings.model_fields_set):
        findings.ok(PREFIX + name.upper(), shown(settings, name))
    if not settings.model_fields_set:
        findings.ok("settings", "none: all defaults")
    for text in settings.unused:
        findings.warn("settings", text, "set the other one, or remove this one")


def check_projections(findings: Findings, settings: Settings) -> None:
    """Check that every projection can be loaded."""
    with findings.guarded("projections"):
        found = discover(settings.projections)
        own = sum(not is_sample(one) for one in found.values())
        findings.ok("projections", f"{len(found):,} loaded, {own:,} of them your own")


def shown(settings: Settings, name: str) -> str:
    """Return a setting's value; of a database's URL no password, of another secret nothing."""
    value: Any = getattr(settings, name)
    if name == "opensearch_url":
        return settings.shown_opensearch_url
    if name.endswith("_url"):
        given = conninfo_to_dict(value or "")
        return ", ".join(f"{part}={given[part]}" for part in SHOWN_OF_A_URL if given.get(part)) or MASK
    if not type(settings).model_fields[name].repr:
        return MASK
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
