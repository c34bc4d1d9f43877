"""KCL's MultiLangDaemon: the Java process that reads the stream and passes each shard's records to a Python process."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

import structlog

from strandline.consumer.logging import pass_on
from strandline.consumer.monitoring import metrics
from strandline.consumer.settings import Settings
from strandline.journal.errors import StrandlineError, UsageError

MAIN_CLASS = "software.amazon.kinesis.multilang.MultiLangDaemon"
SHARD_MODULE = "strandline.consumer.worker.shard"
PR_SET_PDEATHSIG = 1
# The daemon logs this when a shard's process has failed. It then ends, but first waits for that shard as long as its
# shutdown may take, and keeps its leases until then.
SHARD_FAILED = "ERROR MultiLangShardRecordProcessor "

# Tried, and found to move shards to another worker fast. docs/operations.md gives the reason for each.
PROPERTIES = {
    "AwsCredentialsProvider": "DefaultCredentialsProvider",
    "initialPositionInStream": "TRIM_HORIZON",
    "clientVersionConfig": "CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X",
    "failoverTimeMillis": "3000",
    "leaseAssignmentIntervalMillis": "3000",
    "shardSyncIntervalMillis": "5000",
    "parentShardPollIntervalMillis": "1000",
    "idleTimeBetweenReadsInMillis": "250",
    "maxRecords": "10000",
    "metricsLevel": "NONE",
    "workerMetricsReporterFreqInMillis": "1000",
}
# By the names that AWS's own tools use.
ENDPOINTS = {"kinesisEndpoint": "AWS_ENDPOINT_URL_KINESIS", "dynamoDBEndpoint": "AWS_ENDPOINT_URL_DYNAMODB"}

log = structlog.get_logger()


def properties(settings: Settings, environment: Mapping[str, str], *, trust_deletions: bool) -> dict[str, str]:
    """Return KCL's settings. Raises `UsageError` if the stream or the region is not set."""
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    if settings.stream is None:
        raise UsageError("STRANDLINE_STREAM is not set: name the Kinesis stream that QLDB wrote to.")
    if not region:
        raise UsageError("AWS_REGION is not set: name the region of the Kinesis stream.")
    # The daemon splits the command at blanks, and looks up its first word on the PATH.
    command = f"{Path(sys.executable).name} -m {SHARD_MODULE}"
    if trust_deletions:
        command += " --trust-deletions"
    endpoints = {
        name: url
        for name, variable in ENDPOINTS.items()
        if (url := environment.get(variable) or environment.get("AWS_ENDPOINT_URL"))
    }
    return {
        "executableName": command,
        "streamName": settings.stream,
        "applicationName": settings.application,
        "workerId": settings.worker_id,
        "regionName": region,
        "shutdownGraceMillis": str(settings.drain_seconds * 1000),
        **PROPERTIES,
        "retrievalMode": "FANOUT" if settings.fan_out else "POLLING",
        **endpoints,
    }


class Daemon:
    """The running daemon. Passes each line that it and the shards' processes log to `say`.

    `shard_failed` is set when a shard's process has failed: the daemon then ends soon.
    """

    def __init__(self, process: "subprocess.Popen[str]", say: Callable[[str], None]) -> None:
        self._process = process
        self._say = say
        self.shard_failed = False
        self._pump = Thread(target=self._pass_on, name="daemon log", daemon=True)
        self._pump.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def status(self) -> int | None:
        """Return its exit status, None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Ask it to store and checkpoint what is in hand, to give its leases back, and to end."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def join(self, seconds: float) -> bool:
        """Wait until it has ended. If that takes too long, kill it and return False: nothing is lost but time."""
        try:
            self._process.wait(max(0.0, seconds))
            in_time = True
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
            in_time = False
        self._pump.join(5)
        return in_time

    def kill(self) -> None:
        """End it at once. Nothing is lost: Kinesis delivers again what was not checkpointed."""
        self._process.kill()

    def _pass_on(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.shard_failed |= line.startswith(SHARD_FAILED)
            self._say(line.rstrip("\n"))


def start_daemon(settings: Settings, url: str, folder: Path, *, trust_deletions: bool) -> Daemon:
    """Start Java with KCL. `url` is the database's; `folder` is this worker's own and holds KCL's settings and metrics.

    Raises `StrandlineError` if Java or KCL is not installed.
    """
    given = properties(settings, os.environ, trust_deletions=trust_deletions)
    jars, java = find_jars(), find_java()
    file = folder / "kcl.properties"
    file.write_text("".join(f"{name} = {value}\n" for name, value in given.items()), encoding="utf-8")
    logback = folder / "logback.xml"
    logback.write_bytes(files("strandline.consumer.worker").joinpath("logback.xml").read_bytes())
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "STRANDLINE_DATABASE_URL": url,
        metrics.FOLDER: str(folder / "metrics"),
    }
    (folder / "metrics").mkdir(exist_ok=True)
    process = subprocess.Popen(
        [
            # The second compiler costs time at the start, and saves none: the daemon mostly waits.
            java, "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*", MAIN_CLASS,
            "--properties-file", str(file), "--log-configuration", str(logback),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment,
        # Ctrl-C reaches the worker alone, which then asks the daemon to stop.
        start_new_session=True,
        preexec_fn=_die_with_parent,  # started before any other thread
    )  # fmt: skip
    log.info("daemon started", pid=process.pid, worker_id=settings.worker_id, stream=settings.stream)
    return Daemon(process, _say)


def _say(line: str) -> None:
    """Log a line: an event of a shard's process unchanged, any other line as an event of KCL.

    A process that is killed may leave half a line.
    """
    if line and not pass_on(line):
        say = log.error if line.startswith("ERROR ") else log.warning
        say("kcl", text=line)


def _die_with_parent() -> None:
    """Let the kernel kill the daemon with the worker, so that no two run at once (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def find_jars() -> Path:
    """Return the folder of KCL's jars. Raises `StrandlineError` if KCL is not installed."""
    spec = find_spec("amazon_kclpy")
    if spec is None or spec.origin is None:
        raise StrandlineError("The worker needs KCL: in a clone, install it with `pip install '.[worker]'`.")
    return Path(spec.origin).parent / "jars"


def find_java() -> str:
    """Return the path of Java. Raises `StrandlineError` if there is none."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if java is None:
        raise StrandlineError("The worker needs Java 17 or later: install it, or set JAVA_HOME.")
    return java
