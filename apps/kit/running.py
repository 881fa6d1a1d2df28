"""A version as a process: it follows the campus and serves its updates until SIGTERM or Ctrl-C."""

import asyncio
import logging
import os
import sys
from contextlib import suppress

import uvicorn
from pydantic import ValidationError

from apps.kit.campus import Campus
from apps.kit.serving import application
from apps.kit.settings import AppSettings
from apps.kit.updates import Updates, Version

CONCURRENT_REQUESTS = 200


def run(version: Version) -> None:
    """Run it. What is wrong with the settings is said, and ends it with 2."""
    logging.basicConfig(level=logging.INFO, format="[%(levelname)s] %(message)s")
    try:
        settings = AppSettings()
    except ValidationError as error:
        for each in error.errors():
            sys.stderr.write(f"{'.'.join(map(str, each['loc'])).upper()}: {each['msg']}\n")
        raise SystemExit(2) from None
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(version, settings))


async def _serve(version: Version, settings: AppSettings) -> None:
    campus = Campus(settings, settings.zone or version.zone)
    updates = Updates(version, campus)
    config = uvicorn.Config(
        application(version, updates),
        host=settings.http_host,
        port=settings.http_port,
        log_config=None,
        access_log=False,
        limit_concurrency=CONCURRENT_REQUESTS,
        timeout_graceful_shutdown=5,
    )
    # A client id of its own for each instance: else two of one version would end each other's connections.
    client_id = f"{version.app}-{version.version}-{os.urandom(4).hex()}"
    # A defect of one of the two ends both, and so the process, which whoever runs it starts again.
    async with campus, asyncio.TaskGroup() as group:
        following = group.create_task(updates.follow(asyncio.sleep, client_id))
        await uvicorn.Server(config).serve()
        following.cancel()
