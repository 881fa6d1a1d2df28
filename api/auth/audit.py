"""Who has read positions, what for, and what they were given: written down before it is given (`state.audit`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlencode

import structlog
from starlette.requests import Request

from api.auth.keys import Key
from core.clock import Clock
from state.audit import Question, note_question
from state.client import Redis

ASKED_MAX = 2000
"""Characters of what was asked that are kept."""

_log = structlog.stdlib.get_logger("audit")


class Shown(StrEnum):
    """What somebody was given."""

    EXACT = "exact"
    CELLS = "cells"
    NOTHING = "nothing"


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What one API process writes down of positions."""

    redis: Redis
    clock: Clock
    kept: bool
    """Whether anything is; false where PRIVACY is open."""

    async def note(self, request: Request, key: Key, asked: dict[str, str], *, shown: Shown, given: int) -> None:
        """Write down that this request with this key asked for that, and is about to be given so many.

        Raises UnavailableError where it cannot be written: then nothing may be given.
        """
        if not self.kept:
            return
        question = Question(
            at=self.clock(),
            key=key.id,
            name=key.name,
            purpose=key.purpose,
            route=f"{request.scope['method']} {request.scope['route'].path_format}",
            asked=_joined(asked),
            shown=shown,
            given=given,
            request=str(structlog.contextvars.get_contextvars().get("request", "")),
        )
        await note_question(self.redis, question)
        # Beside it, for the stream keeps the newest alone: what collects logs has all of them. No device is in a line.
        _log.info(
            "a device is to be forgotten" if shown is Shown.NOTHING else "positions are given",
            key=question.key,
            purpose=question.purpose,
            route=question.route,
            asked=_joined(asked | {"device": "one"}) if "device" in asked else question.asked,
            shown=question.shown,
            given=question.given,
        )


def _joined(asked: Mapping[str, str]) -> str:
    return urlencode(asked, safe=":,")[:ASKED_MAX]
