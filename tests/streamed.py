"""The small journal as records of QLDB's stream."""

from strandline.consumer.intake.stream_records import Received
from strandline.journal.decode.stream import block_records
from tests.journals import STRAND, small_journal

ARN = "arn:aws:qldb:eu-west-2:123456789012:stream/licences/Stream0000000000000000"


def streamed(strand: str = STRAND) -> list[Received]:
    records = [one.data for block in small_journal(strand) for one in block_records(ARN, block)]
    return [Received(data, f"{at}.0") for at, data in enumerate(records)]
