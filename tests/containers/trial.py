"""A version of an application that tests put behind HAProxy: it says its version, and fails as often as it is told."""

import itertools
import os

from aiohttp import web

VERSION = os.environ["VERSION"]
FAIL_EVERY = int(os.environ["FAIL_EVERY"])
"""Each so many-th answer is an error; 0: none is."""
_numbers = itertools.count(1)


async def latest(_: web.Request) -> web.Response:
    """The version, or an error."""
    if FAIL_EVERY and next(_numbers) % FAIL_EVERY == 0:
        return web.json_response({"version": VERSION}, status=500)
    return web.json_response({"version": VERSION})


async def healthz(_: web.Request) -> web.Response:
    """Always well: what fails is for a canary to see."""
    return web.Response(text="ok\n")


def main() -> None:
    """Serve until SIGTERM."""
    app = web.Application()
    app.add_routes([web.get("/apps/trial/latest", latest), web.get("/healthz", healthz)])
    web.run_app(app, host="0.0.0.0", port=8090, print=None, access_log=None)  # noqa: S104 - in a container


if __name__ == "__main__":
    main()
