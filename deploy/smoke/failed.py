"""What ends a smoke test."""


class CheckFailedError(Exception):
    """A step that did not work; the message says what happened and what to look at."""
