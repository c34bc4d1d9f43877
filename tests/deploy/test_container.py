"""Dockerfile, compose file and alert rules against the settings, commands, metrics and versions that they speak of.

No Docker runs where this was written: what can be checked without it is checked here, the rest is said in
docs/operations.md.
"""

import json
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML  # check-jsonschema brings it

from strandline.consumer.database.embedded_server import VERSION

ROOT = Path(__file__).parents[2]
DOCKERFILES = ("Dockerfile", "deploy/emulators/Dockerfile")
IMAGE = re.compile(r"^[a-z./-]+:[0-9]+\.[0-9]+(\.[0-9]+)?([_.-][a-z0-9_.-]+)?$")


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def yaml(path: str) -> Any:
    return YAML(typ="safe").load(text(path))


@pytest.fixture
def compose() -> dict[str, Any]:
    return dict(yaml("docker-compose.yml"))


def tool(name: str, *arguments: str) -> None:
    subprocess.run([Path(sys.executable).parent / name, *arguments], cwd=ROOT, check=True)


def test_compose_schema() -> None:
    tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")


@pytest.mark.parametrize("path", DOCKERFILES)
def test_hadolint(path: str) -> None:
    tool("hadolint", path)


def test_images_are_pinned(compose: dict[str, Any]) -> None:
    bases = [line.split()[1] for path in DOCKERFILES for line in text(path).splitlines() if line.startswith("FROM")]
    images = [service["image"] for service in compose["services"].values() if "build" not in service]
    for image in [*bases, *images]:
        assert IMAGE.match(image), image


def test_settings_in_files_exist(compose: dict[str, Any]) -> None:
    from strandline.consumer.settings import PREFIX, Settings

    known = {PREFIX + name.upper() for name in Settings.model_fields}
    given = {name for service in compose["services"].values() for name in service.get("environment", {})}
    given |= set(re.findall(r"STRANDLINE_[A-Z_]+", text("Dockerfile") + text("deploy/stack.py")))
    assert {name for name in given if name.startswith(PREFIX)} <= known


def test_commands_in_files_exist(compose: dict[str, Any]) -> None:
    import typer

    from strandline.cli.app import app

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    run = [service["command"] for service in compose["services"].values() if "strandline:local" in service["image"]]
    for command, *arguments in run:
        known = {option for parameter in commands[command].params for option in parameter.opts}
        assert {one for one in arguments if one.startswith("--")} <= known
    assert 'CMD ["worker"]' in text("Dockerfile")


def test_health_check_ends_before_its_timeout() -> None:
    from strandline.cli.worker import CHECK_SECONDS

    check = re.search(r"HEALTHCHECK .*--timeout=(\d+)s .*\\\n  CMD (.*)", text("Dockerfile"))
    assert check is not None
    assert json.loads(check[2]) == ["strandline", "worker", "--check"]
    assert int(check[1]) > CHECK_SECONDS
    assert '"command": ["CMD", "strandline", "worker", "--check"]' in text("deploy/stack.py")


