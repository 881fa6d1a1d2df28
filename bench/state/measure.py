"""Measures one size: so many devices and zones, on so many masters, with the code of one version."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.state.campus import Grid
from bench.state.processes import Appender, Service, service
from bench.state.servers import Measured, servers
from tests.conftest import free_port

BATCH = 200
"""Messages of a partition that a broker appends at once, under load."""
EVERY_SECONDS = 30
"""How often a device sends its position."""
GROUP_MINUTES = 5
"""What a device was seen in has a byte for so many minutes, however many of them it was there."""
DAY_HOURS = 8
DRAIN_SECONDS = 1200.0
LOOKS_A_SECOND = 2
MINUTE_MS = 60_000
PAUSED_MESSAGES = 20_000
"""Made while the archive stands still: so few that its connections have not timed out when it goes on."""
ROLLUP_MINUTES, ROLLUP_MESSAGES = 20, 20_000
ROLLUP_EVERY = 1
"""Seconds; of the version before it is half a second."""
WHERE_THEY_ARE = ("newest:", "device:", "presence:", "touched:", "away:")
TO_BE_WRITTEN = ("dirty:", "claimed:", "windows:dirty")
"""How keys begin, in either version."""
SETTLE_SECONDS = 1.0
"""For a service that has just said that it is ready."""


@dataclass(frozen=True, slots=True)
class Size:
    """What is measured."""

    devices: int
    zones: int
    masters: int = 1
    batch: int = BATCH
    """Messages of a partition that are appended at once."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    messages: int
    """Of one size, at least two positions of each device, EVERY_SECONDS apart."""
    device_minutes: int
    """For memory: most of those of which each sets something; fewer hours of more devices."""
    look_seconds: float
    parts: bool = True
    """Also the archive, looks and the roll-up."""


class Bench:
    """The code of one version in `checkout`; `before` where that is the version before."""

    def __init__(self, checkout: Path, *, before: bool = False) -> None:
        self._checkout = checkout
        self._before = before

    def costs(self, size: Size, effort: Effort) -> dict[str, float]:
        """What messages, looks and windows cost at a size, by name with unit."""
        with self._run(size) as run:
            return run.costs(effort)

    def memory(self, size: Size, effort: Effort) -> dict[str, float]:
        """What a device and minute costs in memory over a day, by name with unit."""
        with self._run(size) as run:
            return run.memory(effort)

    @contextmanager
    def _run(self, size: Size) -> Iterator["_Run"]:
        with (
            _room() as folder,
            servers(size.masters, folder) as measured,
            closing(_Run(measured, self._checkout, folder, size, before=self._before)) as run,
        ):
            yield run


