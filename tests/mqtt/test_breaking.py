"""Each packet of the table that breaks the standard ends its connection, without an answer."""

import pytest

from tests.mqtt.breaking import BREAKING, Breaking
from tests.mqtt.clauses import clause, mosquitto_deviates
from tests.mqtt.client import Service
from tests.mqtt.wire import Connack


def _marks(breaking: Breaking) -> list[pytest.MarkDecorator]:
    marks = [clause(*(f"MQTT-{each}" for each in breaking.clauses))]
    return [*marks, mosquitto_deviates("ignores it")] if breaking.lenient else marks


FIRST = [each for each in BREAKING if each.first]
LATER = [each for each in BREAKING if not each.first]


@pytest.mark.parametrize("breaking", [pytest.param(each, id=each.id, marks=_marks(each)) for each in LATER])
async def test_it_ends_a_connection_that_was_accepted(service: Service, breaking: Breaking) -> None:
    await service.breaks(breaking.packet)


@pytest.mark.parametrize("breaking", [pytest.param(each, id=each.id, marks=_marks(each)) for each in FIRST])
async def test_it_ends_a_connection_that_begins_with_it(service: Service, breaking: Breaking) -> None:
    if not breaking.may_be_answered:
        await service.refused(breaking.packet)
        return
    connection = await service.dial()
    await connection.send(breaking.packet)
    # A server may say more than the standard asks for, but it may not accept.
    assert set(await connection.closed_whatever_came_before()) <= {Connack(session_present=False, code=1)}


def test_each_has_a_name_of_its_own() -> None:
    assert len({each.id for each in BREAKING}) == len(BREAKING) == len({(each.packet, each.first) for each in BREAKING})
