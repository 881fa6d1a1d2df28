"""What ends a smoke test."""


class Failed(Exception):  # noqa: N818 - it names a state
    """A step that did not work; the message says what happened and what to look at."""
