"""Errors that a user may see. Each message says what is wrong, where, and what to do; none holds payload."""


class StrandlineError(Exception):
    """An error that the user can act on; its text is shown as it is, without a traceback."""


class UnreadableError(StrandlineError):
    """Bytes that cannot be parsed: damaged Ion, damaged JSON, or an unknown format."""


class UnsupportedValueError(UnreadableError):
    """A value that Ion allows and that cannot be kept exactly, such as a time whose year is beyond 9999."""


class UnwritableError(StrandlineError):
    """A valid Ion value that cannot be written."""


class UsageError(StrandlineError):
    """A wrong setting or argument (exit status 2)."""
