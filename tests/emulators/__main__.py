"""`make kinesis`: the emulators on their usual ports with one stream, until Ctrl-C."""

import signal
import sys
import threading

import boto3

from tests.emulators import REGION, emulators

KINESIS_PORT, DYNAMODB_PORT = 4568, 5555
STREAM, SHARDS = "licences", 2


def main() -> None:
    stop = threading.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: stop.set())
    with emulators(KINESIS_PORT, DYNAMODB_PORT) as running:
        client = boto3.client(
            "kinesis",
            endpoint_url=running.kinesis,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        client.create_stream(StreamName=STREAM, ShardCount=SHARDS)
        client.get_waiter("stream_exists").wait(StreamName=STREAM, WaiterConfig={"Delay": 1})
        print(f"# Kinesis (stream {STREAM!r}, {SHARDS} shards) and DynamoDB run until Ctrl-C. In other terminals:")
        for name, value in {**running.environment, "STRANDLINE_STREAM": STREAM}.items():
            print(f"export {name}={value}")
        sys.stdout.flush()
        stop.wait()


if __name__ == "__main__":
    main()
