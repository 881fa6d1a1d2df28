"""What is in the topics: records as the documentation has them, by a real Kafka."""

import asyncio
from importlib import resources
from io import BytesIO
from typing import Any

import fastavro
import msgspec
import pytest
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]

from core.errors import BadSettingsError, UnavailableError
from core.messages import Position
from decoder.export_kafka import KafkaTarget, open_kafka
from decoder.export_settings import ExportSettings
from documents import document_id, to_document
from state.window_stream import ExportedWindow
from tests.conftest import NOON
from tests.decoder.conftest import position
from tests.kafka.server import KafkaServer
from tests.ports import free_port

pytestmark = pytest.mark.timeout(600)
WINDOW = ExportedWindow("library", "car", "5m", NOON, NOON + 300_000, 7, NOON + 10_000)


def settings(server: KafkaServer, prefix: str, **given: str) -> ExportSettings:
    return ExportSettings(kafka_servers=server.address, kafka_topic_prefix=prefix, **given)  # type: ignore[arg-type]


def some(count: int, device: str = "d") -> list[Position]:
    return [position(device * 32, NOON + number, "library") for number in range(count)]


def headers(message: Message) -> dict[str, bytes | str | None]:
    return dict(message.headers() or [])


async def test_a_position_is_its_document_and_a_window_has_its_end_and_when_it_was_written(kafka: KafkaServer) -> None:
    async with open_kafka(settings(kafka, "json-"), 1) as target:
        assert await target.put_positions(some(1)) == []
        assert await target.put_windows([WINDOW]) == []
    (found,) = kafka.messages("json-positions")
    assert found.key() == b"d" * 32
    assert msgspec.json.decode(found.value() or b"") == to_document(some(1)[0])
    assert headers(found) == {
        "schema": b"positions/1",
        "content-type": b"application/json",
        "id": document_id(some(1)[0]).encode(),
    }
    (found,) = kafka.messages("json-occupancy")
    assert found.key() == b"library|car|5m|2026-03-01T12:00:00Z"
    assert msgspec.json.decode(found.value() or b"") == {
        "zone": "library",
        "kind": "car",
        "width": "5m",
        "start": "2026-03-01T12:00:00Z",
        "end": "2026-03-01T12:05:00Z",
        "devices": 7,
        "written_at": "2026-03-01T12:00:10Z",
    }
    assert headers(found)["schema"] == b"occupancy/1"


def in_avro(schema: str, message: Message) -> Any:  # noqa: ANN401 - whatever the schema says
    text = resources.files("decoder.avro").joinpath(f"{schema}.avsc").read_text()
    parsed = fastavro.parse_schema(msgspec.json.decode(text))
    return fastavro.schemaless_reader(BytesIO(message.value() or b""), parsed, None)


async def test_as_avro_they_are_read_by_the_schemas_that_are_shipped(kafka: KafkaServer) -> None:
    whole = msgspec.structs.replace(some(1)[0], altitude=12.5, fence="abc", implausible=True)
    async with open_kafka(settings(kafka, "avro-", kafka_format="avro"), 1) as target:
        await target.put_positions([whole, *some(1, "e")])
        await target.put_windows([WINDOW])
    found = {
        each["id"]: each for each in (in_avro("positions-1", message) for message in kafka.messages("avro-positions"))
    }
    assert found[document_id(whole)] == {
        "id": document_id(whole),
        "kind": "car",
        "device": "d" * 32,
        "observed_at": NOON,
        "received_at": NOON,
        "longitude": -8.5734,
        "latitude": 52.6733,
        "zones": ["campus", "library"],
        "cell": "gc3gsuxx",
        "altitude": 12.5,
        "accuracy": None,
        "speed": None,
        "heading": None,
        "fence": "abc",
        "implausible": True,
        "inaccurate": False,
    }
    assert found[document_id(some(1, "e")[0])]["fence"] is None
    (window,) = kafka.messages("avro-occupancy")
    assert in_avro("occupancy-1", window) == {
        "zone": "library",
        "kind": "car",
        "width": "5m",
        "start": NOON,
        "end": NOON + 300_000,
        "devices": 7,
        "written_at": NOON + 10_000,
    }
    assert headers(window)["content-type"] == b"avro/binary"


