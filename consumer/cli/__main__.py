"""`python -m consumer.cli`: the same as `strandline`."""

import sys

from consumer.cli import main

if __name__ == "__main__":
    sys.exit(main())
