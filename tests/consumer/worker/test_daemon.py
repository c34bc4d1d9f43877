"""The settings and the start of KCL's daemon."""

import json
import subprocess
from pathlib import Path

import pytest
import structlog

from strandline.consumer.logging import start_logging
from strandline.consumer.settings import Settings, load_settings
from strandline.consumer.worker import daemon
from strandline.consumer.worker.daemon import properties, start_daemon
from strandline.consumer.worker.service import run_worker
from strandline.journal.errors import StrandlineError, UsageError

REGION = {"AWS_REGION": "eu-west-2"}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.setenv("STRANDLINE_STREAM", "licences")
    monkeypatch.setenv("STRANDLINE_WORKER_ID", "one")
    monkeypatch.setenv("STRANDLINE_HOME", str(tmp_path))
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    return load_settings()


def test_kcl_properties_follow_the_settings(settings: Settings) -> None:
    given = properties(settings, REGION, trust_deletions=True)
    assert (given["streamName"], given["applicationName"], given["workerId"]) == ("licences", "strandline", "one")
    assert given["regionName"] == "eu-west-2"
    assert given["shutdownGraceMillis"] == "20000"
    assert given["executableName"].endswith("-m strandline.consumer.worker.shard --trust-deletions")
    assert "kinesisEndpoint" not in given
    assert given["retrievalMode"] == "POLLING"


def test_fan_out_is_a_setting(settings: Settings) -> None:
    given = properties(settings.model_copy(update={"fan_out": True}), REGION, trust_deletions=False)
    assert given["retrievalMode"] == "FANOUT"
    # Of the names that KCL's configuration knows.
    jars = str(daemon.find_jars() / "*")
    known = subprocess.run(
        ["javap", "-cp", jars, "software.amazon.kinesis.multilang.config.RetrievalMode"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert " FANOUT;" in known.stdout


def test_endpoints_have_the_names_of_aws_tools(settings: Settings) -> None:
    one = "http://127.0.0.1:1"
    given = properties(settings, {**REGION, "AWS_ENDPOINT_URL": one}, trust_deletions=False)
    assert (given["kinesisEndpoint"], given["dynamoDBEndpoint"]) == (one, one)
    other = "http://127.0.0.1:2"
    environment = {**REGION, "AWS_ENDPOINT_URL": one, "AWS_ENDPOINT_URL_KINESIS": other}
    assert properties(settings, environment, trust_deletions=False)["kinesisEndpoint"] == other


def test_missing_settings_are_named(settings: Settings) -> None:
    with pytest.raises(UsageError, match="AWS_REGION"):
        properties(settings, {}, trust_deletions=False)
    with pytest.raises(UsageError, match="STRANDLINE_STREAM"):
        properties(settings.model_copy(update={"stream": None}), REGION, trust_deletions=False)


def test_missing_java_or_kcl_is_named(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(StrandlineError, match="Java 17"):
        start_daemon(settings, "postgresql://", tmp_path, trust_deletions=False)
    monkeypatch.setattr(daemon, "find_spec", lambda _: None)
    with pytest.raises(StrandlineError, match=r"\.\[worker\]"):
        start_daemon(settings, "postgresql://", tmp_path, trust_deletions=False)


def test_second_worker_of_the_same_id_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def again(*_: object, **__: object) -> None:
        run_worker(settings, "postgresql://", {})

    monkeypatch.setattr("strandline.consumer.worker.service.start_daemon", again)
    with pytest.raises(UsageError, match="STRANDLINE_WORKER_ID"):
        run_worker(settings, "postgresql://", {})


def test_daemon_lines_become_json(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging()
    try:
        lines = '{"event": "batch"}', '{"event": "ba', "ERROR Scheduler it is so", "Picked up JAVA_TOOL_OPTIONS", ""
        for line in lines:
            daemon._say(line)
    finally:
        structlog.reset_defaults()
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(one["event"], one.get("level"), one.get("text")) for one in said] == [
        ("batch", None, None),
        ("kcl", "warning", '{"event": "ba'),
        ("kcl", "error", "ERROR Scheduler it is so"),
        ("kcl", "warning", "Picked up JAVA_TOOL_OPTIONS"),
    ]


def test_failed_shard_process_is_noticed() -> None:
    said: list[str] = []
    lines = "WARN Scheduler x\\nERROR MultiLangShardRecordProcessor Encountered an error\\n"
    process = subprocess.Popen(["sh", "-c", f"printf '{lines}' >&2"], stderr=subprocess.PIPE, text=True)
    with process:
        running = daemon.Daemon(process, said.append)
        assert running.join(10)
        assert running.status() == 0
    assert running.shard_failed
    assert len(said) == 2
