"""Who has read positions of devices, or had a device forgotten: an entry for each question, before it is answered.

    audit:{campus}  stream  the newest AUDIT_MAX questions. `at` when it was asked (ms since the epoch), `key` the id of
                            the API key, `name` whose it is, `purpose` what for, `route` the method and path of the
                            interface, `asked` the parameters as in an address, `shown` what was given (exact, cells,
                            nothing), `given` how many of it, `request` the id of the request

A device stands in it under the pseudonym that its reader knew it by. Whoever reads (`python -m api audit`) can do
nothing else. An API can add, and so push out what is there if somebody else has taken it over: what collects its log
has a line on each question, too.
"""

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

from state.access import Right, access
from state.client import Redis
from state.slots import CAMPUS

ACCESS = {
    Right.READ: [access("audit:{campus}", "XRANGE")],
    Right.TELL: [access("audit:{campus}", "XADD")],
}
AUDIT = f"audit:{CAMPUS}"
AUDIT_MAX = 100_000
"""Some 30 MB of Redis, or as long as nobody asks so often; each question is a line of the log as well."""
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody asked, and what they were given."""

    at: int
    """Milliseconds since the epoch."""
    key: str
    """The id of an API key."""
    name: str
    purpose: str
    route: str
    asked: str
    shown: str
    given: int
    request: str


async def note_question(client: Redis, question: Question) -> None:
    """Write a question down. Raises UnavailableError, and then it is not to be answered."""
    stored = {name: str(value) for name, value in asdict(question).items()}
    await client.xadd(AUDIT, cast("dict[Any, Any]", stored), maxlen=AUDIT_MAX, approximate=True)


async def questions(client: Redis, *, since: int = 0) -> AsyncIterator[Question]:
    """The questions that were written down from a time on (milliseconds since the epoch), the oldest first."""
    first = f"{since}-0"
    while page := cast("list[Any]", await client.xrange(AUDIT, first, "+", count=PAGE)):
        for _, stored in page:
            if (found := _question(stored)) is not None:
                yield found
        first = f"({page[-1][0].decode()}"


def _question(stored: dict[bytes, bytes]) -> Question | None:
    """None of what no API wrote."""
    texts = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in stored.items()}
    try:
        numbers = {name: int(texts[name]) for name in ("at", "given")}
        return Question(**{each.name: texts[each.name] for each in fields(Question)} | numbers)  # type: ignore[arg-type]
    except (KeyError, ValueError):
        return None
