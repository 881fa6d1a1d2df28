"""What an administrator does for the document store: once, and again and again."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import structlog

from core.clock import Clock, system_clock
from core.errors import UnavailableError
from documents.opening import open_store
from documents.retention import AGAIN_SECONDS, DAY_SECONDS, Retention
from documents.settings import SetupSettings
from documents.store import DocumentStore
from runtime.service import Stop, pause

FIRST_SECONDS = 2.0
"""How soon it is tried again as long as it was never done: whoever starts the system waits for it."""

_log = structlog.stdlib.get_logger("documents")


async def set_up(store: DocumentStore, passwords: Mapping[str, str]) -> None:
    """Make what is missing: databases or the file, and users of CouchDB where there are `passwords`, by name.

    Raises UnavailableError.
    """
    await store.setup()
    if not passwords:
        return
    # The SDK is loaded only where it is wanted.
    from documents.cloudant import CloudantStore  # noqa: PLC0415
    from documents.rights import Right  # noqa: PLC0415

    if isinstance(store, CloudantStore):
        await store.give_rights({Right(name): password for name, password in passwords.items()})


async def keep_set_up(
    settings: SetupSettings,
    stop: Stop,
    done: Path | None = None,
    *,
    clock: Clock = system_clock,
    again_seconds: float = AGAIN_SECONDS,
) -> None:
    """Do it now and every few minutes until `stop`; `done` is made after the first time.

    Nobody but an administrator is let into a database that somebody else made, as a restore does, until it is done
    again. Days that were over are dropped once a day.
    """
    async with open_store(settings, clock=clock) as store:
        retention = Retention(store=store, keep_ms=settings.documents_keep_ms, clock=clock)
        was_done, drop_at = False, 0.0
        while not stop.is_set():
            try:
                await set_up(store, settings.passwords)
                if done:
                    await asyncio.to_thread(done.touch)
                if not was_done:
                    _log.info("the document store is ready")
                was_done = True
                if time.monotonic() >= drop_at:
                    await retention.step()
                    drop_at = time.monotonic() + DAY_SECONDS
            except UnavailableError as error:
                _log.info("setting up waits", reason=str(error))
            await pause(again_seconds if was_done else FIRST_SECONDS, stop)
