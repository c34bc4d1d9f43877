"""The Kubernetes manifests against the commands, settings, ports, paths and times that they speak of.

test_schemas.py holds them against Kubernetes' own schema.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.main import get_command

from strandline.cli.app import app
from strandline.consumer.intake.shard import read_shard
from strandline.consumer.settings import PREFIX, Settings
from strandline.consumer.worker.service import END_SECONDS, SLACK_SECONDS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/kubernetes"
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def manifests() -> dict[str, dict[str, Any]]:
    """All objects, by kind and name."""
    read = [one for file in sorted(FOLDER.iterdir()) for one in YAML(typ="safe").load_all(file)]
    return {f"{one['kind']} {one['metadata']['name']}": one for one in read}


OBJECTS = manifests()
PODS = {name: one["spec"]["template"]["spec"] for name, one in OBJECTS.items() if "template" in one.get("spec", {})}


def container(pod: dict[str, Any]) -> dict[str, Any]:
    [found] = pod["containers"]
    return dict(found)


def test_files_hold_what_the_page_says() -> None:
    assert PODS.keys() == {
        "Deployment strandline-worker",
        "Job strandline-migrate",
        "Job strandline-replay",
        "Job strandline-replay-finish",
    }
    page = (ROOT / "docs/kubernetes.md").read_text()
    assert {file.name for file in FOLDER.iterdir()} == set(re.findall(r"deploy/kubernetes/([a-z-]+\.yaml)", page))
    places = {"REGISTRY", "DIGEST", "REGION", "STREAM", "HOST", "ACCOUNT", "ROLE", "BUCKET"}
    assert places <= set(re.findall(r"`([A-Z]+)`", page))


@pytest.mark.parametrize("pod", PODS)
def test_commands_exist(pod: str) -> None:
    command, *arguments = container(PODS[pod])["args"]
    parameters = get_command(app).commands[command].params  # type: ignore[attr-defined]
    options = {option for one in parameters for option in one.opts}
    assert {one for one in arguments if one.startswith("--")} <= options


def test_settings_exist_and_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    data = OBJECTS["ConfigMap strandline"]["data"]
    given = {name.removeprefix(PREFIX).lower(): value for name, value in data.items() if name.startswith(PREFIX)}
    assert given.keys() <= Settings.model_fields.keys()
    settings = Settings(**given)
    assert settings.database_password_from is not None
    file = Path(settings.database_password_from.removeprefix("file:"))
    for pod in PODS.values():
        [mount] = [one for one in container(pod)["volumeMounts"] if one["name"] == "database"]
        assert Path(mount["mountPath"]) == file.parent
        [volume] = [one for one in pod["volumes"] if one["name"] == "database"]
        assert volume["secret"]["secretName"] == "strandline-database"
        assert container(pod)["envFrom"] == [{"configMapRef": {"name": "strandline"}}]
    assert f"--from-file={file.name}=" in (ROOT / "docs/kubernetes.md").read_text()


@pytest.mark.parametrize("pod", PODS)
def test_pods_are_confined(pod: str) -> None:
    spec = PODS[pod]
    [user] = re.findall(r"^USER (\d+)$", DOCKERFILE, re.M)
    assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["fsGroup"] == int(user)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    own = container(spec)["securityContext"]
    assert (own["readOnlyRootFilesystem"], own["allowPrivilegeEscalation"]) == (True, False)
    assert own["capabilities"] == {"drop": ["ALL"]}
    [home] = re.findall(rf"{PREFIX}HOME=(\S+)", DOCKERFILE)
    written = {one["mountPath"] for one in container(spec)["volumeMounts"] if not one.get("readOnly")}
    assert written == {"/tmp", home}
    # As read-only environment variables of a service `strandline` would be settings that do not exist.
    assert spec["enableServiceLinks"] is False


@pytest.mark.parametrize("pod", PODS)
def test_image_is_named_by_its_digest(pod: str) -> None:
    assert "@sha256:" in container(PODS[pod])["image"]
    assert container(PODS[pod])["resources"]["limits"].keys() == {"memory"}


def test_probes_are_those_of_the_worker() -> None:
    worker = container(PODS["Deployment strandline-worker"])
    [port] = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.M)
    assert worker["ports"] == [{"name": "http", "containerPort": int(port)}]
    paths = {name: worker[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}
    annotations = OBJECTS["Deployment strandline-worker"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == port


def test_drain_fits_into_the_grace_period() -> None:
    drain = Settings.model_fields["drain_seconds"].default
    grace = PODS["Deployment strandline-worker"]["terminationGracePeriodSeconds"]
    assert drain + SLACK_SECONDS + 2 * END_SECONDS < grace


def test_shards_are_as_many_as_completions() -> None:
    spec = OBJECTS["Job strandline-replay"]["spec"]
    assert spec["completionMode"] == "Indexed"
    shard = container(PODS["Job strandline-replay"])["args"][-1]
    indexes = [read_shard(shard, {"JOB_COMPLETION_INDEX": str(number)}).index for number in range(spec["completions"])]
    assert indexes == list(range(spec["completions"]))
    assert read_shard(shard, {"JOB_COMPLETION_INDEX": "0"}).of == spec["completions"]


def test_jobs_of_pods_end() -> None:
    for name, pod in PODS.items():
        if name.startswith("Job"):
            assert pod["restartPolicy"] == "Never"
            assert OBJECTS[name]["spec"].keys() & {"backoffLimit", "backoffLimitPerIndex"}


def test_budget_is_that_of_the_workers() -> None:
    labels = OBJECTS["Deployment strandline-worker"]["spec"]["template"]["metadata"]["labels"]
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert OBJECTS[f"{kind} strandline-worker"]["spec"]["selector"]["matchLabels"] == labels