def test_settings_of_the_worker_are_accepted(compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from strandline.consumer.settings import load_settings

    for name, value in compose["services"]["worker"]["environment"].items():
        monkeypatch.setenv(name, value)
    assert (
        load_settings().stream == compose["services"]["kinesis"]["environment"]["INITIALIZE_STREAMS"].partition(":")[0]
    )


def test_ports_are_consistent(compose: dict[str, Any]) -> None:
    exposed = re.search(r"^EXPOSE (\d+)$", text("Dockerfile"), re.M)
    assert exposed is not None
    assert f"STRANDLINE_LISTEN=0.0.0.0:{exposed[1]}" in text("Dockerfile")
    assert compose["services"]["worker"]["ports"] == [f"127.0.0.1:{exposed[1]}:{exposed[1]}"]
    assert f"PORT = {exposed[1]}" in text("deploy/stack.py")


def test_ports_are_bound_to_loopback(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_container_is_not_root_and_read_only(compose: dict[str, Any]) -> None:
    from strandline.consumer.settings import PREFIX

    [user] = re.findall(r"^USER (.+)$", text("Dockerfile"), re.M)
    assert int(user) > 0
    [home] = re.findall(rf"{PREFIX}HOME=(\S+)", text("Dockerfile"))
    ours = {name: service for name, service in compose["services"].items() if service["image"] == "strandline:local"}
    assert ours.keys() == {"worker", "ledger"}
    for service in ours.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        written = dict(mount.split(":", 1) for mount in service["tmpfs"])
        assert written.keys() == {"/tmp", home}
        assert f"uid={user}," in written[home]


def test_dependencies_have_health_checks(compose: dict[str, Any]) -> None:
    services = compose["services"]
    waits = {name: service["depends_on"] for name, service in services.items() if "depends_on" in service}
    assert waits["worker"].keys() == {"postgres", "opensearch", "kinesis", "dynamodb"}
    assert waits["ledger"].keys() == {"kinesis"}
    for others in waits.values():
        for name, condition in others.items():
            assert condition == {"condition": "service_healthy"}
            assert services[name]["healthcheck"]["test"][0].startswith("CMD")


def test_failed_worker_is_restarted(compose: dict[str, Any]) -> None:
    """It ends with status 1 where only a new process helps."""
    assert compose["services"]["worker"]["restart"] == "on-failure"
    assert "STOPSIGNAL SIGTERM" in text("Dockerfile")


def test_drain_fits_into_the_grace_period(compose: dict[str, Any]) -> None:
    from strandline.consumer.settings import Settings
    from strandline.consumer.worker.service import END_SECONDS, SLACK_SECONDS

    drain = Settings.model_fields["drain_seconds"].default
    assert drain + SLACK_SECONDS + 2 * END_SECONDS < int(
        compose["services"]["worker"]["stop_grace_period"].removesuffix("s")
    )
    stop = re.search(r"DRAIN_SECONDS, STOP_SECONDS = (\d+), (\d+)", text("deploy/stack.py"))
    assert stop is not None
    assert int(stop[1]) + SLACK_SECONDS + 2 * END_SECONDS < int(stop[2]) <= 120


def test_versions_equal_those_of_the_tests(compose: dict[str, Any]) -> None:
    kinesis = re.search(r"kinesis-local@([0-9.]+)", text("Makefile"))
    assert kinesis is not None
    assert kinesis[0] in text("deploy/emulators/Dockerfile")
    moto = re.search(r"^moto==([0-9.]+)", text("requirements-dev.lock"), re.M)
    assert moto is not None
    assert compose["services"]["dynamodb"]["image"] == f"motoserver/moto:{moto[1]}"
    opensearch = re.search(
        r"<version>(([0-9]+[.][0-9]+)[.][0-9]+)[.][0-9]+</version>", text("tools/opensearch/pom.xml")
    )
    assert opensearch is not None
    assert compose["services"]["opensearch"]["image"] == f"opensearchproject/opensearch:{opensearch[1]}"
    assert f'engine_version="OpenSearch_{opensearch[2]}"' in text("deploy/stack.py")
    assert compose["services"]["postgres"]["image"].startswith(f"postgres:{VERSION}.")
    assert "requirements-worker.lock" in text("Dockerfile")
    assert re.search(r"^amazon-kclpy==3\.1\.3 ", text("requirements-worker.lock"), re.M)


JARS = "deploy/check-jars.sh", "deploy/kcl-jars.sha256"


def check_jars(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["sh", JARS[0], folder, JARS[1]], cwd=ROOT, capture_output=True, text=True, check=False)


def test_jars_of_kcl_are_listed() -> None:
    """The list is that of the version in the lock file, which is installed here."""
    from strandline.consumer.worker.daemon import find_jars

    checked = check_jars(find_jars())
    assert (checked.returncode, checked.stderr) == (0, "")
    python = re.search(r"FROM python:(3[.][0-9]+)", text("Dockerfile"))
    assert python is not None
    folder = f"/opt/strandline/lib/python{python[1]}/site-packages/amazon_kclpy/jars"
    assert f"RUN sh check-jars.sh {folder} kcl-jars.sha256\n" in text("Dockerfile")
    for file in JARS:
        assert f"!{file}\n" in text(".dockerignore")


@pytest.mark.parametrize("fault", ["missing", "changed", "more"])
def test_wrong_jars_end_the_build(fault: str, tmp_path: Path) -> None:
    from strandline.consumer.worker.daemon import find_jars

    for jar in find_jars().glob("*.jar"):
        (tmp_path / jar.name).symlink_to(jar)
    one = tmp_path / "jcommander-1.82.jar"
    if fault == "more":
        (tmp_path / "other-1.0.jar").write_bytes(b"")
    else:
        one.unlink()
    if fault == "changed":
        one.write_bytes(b"other")
    checked = check_jars(tmp_path)
    assert checked.returncode != 0
    assert ("lists 79" if fault == "more" else one.name) in checked.stdout + checked.stderr


def test_all_packages_are_copied() -> None:

    linked = {path.name for path in (ROOT / "strandline").iterdir() if path.is_symlink()}
    assert {"cli", "consumer", "journal"} <= linked
    for top in {"strandline", *linked}:
        assert f"COPY {top} {top}" in text("Dockerfile")
        assert f"!{top}\n" in text(".dockerignore")


@pytest.fixture
def shown(database: str, tmp_path: Path) -> dict[str, set[str]]:
    """The labels of every sample that the worker shows: of the store, and of the shards' processes."""
    from prometheus_client import Counter, Gauge, Histogram

    from strandline.consumer.monitoring import metrics
    from strandline.consumer.monitoring.exposition import Exposition
    from tests.consumer.worker.projecting import PROJECTIONS, ingest

    ingest(database)
    families = Exposition(database, tmp_path, PROJECTIONS, timedelta(hours=1)).collect()
    found = {family.name: {label for one in family.samples for label in one.labels} for family in families}
    # Without a generation there is no sample of a projection to take them from.
    found |= {name: {"projection"} for name in found if name.startswith("strandline_projection_")}
    for one in vars(metrics).values():
        if isinstance(one, Counter):
            found[f"{one._name}_total"] = set(one._labelnames)
        elif isinstance(one, Histogram):
            found |= {f"{one._name}_{part}": {*one._labelnames} for part in ("sum", "count")}
            found[f"{one._name}_bucket"] = {*one._labelnames, "le"}
        elif isinstance(one, Gauge):
            found[one._name] = set(one._labelnames)
    return found


def check_expression(expression: str, text: str, shown: dict[str, set[str]]) -> set[str]:
    """Check that the metrics and labels of an expression, and the labels in the text about it, exist."""
    names = set(re.findall(r"strandline_[a-z_]+", expression))
    assert names, expression
    assert names <= shown.keys(), expression
    labels = set.intersection(*(shown[name] for name in names))
    for name, given in re.findall(r"(strandline_[a-z_]+)\{([^}]*)\}", expression):
        assert set(re.findall(r"(\w+)=", given)) <= shown[name], expression
    for grouped in re.findall(r"by \(([^)]*)\)", expression):
        assert set(re.split(r", *", grouped)) <= labels, expression
    assert set(re.findall(r"\{\{ *(?:\$labels\.)?(\w+) *\}\}", text)) <= labels, text
    return names


def test_alerts_use_existing_metrics_and_labels(shown: dict[str, set[str]]) -> None:
    [group] = yaml("deploy/alerts.yml")["groups"]
    assert len({rule["alert"] for rule in group["rules"]}) == len(group["rules"])
    for rule in group["rules"]:
        assert rule["annotations"].keys() == {"summary", "action"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        check_expression(rule["expr"], " ".join(rule["annotations"].values()), shown)


def test_alerts_name_existing_commands() -> None:
    import typer

    from strandline.cli.app import app

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    named = re.findall(r"`strandline ([a-z-]+)", text("deploy/alerts.yml"))
    assert len(named) >= 6
    assert set(named) <= commands.keys()


def test_dashboard_shows_every_metric(shown: dict[str, set[str]]) -> None:
    panels = [one for one in json.loads(text("deploy/grafana.json"))["panels"] if one["type"] != "row"]
    used = set()
    for panel in panels:
        assert panel["description"], panel["title"]
        for target in panel["targets"]:
            used |= check_expression(target["expr"], target.get("legendFormat", ""), shown)
    histograms = {name for name in shown if name.endswith(("_bucket", "_sum", "_count"))}
    assert shown.keys() - used - histograms == set()


def test_dashboard_fits_its_grid() -> None:
    dashboard = json.loads(text("deploy/grafana.json"))
    assert len({one["id"] for one in dashboard["panels"]}) == len(dashboard["panels"])
    places = set()
    for panel in dashboard["panels"]:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        cells = {
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & places, panel["title"]
        places |= cells
        assert panel["type"] == "row" or panel["datasource"]["uid"] == "${datasource}"