async def test_what_one_device_sent_stays_in_its_order_whatever_others_send_meanwhile(kafka: KafkaServer) -> None:
    async with open_kafka(settings(kafka, "order-"), 1) as target:
        await asyncio.gather(*(target.put_positions(some(500, device)) for device in "abcdef"))
    found = kafka.messages("order-positions")
    assert len(found) == 3000
    for device in "abcdef":
        of_device = [message for message in found if message.key() == device.encode() * 32]
        assert len({message.partition() for message in of_device}) == 1
        assert [headers(message)["id"] for message in of_device] == [
            document_id(each).encode() for each in some(500, device)
        ]


async def test_topics_that_are_missing_are_made_and_one_that_is_there_stays_as_it_is(kafka: KafkaServer) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.address})
    admin.create_topics([NewTopic("made-occupancy", num_partitions=1)])["made-occupancy"].result(60)
    async with open_kafka(settings(kafka, "made-", kafka_retention="3d"), 8) as target:
        await target.put_windows([WINDOW])
    topics = admin.list_topics(timeout=60).topics
    assert {name: len(topics[name].partitions) for name in ("made-positions", "made-occupancy")} == {
        "made-positions": 8,
        "made-occupancy": 1,
    }
    asked = [ConfigResource(ResourceType.TOPIC, name) for name in ("made-positions", "made-occupancy")]
    told = {each.name: future.result(60) for each, future in admin.describe_configs(asked).items()}
    assert told["made-positions"]["retention.ms"].value == "259200000"
    assert {name: found["cleanup.policy"].value for name, found in told.items()} == {
        "made-positions": "delete",
        "made-occupancy": "delete",
    }


async def test_windows_have_a_topic_that_keeps_the_newest_of_each(kafka: KafkaServer) -> None:
    async with open_kafka(settings(kafka, "compacted-"), 1) as target:
        await target.put_windows([WINDOW])
    admin = AdminClient({"bootstrap.servers": kafka.address})
    [future] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, "compacted-occupancy")]).values()
    assert future.result(60)["cleanup.policy"].value == "compact"


async def test_a_record_that_no_topic_takes_is_refused_and_the_others_arrive(kafka: KafkaServer) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.address})
    small = NewTopic("small-positions", num_partitions=1, config={"max.message.bytes": "2000"})
    admin.create_topics([small])["small-positions"].result(60)
    # Of many zones, none of which can be told from the others by a compressor.
    large = msgspec.structs.replace(
        some(2)[1], zones=tuple(f"{number * 2654435761 % 2**32:08x}" for number in range(2000))
    )
    async with open_kafka(settings(kafka, "small-"), 1) as target:
        refused = await target.put_positions([large])
        assert await target.put_positions([some(1)[0]]) == []
    assert [each.key for each in refused] == [document_id(large)]
    assert "too large" in refused[0].reason.lower() or "larger" in refused[0].reason.lower()
    assert [headers(message)["id"] for message in kafka.messages("small-positions")] == [
        document_id(some(1)[0]).encode()
    ]


async def test_where_there_is_no_kafka_it_is_waited_for() -> None:
    nobody = ExportSettings(kafka_servers=f"127.0.0.1:{free_port()}")
    async with open_kafka(nobody, 1) as target:
        with pytest.raises(UnavailableError, match=r"^Kafka: "):
            await target.put_positions(some(1))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "KAFKA_SERVERS: missing"),
        ({"kafka_servers": "a:1", "kafka_security": "sasl_ssl"}, "KAFKA_USER: KAFKA_SECURITY is sasl"),
    ],
)
async def test_settings_that_cannot_work_are_named(given: dict[str, str], words: str) -> None:
    with pytest.raises(BadSettingsError, match=words):
        KafkaTarget(ExportSettings(**given), 1)  # type: ignore[arg-type]
