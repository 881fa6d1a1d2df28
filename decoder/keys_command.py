"""`python -m decoder keys`: the keys of device hashes, where they rotate (DEVICE_KEY_ROTATION)."""

from collections.abc import Awaitable, Callable
from typing import TypeVar
from zoneinfo import ZoneInfo

import typer

from core.clock import format_rfc3339, system_clock
from decoder.settings import DecoderSettings
from runtime import command
from runtime.epochs import KEEP_MS, name_of
from runtime.settings import load_or_exit
from state.device_keys import DeviceKeys
from state.keys_redis import open_keys_redis

Answer = TypeVar("Answer")
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="The keys of device hashes, where they rotate. KEYS_REDIS_URL, or DATA_DIR, says where they are.",
)


@app.command("list")
def list_keys() -> None:
    """Print from when to when each key holds, and when it is destroyed. What is secret of them is not shown."""
    settings = _settings()
    zone = ZoneInfo(settings.campus_timezone)
    for key in _with_keys(settings, lambda keys: keys.read()):
        span = f"{format_rfc3339(key.start)} to {format_rfc3339(key.end)}"
        typer.echo(f"{name_of(key.start, zone)}: {span}, destroyed {format_rfc3339(key.end + KEEP_MS)}")


@app.command()
def rotate() -> None:
    """Let all devices have other hashes from the next midnight of the campus on, before the key's time is over.

    It is at midnight, so that no window counts a device twice. The key that ends then is destroyed nine days later. A
    changed DEVICE_KEY_ROTATION holds from then on, too.

    Example: python -m decoder keys rotate
    """
    settings = _settings()
    who, zone = settings.who_is_who, ZoneInfo(settings.campus_timezone)
    if not who.rotates:
        command.fail(
            "DEVICE_KEY_ROTATION: is never, so there are no keys to rotate: set it to day, week or month", code=2
        )
    at = _with_keys(settings, lambda keys: keys.rotate(who.rotation, zone, now=system_clock()))
    typer.echo(f"A new key holds from {format_rfc3339(at)} on.")


def _settings() -> DecoderSettings:
    return load_or_exit(DecoderSettings)


def _with_keys(settings: DecoderSettings, work: Callable[[DeviceKeys], Awaitable[Answer]]) -> Answer:
    async def asking() -> Answer:
        async with open_keys_redis(settings, "decoder") as client:
            return await work(DeviceKeys(client))

    return command.ask(asking)
