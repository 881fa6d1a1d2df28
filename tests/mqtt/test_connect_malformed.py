"""CONNECT packets that are not as section 3.1 says: closed without a CONNACK."""

import pytest

from tests.mqtt.clauses import clause
from tests.mqtt.client import Service
from tests.mqtt.wire import Will, connect, frame, string

WHOLE = string("MQTT") + b"\x04\x02\x00\x00" + string("malformed")
WITH_WILL = connect("malformed", will=Will("t", b"gone"))[2:]


def a_connect(flags: int, *fields: str | bytes) -> bytes:
    """A CONNECT of the given flags with the given fields in its payload."""
    return frame(0x10, string("MQTT") + bytes((4, flags, 0, 0)) + b"".join(map(string, fields)))


@clause("MQTT-3.1.2-3", "MQTT-3.1.4-1", "MQTT-3.2.2-6")
async def test_the_reserved_connect_flag(service: Service) -> None:
    await service.refused(a_connect(0x03, service.name()))


@clause("MQTT-3.1.2-14", "MQTT-3.1.4-1")
async def test_will_qos_3(service: Service) -> None:
    await service.refused(a_connect(0x1E, service.name(), "t", "gone"))


@clause("MQTT-3.1.2-11", "MQTT-3.1.2-13", "MQTT-3.1.4-1")
@pytest.mark.parametrize("qos", [1, 2, 3])
async def test_a_will_qos_without_the_will_flag(service: Service, qos: int) -> None:
    await service.refused(a_connect(0x02 | qos << 3, service.name()))


@clause("MQTT-3.1.2-11", "MQTT-3.1.2-15", "MQTT-3.1.4-1")
async def test_will_retain_without_the_will_flag(service: Service) -> None:
    await service.refused(a_connect(0x22, service.name()))


@clause("MQTT-3.1.2-22", "MQTT-3.1.4-1")
async def test_a_password_without_a_user_name(service: Service) -> None:
    await service.refused(a_connect(0x42, service.name(), "password"))


@clause("MQTT-3.1.2-11", "MQTT-3.1.4-1")
async def test_a_will_in_the_payload_without_the_will_flag(service: Service) -> None:
    await service.refused(a_connect(0x02, service.name(), "t", "gone"))


@clause("MQTT-3.1.2-18", "MQTT-3.1.4-1")
async def test_a_user_name_in_the_payload_without_its_flag(service: Service) -> None:
    await service.refused(a_connect(0x02, service.name(), "user"))


@clause("MQTT-3.1.2-20", "MQTT-3.1.4-1")
async def test_a_password_in_the_payload_without_its_flag(service: Service) -> None:
    await service.refused(a_connect(0x82, service.name(), "user", "password"))


@clause("MQTT-3.1.2-9", "MQTT-3.1.4-1")
async def test_a_will_flag_without_a_will(service: Service) -> None:
    await service.refused(a_connect(0x06, service.name()))


@clause("MQTT-3.1.2-9", "MQTT-3.1.4-1")
async def test_a_will_topic_without_a_will_message(service: Service) -> None:
    await service.refused(a_connect(0x06, service.name(), "t"))


@clause("MQTT-3.1.2-19", "MQTT-3.1.4-1")
async def test_a_user_name_flag_without_a_user_name(service: Service) -> None:
    await service.refused(a_connect(0x82, service.name()))


@clause("MQTT-3.1.2-21", "MQTT-3.1.4-1")
async def test_a_password_flag_without_a_password(service: Service) -> None:
    await service.refused(a_connect(0xC2, service.name(), "user"))


@clause("MQTT-3.1.3-3", "MQTT-3.1.4-1")
async def test_no_client_identifier(service: Service) -> None:
    await service.refused(a_connect(0x02))


@clause("MQTT-3.1.4-1", "MQTT-3.2.2-6")
@pytest.mark.parametrize("length", range(len(WHOLE)))
async def test_a_connect_that_ends_early(service: Service, length: int) -> None:
    await service.refused(frame(0x10, WHOLE[:length]))


@clause("MQTT-3.1.4-1", "MQTT-3.1.3-1")
@pytest.mark.parametrize("length", range(len(WHOLE) - 9, len(WITH_WILL)))
async def test_a_connect_with_a_will_that_ends_early(service: Service, length: int) -> None:
    await service.refused(frame(0x10, WITH_WILL[:length]))


@clause("MQTT-3.1.4-1")
async def test_bytes_behind_the_payload(service: Service) -> None:
    await service.refused(connect(service.name(), more=b"\x00"))


@clause("MQTT-4.7.1-1", "MQTT-3.1.4-1")
@pytest.mark.parametrize("topic", ["a/#", "a/+/b", "+", "#"])
async def test_a_will_topic_with_a_wildcard(service: Service, topic: str) -> None:
    await service.refused(connect(service.name(), will=Will(topic)))


@clause("MQTT-4.7.3-1", "MQTT-3.1.4-1")
async def test_an_empty_will_topic(service: Service) -> None:
    await service.refused(connect(service.name(), will=Will("")))


@clause("MQTT-2.2.2-2")
@pytest.mark.parametrize("flags", range(1, 16))
async def test_reserved_flags_in_the_fixed_header(service: Service, flags: int) -> None:
    await service.refused(frame(0x10 | flags, WHOLE))
