"""What InfluxDB's answers mean: one table, by the status and by what was asked."""

import math
from enum import StrEnum

from core.errors import UnansweredError, UnavailableError

LONGEST_WAIT_SECONDS = 3600.0
LONGEST_MESSAGE = 300
"""Characters: a proxy in front of InfluxDB answers with whole pages, and all of it would be in /readyz."""
SERVER_ERRORS = 500
BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 400, 401, 403, 404
TIMED_OUT, TOO_LARGE, UNPROCESSABLE, TOO_MANY = 408, 413, 422, 429
NOT_NOW, NO_SPACE = 503, 507


class Call(StrEnum):
    """What is asked of InfluxDB."""

    WRITE = "write"
    QUERY = "query"
    SETUP = "setup"  # of organizations and buckets


class Meaning(StrEnum):
    """What is to be done."""

    REFUSED = "refused"  # it takes something that was sent, or all of it, never: find out what
    WAIT = "wait"  # nothing was done; it has nothing to do with what was sent
    LACKS = "lacks"  # the same, but of one bucket: others may be there
    TOKEN = "token"  # the same: INFLUXDB_V2_TOKEN is not good for it  # noqa: S105 - no secret
    UNKNOWN = "unknown"  # it may have been done, or be done yet


_BLAME_WHAT_WAS_WRITTEN = frozenset({BAD_REQUEST, TOO_LARGE, UNPROCESSABLE})
_BY_STATUS = {
    UNAUTHORIZED: Meaning.TOKEN,
    FORBIDDEN: Meaning.TOKEN,
    NOT_FOUND: Meaning.LACKS,
    TIMED_OUT: Meaning.UNKNOWN,
    TOO_MANY: Meaning.WAIT,
    NOT_NOW: Meaning.WAIT,
    NO_SPACE: Meaning.WAIT,
}
_DISK_IS_FULL = ("no space left on device", "disk quota exceeded", "file too large")


def meaning(call: Call, status: int, words: str) -> Meaning:
    """What an answer that is no success means.

    400, 413 and 422 are about what was written; a question of ours that is refused is not for the reader to mend, so
    it waits, with the words. 2.7 answers a full disk with 500, and has not kept what was sent.
    """
    if call is Call.WRITE and (status in _BLAME_WHAT_WAS_WRITTEN or "partial write" in words):
        # 2.7 says 422, InfluxDB Cloud 400, and 2.0 said 500: https://github.com/influxdata/influxdb/issues/20359
        return Meaning.REFUSED
    if status in _BY_STATUS:
        found = _BY_STATUS[status]
    elif status >= SERVER_ERRORS and not _is_full(words):
        found = Meaning.UNKNOWN
    else:
        # What else there is comes from something in between, such as a proxy: 3xx, 405, 407, 502 and so on.
        found = Meaning.WAIT
    # Only a write that happens later does harm.
    return Meaning.WAIT if found is Meaning.UNKNOWN and call is not Call.WRITE else found


class AnswerError(Exception):
    """InfluxDB's answer is no success."""

    def __init__(self, call: Call, status: int, words: str, retry_after: str | None = None) -> None:
        """`words` are what it said, `retry_after` the header of that name."""
        self.status = status
        self.words = printable(words)
        self.meaning = meaning(call, status, words)
        self._retry_after = retry_after
        # 2.7.12 goes on saying so when there is room: it never tries its write-ahead log again.
        hint = " (make room, and restart InfluxDB)" if _is_full(words) else ""
        super().__init__(f"InfluxDB answers {status}: {self.words}{hint}")

    def unavailable(self) -> UnavailableError:
        """What the others are told: not now, and why. A refusal is told likewise, where nobody can say of what."""
        match self.meaning:
            case Meaning.TOKEN:
                return UnavailableError(f"InfluxDB refuses INFLUXDB_V2_TOKEN: {self.words}")
            case Meaning.LACKS:
                hint = "python -m timeseries setup makes missing buckets"
                return UnavailableError(f"InfluxDB lacks a bucket or INFLUXDB_V2_ORG: {self.words} ({hint})")
            case Meaning.UNKNOWN:
                return UnansweredError(str(self), retry_after=_seconds(self._retry_after))
        return UnavailableError(str(self), retry_after=_seconds(self._retry_after))


def _is_full(words: str) -> bool:
    return any(sign in words for sign in _DISK_IS_FULL)


def printable(words: str) -> str:
    """What InfluxDB said, without line ends and other controls, and no more than `LONGEST_MESSAGE` of it."""
    return "".join(character if character.isprintable() else " " for character in words[:LONGEST_MESSAGE])


def _seconds(retry_after: str | None) -> float | None:
    """The wait in a Retry-After; InfluxDB writes seconds, so a date is as good as none."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS) if math.isfinite(seconds) else None
