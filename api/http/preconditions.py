"""Optimistic locking: whoever changes something says which version he has read (RFC 9110, section 13; RFC 6585)."""

from starlette.requests import Request

from api.http.problems import ProblemError


def check_preconditions(request: Request, etag: str | None) -> None:
    """Let a change through if its If-Match, or If-None-Match, is true of what is there now.

    `etag` is that of what is there, with its quotes; None where there is nothing yet. Raises 428 where neither header
    was sent, and 412 where they are not true.
    """
    if_match = _tags(request, "if-match")
    if_none_match = _tags(request, "if-none-match")
    if not if_match and not if_none_match:
        raise ProblemError(
            status=428,
            type_="/docs#if-match-needed",
            title="If-Match is needed",
            detail="Send If-Match with the ETag of what you have read, so that no change of somebody else is lost; or "
            "If-None-Match: * to make what is not there yet.",
        )
    if if_match and (etag is None or not ("*" in if_match or etag in if_match)):
        raise _failed("If-Match names another version than the present one", etag)
    if if_none_match and etag is not None and ("*" in if_none_match or etag in _strong(if_none_match)):
        raise _failed("If-None-Match says that it must not be there, and it is", etag)


def _tags(request: Request, header: str) -> set[str]:
    tags = ",".join(request.headers.getlist(header)).split(",")
    return {tag.strip() for tag in tags} - {""}


def _strong(tags: set[str]) -> set[str]:
    # If-None-Match compares weakly; If-Match strongly, so that W/"..." never is true there.
    return {tag.removeprefix("W/") for tag in tags}


def _failed(why: str, etag: str | None) -> ProblemError:
    now = f"The present one is {etag}" if etag else "There is none now"
    return ProblemError(
        status=412,
        type_="/docs#changed-meanwhile",
        title="It has changed meanwhile",
        detail=f"{why}. {now}: read it again, and decide whether your change still fits.",
        headers={"ETag": etag} if etag else {},
    )