class _Run:
    def __init__(self, measured: Measured, checkout: Path, folder: Path, size: Size, *, before: bool) -> None:
        self._measured = measured
        self._checkout = checkout
        self._folder = folder
        self._size = size
        self._before = before
        campus = folder / "campus.geojson"
        Grid(size.zones).write(campus)
        self._settings = {
            "REDIS_URL": measured.url,
            "PARTITIONS": str(measured.partitions),
            "DATA_DIR": str(folder),
            "DEVICE_KEY": "6f" * 32,
            "CAMPUS_FILE": str(campus),
            "MIRROR": "false",
            "API_PORT": str(free_port()),
            "POSITION_MAX_AGE": "",
            "ROLLUP_EVERY": str(ROLLUP_EVERY),
        }
        self._log = folder / "services.log"
        self._appender = Appender(checkout, self._settings, zones=size.zones, devices=size.devices, batch=size.batch)

    def close(self) -> None:
        """End what was started."""
        self._appender.close()

    def costs(self, effort: Effort) -> dict[str, float]:
        """See Bench.costs."""
        with self._service("decoder", STAGES="observe", DECODER_NAME="bench") as decoder:
            found = self._messages(decoder, effort.messages)
            if effort.parts:
                found |= self._archive() | self._look(effort.look_seconds) | self._rollup()
        return found

    def _messages(self, decoder: Service, messages: int) -> dict[str, float]:
        """What it takes to append positions, and to count them: those of all devices, EVERY_SECONDS apart."""
        devices = self._size.devices
        rounds = max(2, messages // devices)
        begin = _now() // MINUTE_MS * MINUTE_MS - rounds * EVERY_SECONDS * 1000
        # In the minute before: so each device has its keys, and is in the zones that it will be in.
        self._appender.append(0, devices, begin - MINUTE_MS)
        self._drain()
        decoder.pause()
        first = self._cpu()
        for number in range(rounds):
            self._appender.append(0, devices, begin + number * EVERY_SECONDS * 1000)
        appended, busy = self._cpu(), decoder.cpu_seconds
        decoder.resume()
        self._drain()
        observed, count = self._cpu(), rounds * devices
        shares = _less(observed, first)
        return {
            "append, Redis us/message": sum(_less(appended, first)) / count * 1e6,
            "observe, Redis us/message": sum(_less(observed, appended)) / count * 1e6,
            "busiest master, Redis us/message": max(shares) / count * 1e6,
            "decoder us/message": (decoder.cpu_seconds - busy) / count * 1e6,
        }

    def _archive(self) -> dict[str, float]:
        """What it takes to make documents of positions, in SQLite; then they are gone."""
        devices, positions = min(self._size.devices, PAUSED_MESSAGES), self._measured.keys("positions")
        rounds = min(10, PAUSED_MESSAGES // devices)
        with self._service("decoder", STAGES="archive", DECODER_NAME="bench-archive") as archive:
            _until(lambda: not self._measured.count("XLEN", *positions))
            time.sleep(SETTLE_SECONDS)
            archive.pause()
            for second in range(rounds):
                # A document is of a device and a time: the same again would be none.
                self._appender.append(0, devices, _now() - second * 1000)
            self._drain()
            used = archive.cpu_seconds
            archive.resume()
            _until(lambda: not self._measured.count("XLEN", *positions))
            return {"archive, decoder us/message": (archive.cpu_seconds - used) / rounds / devices * 1e6}

    def _look(self, seconds: float) -> dict[str, float]:
        """What the API takes to know where devices are: where nothing comes, and while they send as ever."""
        rate = self._size.devices / EVERY_SECONDS
        with self._service("api", OCCUPANCY_TTL="1") as api:
            time.sleep(SETTLE_SECONDS)
            begun, used = time.monotonic(), api.cpu_seconds
            time.sleep(seconds / 2)
            still = (api.cpu_seconds - used) / (time.monotonic() - begun) / LOOKS_A_SECOND * 1e3
            sent, begun, used, redis = 0, time.monotonic(), api.cpu_seconds, self._cpu()
            while (elapsed := time.monotonic() - begun) < seconds:
                due = int(min(rate, 4000) * elapsed) - sent
                if due > 0:
                    self._appender.append(sent, due, _now())
                    sent += due
                time.sleep(0.05)
            looks = elapsed * LOOKS_A_SECOND
            return {
                "look, nothing comes, API ms": still,
                "look, API ms": (api.cpu_seconds - used) / looks * 1e3,
                "messages while looking, 1/s": sent / elapsed,
                "Redis ms/s while looking, all masters": sum(_less(self._cpu(), redis)) / elapsed * 1e3,
            }

    def _rollup(self) -> dict[str, float]:
        """What it takes to write windows, each once."""
        with self._service("decoder", STAGES="rollup", DECODER_NAME="bench-rollup") as rollup:
            _until(lambda: not self._windows())
            time.sleep(SETTLE_SECONDS)
            rollup.pause()
            each, begin = ROLLUP_MESSAGES // ROLLUP_MINUTES, _now() - 2 * ROLLUP_MINUTES * MINUTE_MS
            for minute in range(ROLLUP_MINUTES):
                self._appender.append(minute * each, each, begin + minute * MINUTE_MS)
            self._drain()
            time.sleep(ROLLUP_EVERY + 1)
            windows, used, redis = self._windows(), rollup.cpu_seconds, self._cpu()
            rollup.resume()
            _until(lambda: not self._windows())
            return {
                "windows": windows,
                "roll-up, decoder us/window": (rollup.cpu_seconds - used) / windows * 1e6,
                "roll-up, Redis us/window": sum(_less(self._cpu(), redis)) / windows * 1e6,
            }

    def memory(self, effort: Effort) -> dict[str, float]:
        """See Bench.memory."""
        size, measured = self._size, self._measured
        step = 1 if self._before else GROUP_MINUTES
        minutes = min(DAY_HOURS * 60, max(15, effort.device_minutes // size.devices * step // step * step))
        start = _now() - minutes * MINUTE_MS
        with self._service("decoder", STAGES="observe", DECODER_NAME="bench"):
            empty = measured.memory_bytes
            for minute in range(0, minutes, step):
                for part in range(step):
                    first, end = (size.devices * number // step for number in (part, part + 1))
                    self._appender.append(first, end - first, start + (minute + part) * MINUTE_MS)
                    self._drain(below=20_000)
            self._drain()
        measured.on_all(measured.keys("positions"), "XTRIM", "MAXLEN", "0")
        # Nobody has rolled anything up here: those would be gone.
        measured.remove(TO_BE_WRITTEN)
        used = measured.memory_bytes - empty
        measured.remove(WHERE_THEY_ARE)
        windows = measured.memory_bytes - empty
        return {
            "minutes of each device": minutes,
            "bytes/device-minute": used / size.devices / minutes,
            "windows, bytes/device-minute": windows / size.devices / minutes,
            "where they are, bytes/device": (used - windows) / size.devices,
        }

    def _service(self, module: str, **settings: str) -> AbstractContextManager[Service]:
        return service(module, self._checkout, self._settings | settings, self._log)

    def _cpu(self) -> list[float]:
        return self._measured.cpu_seconds

    def _drain(self, *, below: int = 1) -> None:
        _until(lambda: self._waiting() < below)

    def _waiting(self) -> int:
        batch = 1 if self._before else self._size.batch
        return self._measured.count("XLEN", *self._measured.keys("raw")) * batch

    def _windows(self) -> int:
        if self._before:
            return self._measured.count("ZCARD", "windows:dirty")
        return sum(self._measured.count("ZCARD", *self._measured.keys(name)) for name in ("dirty", "claimed"))


@contextmanager
def _room() -> Iterator[Path]:
    """A folder of its own; a socket's path may have 107 bytes at the most."""
    path = Path(tempfile.mkdtemp(prefix="bench-state-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + DRAIN_SECONDS
    while not done():
        if time.monotonic() > end:
            raise SystemExit("it does not come to an end")
        time.sleep(0.05)


def _less(after: list[float], before: list[float]) -> list[float]:
    return [one - other for one, other in zip(after, before, strict=True)]


def _now() -> int:
    return time.time_ns() // 1_000_000
