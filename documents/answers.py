"""What the answers of a server mean that are no success: one table, for whatever was asked.

| answer | of a request that writes documents | of any other |
|---|---|---|
| 401, 403 | the login: a setting, if it never worked; else wait; what is an administrator's: wait | the same |
| 404 | the database is not there: make it | it, or an index, is not there: make it, or there is nothing |
| 400, error `no_usable_index` | - | the index is not there: make it |
| 400, 413, 422 | one document may be why, or the size: try smaller requests | wait |
| all else | wait | wait |

To wait is right wherever it is unknown whose fault it is: nothing is lost by it, /readyz has the server's words, and
whoever looks there can mend it. Only what a smaller request can tell is told by one, see `documents.writing`.
"""

from enum import Enum, auto
from http import HTTPStatus

from ibm_cloud_sdk_core.api_exception import ApiException

from core.errors import UnavailableError

WORDS_CHARACTERS = 300
"""What is passed on of a server's words."""
_NOT_ALLOWED = ("server admin", "db or server admin", "You are not allowed to access this db")
_LOGIN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_BY_ONE_DOCUMENT = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY)
"""What a server, or a proxy in front of it, says of a whole request when one document in it, or its size, is wrong."""


class MissingError(UnavailableError):
    """The database, or the index, that was asked is not there."""


class NotAllowedError(UnavailableError):
    """Who is logged in may not do it: that is for `python -m documents setup`, as an administrator."""


class RefusedRequestError(UnavailableError):
    """Documents were not written, and smaller requests may show which of them is why; `words` are the server's."""

    def __init__(self, message: str, words: str) -> None:
        """Keep both."""
        super().__init__(message)
        self.words = words


class Meaning(Enum):
    """What to do next."""

    WAIT = auto()
    """Ask again, as late as the server says, or with backoff."""
    LOGIN = auto()
    """Say which settings it is about."""
    MISSING = auto()
    """Make what is not there."""
    SPLIT = auto()
    """Ask for less at a time."""


def meaning(status: int, error: str, *, writes: bool) -> Meaning:
    """What to do after an answer of this status whose body names this error; `writes` tells documents from all else."""
    if status in _LOGIN:
        return Meaning.LOGIN
    if status == HTTPStatus.NOT_FOUND or (not writes and error == "no_usable_index"):
        return Meaning.MISSING
    return Meaning.SPLIT if writes and status in _BY_ONE_DOCUMENT else Meaning.WAIT


def words_of(error: ApiException) -> tuple[str, str]:
    """The name that the server gives an error, empty if it gives none, and all that it says about it."""
    name, words = "", str(error.message)
    if error.http_response is not None:
        try:
            body = error.http_response.json()
        except ValueError:
            body = None
        if isinstance(body, dict) and "error" in body:
            name = str(body["error"])
            words = f"{name}: {body['reason']}" if body.get("reason") else name
    return name, shown(words)


def is_not_allowed(words: str) -> bool:
    """Whether a server's words for 401 or 403 are of somebody that it knows, who may not do what was asked."""
    return any(each in words for each in _NOT_ALLOWED)


def shown(words: object) -> str:
    """What somebody else's words are in a log or in /readyz: one line, and not a long one."""
    return " ".join("".join(each if each.isprintable() else " " for each in str(words)).split())[:WORDS_CHARACTERS]
