"""Tells the keeper which faults are wanted between services and stores; those in front HAProxy makes."""

import aiohttp
import msgspec
import structlog

from controller.asking import ask
from controller.keeper import CannotMake, KeptFault
from core.clock import Clock
from core.errors import UnavailableError
from core.faults import BEHIND, Fault
from core.unreadable import UNREADABLE
from runtime.bounded import TooLongError, read_bounded
from runtime.service import Stop, pause
from state.faults import FaultStore

ANSWER_SECONDS = 5.0
MAX_ANSWER_BYTES = 16_384
MAX_FAULTS_BYTES = 65_536
ASK_EVERY_MS = 1000
"""How often the keeper is asked what it has, while it should have something."""
_log = structlog.stdlib.get_logger("controller")


class FaultTeller:
    """Follows the faults in Redis. What is told once the keeper ends by itself, also if nobody is here any more."""

    def __init__(
        self, *, store: FaultStore, session: aiohttp.ClientSession, url: str, every: float, clock: Clock
    ) -> None:
        """`url` is the keeper's, `every` in seconds."""
        self._store = store
        self._session = session
        self._url = f"{url}/faults"
        self._every = every
        self._clock = clock
        self._told: list[Fault] | None = None
        self._cannot: dict[str, str] = {}
        """Where the keeper makes none of what it was told, and why."""
        self._sure_at = 0
        """When the keeper had what it was told, for sure (ms)."""
        self.problem: str | None = "the keeper of faults was not told anything yet"
        """Why not all that is wanted is made; None where it is."""

    async def run(self, stop: Stop) -> None:
        """Tell until `stop`."""
        while not stop.is_set():
            await self.step()
            await pause(self._every, stop)

    async def step(self) -> None:
        """Look once, and tell what has changed."""
        problem = None
        try:
            now = self._clock()
            faults = [fault for fault in await self._store.faults(now) if fault.between in BEHIND]
            # What was told and has ended since is no change: the keeper has ended it.
            is_told = self._told is not None and [fault for fault in self._told if fault.until > now] == faults
            if is_told and faults and now - self._sure_at >= ASK_EVERY_MS:
                # A keeper that was started anew between two looks knows of nothing.
                is_told = await self._has(faults, now)
                self._sure_at = now
            if not is_told:
                self._cannot = await self._tell(faults, now)
                self._told, self._sure_at = faults, now
            # What has ended since is nobody's wish any more.
            wanted = {fault.between for fault in faults}
            problem = "; ".join(why for between, why in self._cannot.items() if between in wanted) or None
        except UnavailableError as error:
            # A keeper that was away may be a new one, which knows of nothing.
            problem, self._told = str(error), None
        if problem and problem != self.problem:
            _log.warning("not all faults that are wanted are made", reason=problem)
        self.problem = problem

    async def _has(self, faults: list[Fault], now: int) -> bool:
        """Whether the keeper has these faults; of those that end within a second nothing is asked."""
        try:
            kept = msgspec.json.decode(
                await ask(self._session, self._url, limit=MAX_FAULTS_BYTES), type=list[KeptFault]
            )
        except UNREADABLE as error:
            raise UnavailableError(f"FAULTS_KEEPER_URL: {self._url} answers no faults: {error}") from error
        except UnavailableError as error:
            raise UnavailableError(f"FAULTS_KEEPER_URL: {error}") from error
        there = {msgspec.structs.replace(each, seconds_left=1) for each in kept}
        made = [fault for fault in faults if fault.between not in self._cannot]
        lasting = [_kept(fault, now) for fault in made if fault.until - now > ASK_EVERY_MS]
        return all(msgspec.structs.replace(each, seconds_left=1) in there for each in lasting)

    async def _tell(self, faults: list[Fault], now: int) -> dict[str, str]:
        """Where none can be made, and why."""
        wanted = [_kept(fault, now) for fault in faults]
        headers = {"Content-Type": "application/json"}
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        try:
            async with self._session.put(
                self._url, data=msgspec.json.encode(wanted), headers=headers, timeout=timeout
            ) as answer:
                body = await read_bounded(answer.content, MAX_ANSWER_BYTES)
                if answer.status != 200:  # noqa: PLR2004 - OK
                    said = body.decode(errors="replace").strip()
                    raise UnavailableError(f"FAULTS_KEEPER_URL: {self._url} answers {answer.status}: {said}")
                return {each.between: each.why for each in msgspec.json.decode(body, type=list[CannotMake])}
        except TooLongError as error:
            raise UnavailableError(f"FAULTS_KEEPER_URL: the answer of {self._url} is {error}") from error
        except UNREADABLE as error:
            raise UnavailableError(f"FAULTS_KEEPER_URL: {self._url} answers something else: {error}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnavailableError(f"FAULTS_KEEPER_URL: {self._url}: {error or 'too slow'}") from error


def _kept(fault: Fault, now: int) -> KeptFault:
    values = msgspec.structs.asdict(fault)
    left = values.pop("until") - now
    del values["by"]
    return KeptFault(**values, seconds_left=left / 1000)
