"""The command line, `strandline COMMAND`: call `main()`.

It must stay light to import: every decoding process imports it again.
"""

import os
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, by default that of this process's arguments. Returns the exit status."""
    try:
        from strandline.cli.app import run
        from strandline.journal.garbage import collect_rarely
    except KeyboardInterrupt:
        return 130

    # boto3 knows only the second of these names; KCL and AWS's other SDKs know the first.
    if region := os.environ.get("AWS_REGION"):
        os.environ["AWS_DEFAULT_REGION"] = region
    collect_rarely()
    return run(arguments)
