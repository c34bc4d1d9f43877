"""The one family of errors that a user may see; each message says what, where and what to do, and holds no payload."""


class StrandlineError(Exception):
    """Something the user can act on; its text is shown as it is, without a traceback."""


class UnreadableError(StrandlineError):
    """Bytes that are not what they should be: Ion that does not parse, JSON that does not, an unknown format."""


class UnwritableError(StrandlineError):
    """A value that Ion can hold and that cannot be written."""


class UsageError(StrandlineError):
    """A wrong setting or argument (exit status 2)."""
