"""Checks of OpenSearch: version, health, room, and the limits that writes meet."""

from collections.abc import Callable
from functools import partial
from typing import Any

from strandline.consumer.diagnosis.finding import Findings
from strandline.consumer.generations.stores import open_stores
from strandline.consumer.settings import Settings

OLDEST_VERSION = 2
LEAST_SHARDS = 50  # a rebuild has two indexes of a read model for a while
MOST_DISK_PERCENT = 85  # OpenSearch's low watermark: from there on it places no new shard
REQUEST_BYTES = 50_000_000  # a batch has 2 MB, unless one row alone is larger
LAYERS = ("transient", "persistent", "defaults")  # of a cluster's settings, the strongest first
HIDDEN = "not visible to this login, or not offered by this service"
ADVICE = "Strandline works without it; look in the service's own console"


def check_opensearch(findings: Findings, settings: Settings) -> None:
    """Check the cluster of the settings; a note if there is none."""
    if settings.opensearch_url is None:
        findings.note("connection", "off", "set STRANDLINE_OPENSEARCH_URL for read models in OpenSearch")
        return
    from strandline.consumer.sinks.opensearch.client import asked

    with findings.guarded("connection", advice="check STRANDLINE_OPENSEARCH_URL, its login, and that the cluster runs"):
        client = open_stores(settings, "").opensearch
        assert client is not None
        info = asked(client.info)
        _check_version(findings, settings, info.get("version", {}))
        for check in (_check_health, _check_disk, _check_shards, _check_limits):
            _visible(findings, check.__name__.removeprefix("_check_"), partial(check, findings, client))


def _visible(findings: Findings, name: str, check: Callable[[], None]) -> None:
    from strandline.consumer.sinks.contract import StoreFailed
    from strandline.consumer.sinks.opensearch.client import asked

    try:
        asked(check)
    except (StoreFailed, StopIteration, LookupError, ValueError):  # or an answer of another form
        findings.note(name, HIDDEN, ADVICE)


def _check_version(findings: Findings, settings: Settings, version: dict[str, Any]) -> None:
    findings.ok("connection", settings.shown_opensearch_url)
    number, distribution = str(version.get("number", "")), version.get("distribution", "opensearch")
    major = number.partition(".")[0]
    if distribution != "opensearch" or not major.isdigit() or int(major) < OLDEST_VERSION:
        advice = f"use OpenSearch {OLDEST_VERSION} or later"
        findings.fault("version", f"{distribution} {number}", advice)
    else:
        findings.ok("version", f"OpenSearch {number}")


def _check_health(findings: Findings, client: Any) -> None:
    status = client.cluster.health()["status"]
    if status == "red":
        findings.fault("health", "red: a shard is missing", "see `GET _cluster/allocation/explain`")
    else:
        findings.ok("health", status + (": replicas have no node to be on" if status == "yellow" else ""))


def _check_disk(findings: Findings, client: Any) -> None:
    nodes = client.cat.allocation(format="json")
    used = [int(node["disk.percent"]) for node in nodes if node.get("disk.percent")]
    if not used:
        return
    text = f"{max(used)} % used on the fullest of {len(used)} nodes" if len(used) > 1 else f"{used[0]} % used"
    if max(used) >= MOST_DISK_PERCENT:
        findings.fault("disk", text, "make room: from 95 % on OpenSearch makes indexes read-only")
    else:
        findings.ok("disk", text)


def _check_shards(findings: Findings, client: Any) -> None:
    found = client.cluster.get_settings(include_defaults=True, flat_settings=True)
    name = "cluster.max_shards_per_node"
    limit = int(next(found[layer][name] for layer in LAYERS if name in found[layer]))
    health = client.cluster.health()
    free = limit * int(health["number_of_data_nodes"]) - int(health["active_shards"])
    if free < LEAST_SHARDS:
        advice = f"raise {name}, or delete indexes: a rebuild needs some"
        findings.fault("shards", f"{max(free, 0)} more are allowed", advice)
    else:
        findings.ok("shards", f"{free:,} more are allowed")


def _check_limits(findings: Findings, client: Any) -> None:
    nodes = client.nodes.info(metric="http")["nodes"].values()
    limits = [int(node["http"]["max_content_length_in_bytes"]) for node in nodes if "http" in node]
    if not limits:
        return
    text = f"a request may have {min(limits) / 1e6:,.0f} MB"
    if min(limits) < REQUEST_BYTES:
        findings.warn(
            "limits",
            text,
            f"raise http.max_content_length to {REQUEST_BYTES // 1_000_000} MB: a large row may be refused",
        )
    else:
        findings.ok("limits", text)
