"""Says, once a second, when this node has last had a message of each kind."""

from collections.abc import Callable, Mapping

from core.errors import UnavailableError
from core.kinds import KindId
from runtime.service import Stop, pause
from state.client import Redis
from state.newest_input import note_newest_input

EVERY_SECONDS = 1.0


class NewestInput:
    """Beside the appends, so that a message costs nothing more for it."""

    def __init__(self, *, client: Redis, newest: Callable[[], Mapping[KindId, int]]) -> None:
        """`newest` answers when the newest message of each kind came here, in ms since the epoch."""
        self._client = client
        self._newest = newest
        self._noted: dict[KindId, int] = {}

    async def run(self, stop: Stop) -> None:
        """Note until `stop`."""
        while not stop.is_set():
            newest = dict(self._newest())
            if newest != self._noted:
                try:
                    await note_newest_input(self._client, newest)
                except UnavailableError:
                    pass  # appends wait as well, and say why; the next look notes it
                else:
                    self._noted = newest
            await pause(EVERY_SECONDS, stop)
