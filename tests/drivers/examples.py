"""The applications of examples/, as programs."""

import json
import os
import subprocess
from typing import Any

from tests.drivers.conftest import LEDGER, NODE_MODULES, PYTHON, ROOT

EXAMPLES = ROOT / "examples"


def play(url: str, example: str, ledger: str = LEDGER, key: str = "any", secret: str = "any") -> Any:
    """The program's output; only the address tells it that this is not QLDB."""
    command = [str(PYTHON)] if example.endswith(".py") else ["node"]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "AWS_ENDPOINT_URL_QLDB_SESSION": url,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": "eu-west-2",
        "AWS_DEFAULT_REGION": "eu-west-2",
        "NODE_PATH": str(NODE_MODULES),
    }
    played = subprocess.run(
        [*command, str(EXAMPLES / example), ledger],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert played.returncode == 0, played.stderr
    return json.loads(played.stdout)
