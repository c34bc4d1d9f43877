"""A Dask cluster, and the tasks that are sent to it."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import distributed
from distributed.comm import CommClosedError
from distributed.scheduler import KilledWorker

from strandline.consumer.cluster.tasks import Expected, Refused, TaskFailed, perform
from strandline.journal.errors import StrandlineError, UsageError
from strandline.journal.sources.source import Item

T = TypeVar("T")

ADDRESS = re.compile(r"(?P<scheme>tcp|tls)://(\[[0-9a-fA-F:]+\]|[^\s:/@\[\]]+):\d{1,5}")
CERTIFICATES = "distributed.comm.tls.ca-file, .client.cert and .client.key of Dask's settings (docs/scale.md)"
CONNECT_SECONDS = 15
RETRIES = 3
# A task's objects: enough to hide its fixed costs, few enough that a lost worker loses little.
MOST_BYTES = 32 * 1024 * 1024
TASKS_A_THREAD = 8


class Cluster:
    """A connected cluster."""

    def __init__(self, client: Any) -> None:
        self._client = client

    @property
    def threads(self) -> int:
        """Return the number of tasks that run at once; at least 1."""
        threads: dict[str, int] = self._client.nthreads()
        return max(1, sum(threads.values()))

    def run(self, expected: Expected, function: Callable[..., T], calls: Iterable[tuple[Any, ...]]) -> Iterator[T]:
        """Call the function once for each of the arguments; yield the results in order.

        A task whose worker is lost runs again on another one, and so does one that fails for a passing reason. Raises
        `StrandlineError` when one is refused or fails for good; the others are cancelled.
        """
        futures = [
            self._client.submit(perform, expected, function, *call, pure=False, retries=RETRIES) for call in calls
        ]
        try:
            for index, future in enumerate(futures):
                yield _result(future)
                futures[index] = None  # the cluster forgets it
        finally:
            self._client.cancel([future for future in futures if future is not None], force=True)

    def batches(self, items: Sequence[Item]) -> Iterator[list[Item]]:
        """Yield the items in runs of about the same size, for a task each."""
        sizes = [sum(file.size for file in item.files) for item in items]
        most = min(MOST_BYTES, sum(sizes) // (TASKS_A_THREAD * self.threads))
        batch: list[Item] = []
        held = 0
        for item, size in zip(items, sizes, strict=True):
            if batch and held + size > most:
                yield batch
                batch, held = [], 0
            batch.append(item)
            held += size
        if batch:
            yield batch


@contextmanager
def connect_cluster(address: str) -> Iterator[Cluster]:
    """Connect to the scheduler at `tcp://host:port`, or `tls://…` with Dask's own settings for certificates.

    Raises `UsageError` for another kind of address or without certificates that can be used, `StrandlineError` if the
    scheduler does not answer, refuses the certificate, or goes away.
    """
    # Checked here: of a client that fails while it starts, Dask waits half a minute for the end, and prints why.
    security = _security(address)
    try:
        client = distributed.Client(address, security=security, timeout=CONNECT_SECONDS, set_as_default=False)
    except CommClosedError:
        raise StrandlineError(
            f"the Dask scheduler at {address} ended the connection: check that it speaks {address[:3]}, and for tls:// "
            "that all certificates are of the same authority"
        ) from None
    except OSError:
        raise StrandlineError(
            f"the Dask scheduler at {address} cannot be reached: check that it runs, and that this machine can reach it"
        ) from None
    with client:
        if not client.nthreads():
            raise StrandlineError(f"the Dask scheduler at {address} has no workers: start some, then run this again")
        yield Cluster(client)


def _security(address: str) -> Any:
    """Return Dask's settings for connections, checked. Raises `UsageError`."""
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise UsageError(
            f"--cluster is the address of a Dask scheduler, tcp://host:port or tls://host:port, not {address}."
        )
    security = distributed.Security()
    if match["scheme"] == "tcp":
        if security.require_encryption:
            raise UsageError("--cluster: Dask's setting distributed.comm.require-encryption asks for tls://host:port.")
        return security
    try:
        context = security.get_connection_args("client")["ssl_context"]
    except OSError as error:  # among them SSLError
        reason = error.strerror or type(error).__name__
        raise UsageError(f"--cluster: the certificate cannot be used ({reason}): check {CERTIFICATES}.") from None
    if context is None:
        raise UsageError(f"--cluster: tls:// needs a certificate: set {CERTIFICATES}.")
    return security


def _result(future: Any) -> Any:
    try:
        found = future.result()
    except TaskFailed as error:
        raise StrandlineError(f"a task failed {RETRIES + 1} times: {error}; what is stored stays") from None
    except KilledWorker:
        raise StrandlineError(
            "several workers ended during the same task (out of memory?); what is stored stays: run the command again"
        ) from None
    except (OSError, distributed.CancelledError):
        raise StrandlineError("the cluster went away; what is stored stays: run the command again") from None
    if isinstance(found, Refused):
        raise StrandlineError(found.reason)
    return found
