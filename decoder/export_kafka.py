"""Kafka as a target of the export: an idempotent producer (librdkafka), and nothing is done before its report is there.

A record is sent until a broker has it on all replicas in sync (`acks=all`). Who starts anew sends what was not
acknowledged in Redis once more: records come at least once, and whoever must not count one twice goes by its `_id`.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from core.errors import BadSettingsError, UnavailableError
from core.messages import Position
from decoder.export import Refused
from decoder.export_records import Record, records_of, topics_of
from decoder.export_settings import ExportSettings
from state.window_stream import ExportedWindow

DELIVERY_MS = 30_000
"""How long a record is tried; then its whole batch waits, and is tried once more."""
POLL_SECONDS = 0.1
FULL_PAUSE_SECONDS = 0.02
"""How long to wait where the producer's own queue is full."""
FLUSH_SECONDS = 5.0
ASK_SECONDS = 10.0
LEAST_PARTITIONS = 4
"""Of a topic that is made here."""
AT_ONCE = 200
"""Records that are handed to the producer before others of this process have a turn."""
NEVER = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD})
"""What a broker says of a record that it will never take, whatever comes."""
_BESIDE = KafkaError._INVALID_DIFFERENT_RECORD  # noqa: SLF001 - how the library calls it
"""What it says of those that came together with such a one."""
_NO_TOPIC = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})  # noqa: SLF001
PRODUCER = {
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 5,
    "compression.type": "zstd",
    "queue.buffering.max.kbytes": 65_536,
    # As Kafka's own clients: whoever joins by the key finds it in the same partition.
    "partitioner": "murmur2_random",
}
SECURITY = {"plaintext": "PLAINTEXT", "ssl": "SSL", "sasl_plaintext": "SASL_PLAINTEXT", "sasl_ssl": "SASL_SSL"}

_log = structlog.stdlib.get_logger("export")


@asynccontextmanager
async def open_kafka(settings: ExportSettings, partitions: int) -> AsyncIterator["KafkaTarget"]:
    """Kafka at KAFKA_SERVERS; nothing is asked of it yet. Raises BadSettingsError.

    `partitions` is how many a topic has that is made here.
    """
    target = KafkaTarget(settings, max(partitions, LEAST_PARTITIONS))
    try:
        yield target
    finally:
        await target.close()


class KafkaTarget:
    """Sends records, and waits for the report of each of them."""

    name = "kafka"

    def __init__(self, settings: ExportSettings, partitions: int, *, delivery_ms: int = DELIVERY_MS) -> None:
        """Raises BadSettingsError."""
        self._options = _options(settings)
        self._delivery_ms = delivery_ms
        self._records = records_of(settings.kafka_format, settings.kafka_topic_prefix)
        self._topics = _topics(settings, partitions)
        self._topics_are_there = False
        self._asking = asyncio.Lock()
        # Threads of its own: what waits for Kafka is to delay nothing else.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="kafka")
        self._line: _Line | None = None

    async def put_positions(self, positions: Sequence[Position]) -> list[Refused]:
        """Send positions, in their order. Raises UnavailableError where one is not acknowledged in time."""
        return await self._send([self._records.position(position) for position in positions])

    async def put_windows(self, windows: Sequence[ExportedWindow]) -> list[Refused]:
        """The same for windows."""
        return await self._send([self._records.window(window) for window in windows])

    async def close(self) -> None:
        """Give what is under way a moment to arrive, and end."""
        if self._line is not None:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._line.close)
        self._executor.shutdown(wait=False)

    async def _send(self, records: Sequence[Record]) -> list[Refused]:
        refused: list[Refused] = []
        # What comes behind a record that is refused may have been sent back with it.
        while records:
            reports = await self._reports_of(records)
            never = [report for report in reports if report.error.code() in NEVER]
            refused += [Refused(report.record.name, report.error.str()) for report in never]
            if len(never) < len(reports):
                self._raise_first(report.error for report in reports if report.error.code() not in NEVER | {_BESIDE})
            if not any(report.error.code() == _BESIDE for report in reports):
                break
            gone = {id(report.record) for report in never}
            records = [record for record in records if id(record) not in gone]
        return refused

    async def _reports_of(self, records: Sequence[Record]) -> list["_Report"]:
        """Send records; the reports of those that did not arrive."""
        await self._make_topics()
        line = self._line = self._line or _Line(self._options | {"delivery.timeout.ms": self._delivery_ms})
        sending = _Sending(len(records))
        for number, record in enumerate(records, start=1):
            while not line.produce(record, sending):  # noqa: ASYNC110 - the library has no event for it
                await asyncio.sleep(FULL_PAUSE_SECONDS)
            if not number % AT_ONCE:
                await asyncio.sleep(0)
        await sending.done
        if any(report.error.fatal() or report.error.code() == KafkaError._FATAL for report in sending.failed):  # noqa: SLF001 - how the library calls it
            await self._replace(line)
        return sending.failed

    async def _replace(self, line: "_Line") -> None:
        """A producer that has met a fatal error never sends anything again."""
        if self._line is line:
            self._line = None
            _log.warning("Kafka's producer met a fatal error, and is replaced", words=line.problem)
            await asyncio.get_running_loop().run_in_executor(self._executor, line.close)

    async def _make_topics(self) -> None:
        async with self._asking:
            if not self._topics_are_there:
                loop = asyncio.get_running_loop()
                try:
                    await loop.run_in_executor(self._executor, _make_missing, self._options, self._topics)
                except KafkaException as error:
                    raise UnavailableError(f"Kafka: {_words(error.args[0])}") from error
                self._topics_are_there = True

    def _raise_first(self, errors: Iterable[KafkaError]) -> None:
        for error in errors:
            if error.code() in _NO_TOPIC:
                self._topics_are_there = False
            problem = self._line.problem if self._line else ""
            raise UnavailableError(f"Kafka: {_words(error)}{f' ({problem})' if problem else ''}")


