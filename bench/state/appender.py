"""Appends positions as broker nodes do; a program of its own, for it runs with the code of either version.

    python bench/state/appender.py ZONES DEVICES PARTITIONS BATCH        from the root of a checkout, REDIS_URL set

Each line of its input is a JSON list [first device, how many devices, time of the positions in ms]; each is answered by
the number of messages that Redis has taken. Positions are of that time and up to SPREAD after it.
"""

import asyncio
import json
import sys
import zlib
from base64 import b64encode
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib import import_module, resources
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path.cwd()))  # the checkout, whichever this file is of
sys.path[:] = [path for path in sys.path if path != str(Path(__file__).parent)]

SPREAD = timedelta(seconds=29)
Append = Callable[[int, list[tuple[str, bytes]], int], Awaitable[None]]
"""Appends to a partition messages with their users, received at a time (ms)."""


async def main(zones: int, devices: int, partitions: int, batch: int) -> None:
    """Do what is asked for until there is no more."""
    place = _grid(zones).place
    async with _client() as client:
        append = _appender(client, partitions)
        for line in sys.stdin:
            first, count, at = json.loads(line)
            begin = datetime.fromtimestamp(at / 1000, UTC)
            waiting: dict[int, list[tuple[str, bytes]]] = defaultdict(list)
            for number in range(first, first + count):
                device = f"device-{number % devices}"
                # Devices do not all send in the same moment.
                stamp = (begin + SPREAD * (number % devices / devices)).isoformat(timespec="milliseconds")
                longitude, latitude = place(number % devices, at // 60_000)
                payload = b64encode(
                    b'{"type":"Feature","geometry":{"type":"Point","coordinates":[%a,%a]},"properties":{"device_id":"%s",'
                    b'"timestamp":"%s","accuracy":4.5,"speed":1.5}}'
                    % (longitude, latitude, device.encode(), stamp.encode())
                )
                partition = zlib.crc32(device.encode()) % partitions
                lane = waiting[partition]
                lane.append((device, payload))
                if len(lane) == batch:
                    await append(partition, lane, at)
                    waiting[partition] = []
            for partition, lane in waiting.items():
                if lane:
                    await append(partition, lane, at)
            sys.stdout.write(f"{count}\n")
            sys.stdout.flush()


def _grid(zones: int) -> Any:  # noqa: ANN401 - a class of a file that this program loads by its path
    spec = spec_from_file_location("grid", Path(__file__).with_name("campus.py"))
    if spec is None or spec.loader is None:
        raise FileNotFoundError("campus.py is not beside this file")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Grid(zones)


def _module(*names: str) -> Any:  # noqa: ANN401 - what both versions have is not known to a type checker
    """The first of these modules that the checkout has; None where it has none."""
    for name in names:
        with suppress(ModuleNotFoundError):
            return import_module(name)
    return None


def _client() -> Any:  # noqa: ANN401 - of either version
    settings = _module("runtime.settings", "core.settings").CommonSettings()
    return _module("state.client", "core.redis").open_redis(settings)


def _appender(client: Any, partitions: int) -> Append:  # noqa: ANN401 - of either version
    if not (entries := _module("state.entries")):
        return _appender_before(client)
    raw = _module("state.raw").Raw(client=client, partitions=partitions)

    async def append(partition: int, messages: list[tuple[str, bytes]], at: int) -> None:
        groups = [entries.Group("mobile-iotp", user, "mobile", at, "", [payload]) for user, payload in messages]
        await raw.append(partition, entries.encode_entries(groups), most=10_000_000)

    return append


def _appender_before(client: Any) -> Append:  # noqa: ANN401 - of the version before
    script = client.register_script(resources.files("broker").joinpath("append.lua").read_text("utf-8"))

    async def append(partition: int, messages: list[tuple[str, bytes]], at: int) -> None:
        arguments: list[Any] = []
        for user, payload in messages:
            arguments += ["mobile-iotp", user, "mobile", at, "", 1, payload]
        await script(keys=[f"raw:{{{partition}}}"], args=arguments)

    return append


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
