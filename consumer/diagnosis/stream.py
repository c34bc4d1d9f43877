"""Checks of what a worker needs: the Kinesis stream, KCL's tables, Java and KCL's jars."""

import re
import subprocess
from typing import Any

from strandline.consumer.diagnosis.finding import Findings
from strandline.consumer.diagnosis.program import installed
from strandline.consumer.extras import install_line
from strandline.consumer.settings import Settings
from strandline.journal.errors import StrandlineError

OLDEST_JAVA = 17
SECONDS = 10


def check_stream(findings: Findings, settings: Settings) -> None:
    """Check the stream of the settings and what reads it; a note if there is none."""
    if settings.stream is None:
        findings.note("stream", "off", "set STRANDLINE_STREAM to consume a Kinesis stream")
        return
    with findings.guarded("stream"):
        _check_kinesis(findings, settings.stream)
    with findings.guarded("leases"):
        _check_leases(findings, settings.application)
    _check_worker(findings)


def _check_kinesis(findings: Findings, stream: str) -> None:
    from strandline.consumer.intake.aws_errors import describe_aws_errors

    with describe_aws_errors("Kinesis", f"stream {stream}", needs="kinesis:DescribeStreamSummary is needed"):
        found = _client("kinesis").describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
    text = (
        f"{stream}: {found['StreamStatus']}, {found['OpenShardCount']} shards, keeps {found['RetentionPeriodHours']} h"
    )
    if found["StreamStatus"] in ("ACTIVE", "UPDATING"):
        findings.ok("stream", text)
    else:
        findings.fault("stream", text, "wait until it is active, or create it again")


def _check_leases(findings: Findings, application: str) -> None:
    from strandline.consumer.intake.aws_errors import describe_aws_errors

    with describe_aws_errors("DynamoDB", f"table {application}", needs="dynamodb:DescribeTable is needed"):
        client = _client("dynamodb")
        try:
            status = client.describe_table(TableName=application)["Table"]["TableStatus"]
        except client.exceptions.ResourceNotFoundException:
            findings.note("leases", f"table {application} does not exist yet", "the first worker creates it")
            return
    findings.ok("leases", f"table {application}: {status}")


def _check_worker(findings: Findings) -> None:
    """Java and KCL are needed only where the worker runs."""
    if installed("amazon_kclpy") is None or installed("prometheus_client") is None:
        advice = f"on the machine of the worker: `{install_line('worker')}`"
        findings.note("worker", "the extra `worker` is not installed", advice)
        return
    from strandline.consumer.worker.daemon import find_jars, find_java

    with findings.guarded("kcl"):
        jars = len(list(find_jars().glob("*.jar")))
        if jars:
            findings.ok("kcl", f"amazon_kclpy {installed('amazon_kclpy')} with {jars} jars")
        else:
            findings.fault("kcl", "amazon_kclpy has no jars", "install the package again: it fetches them at install")
    with findings.guarded("java"):
        _check_java(findings, find_java())


def _check_java(findings: Findings, java: str) -> None:
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StrandlineError(f"{java} does not run ({type(error).__name__}).\nInstall Java {OLDEST_JAVA}.") from None
    found = re.search(r'version "(\d+)', done.stderr + done.stdout)
    if found is None or int(found[1]) < OLDEST_JAVA:
        findings.fault(
            "java", f"{java} is {found[1] if found else 'of no known version'}", f"install Java {OLDEST_JAVA}"
        )
    else:
        findings.ok("java", f"Java {found[1]}")


def _client(service: str) -> Any:
    import boto3
    from botocore.config import Config

    limits = Config(connect_timeout=SECONDS, read_timeout=SECONDS, retries={"total_max_attempts": 2})
    return boto3.Session().client(service, config=limits)