@dataclass(slots=True)
class _Report:
    """Of a record that did not arrive."""

    record: Record
    error: KafkaError


class _Sending:
    """Records that were handed to a producer together, and what is reported of them, in whatever thread."""

    def __init__(self, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._left = count
        self.failed: list[_Report] = []
        self.done: asyncio.Future[None] = self._loop.create_future()
        if not count:
            self.done.set_result(None)

    def report(self, record: Record, error: KafkaError | None) -> None:
        """Note what became of a record."""
        with self._lock:
            self._left -= 1
            if error is not None:
                self.failed.append(_Report(record, error))
            if self._left:
                return
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class _Line:
    """A producer, and the thread that asks it for reports."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.problem = ""
        """The newest trouble with a broker, in librdkafka's words."""
        self._producer = Producer({**options, **PRODUCER, "error_cb": self._note})
        self._lock = threading.Lock()
        self._closing = False
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="kafka-reports", daemon=True)
        self._thread.start()

    def produce(self, record: Record, sending: _Sending) -> bool:
        """Hand on a record, whose report comes later; False where the queue is full: try once more in a moment."""

        def report(error: KafkaError | None, message: Message) -> None:
            del message
            sending.report(record, error)

        with self._lock:
            if self._closing:
                sending.report(record, KafkaError(KafkaError._STATE))  # noqa: SLF001 - how the library calls it
                return True
            try:
                self._producer.produce(
                    record.topic, record.value, record.key, headers=record.headers, on_delivery=report
                )
            except BufferError:
                return False
            except KafkaException as error:
                sending.report(record, error.args[0])
        return True

    def close(self) -> None:
        """Wait a little for what is under way, give up the rest, and end."""
        with self._lock:
            self._closing = True
        self._producer.flush(FLUSH_SECONDS)
        self._producer.purge()
        self._ends.set()
        self._thread.join()
        self._producer.poll(0)

    def _poll(self) -> None:
        while not self._ends.is_set():
            self._producer.poll(POLL_SECONDS)

    def _note(self, error: KafkaError) -> None:
        self.problem = error.str()


def _options(settings: ExportSettings) -> dict[str, Any]:
    """What every client of librdkafka is told. Raises BadSettingsError."""
    if not settings.kafka_servers:
        raise BadSettingsError("KAFKA_SERVERS: missing: host:port, joined by commas; EXPORT has kafka")
    options: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_servers,
        "client.id": "campus-occupancy",
        "security.protocol": SECURITY[settings.kafka_security],
        # Its log is not ours: what goes wrong is in the reports.
        "log_level": 2,
    }
    if settings.kafka_ca is not None:
        options["ssl.ca.location"] = str(settings.kafka_ca)
    if settings.kafka_security.startswith("sasl"):
        if not (settings.kafka_user and settings.kafka_password.get_secret_value()):
            raise BadSettingsError("KAFKA_USER: KAFKA_SECURITY is sasl, which needs KAFKA_USER and KAFKA_PASSWORD")
        options |= {
            "sasl.mechanism": settings.kafka_mechanism,
            "sasl.username": settings.kafka_user,
            "sasl.password": settings.kafka_password.get_secret_value(),
        }
    return options


def _topics(settings: ExportSettings, partitions: int) -> list[NewTopic]:
    names = topics_of(settings.kafka_topic_prefix)
    return [
        NewTopic(
            names.positions,
            num_partitions=partitions,
            config={"cleanup.policy": "delete", "retention.ms": str(settings.kafka_retention_ms)},
        ),
        # The newest count of each window stays, as in the time-series store.
        NewTopic(names.occupancy, num_partitions=partitions, config={"cleanup.policy": "compact"}),
    ]


def _make_missing(options: dict[str, Any], topics: Sequence[NewTopic]) -> None:
    """Make topics that are not there. Raises KafkaException."""
    admin = AdminClient(options)
    known = admin.list_topics(timeout=ASK_SECONDS).topics
    missing = [topic for topic in topics if topic.topic not in known]
    for name, made in (admin.create_topics(missing, request_timeout=ASK_SECONDS) if missing else {}).items():
        try:
            made.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another exporter was faster
                raise
        else:
            _log.info("topic made", topic=name)


def _words(error: KafkaError) -> str:
    return f"{error.str()} ({error.name()})"
