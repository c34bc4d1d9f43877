"""The Kubernetes manifests against Kubernetes' own schema, strictly: an unknown field is an error."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "deploy/kubernetes"
VERSIONS = ("1.33", "1.37")
OBJECTS = [one for file in sorted(FOLDER.iterdir()) for one in yaml.safe_load_all(file.read_text())]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", OBJECTS, ids=lambda one: f"{one['kind']} {one['metadata']['name']}")
def test_manifest_is_valid(manifest: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_unknown_field_is_found() -> None:
    """The control of the test above."""
    [worker] = [one for one in OBJECTS if one["kind"] == "Deployment"]
    pod = {**worker["spec"]["template"]["spec"], "terminationGraceSeconds": 60}
    wrong = {**worker, "spec": {**worker["spec"], "template": {**worker["spec"]["template"], "spec": pod}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)
