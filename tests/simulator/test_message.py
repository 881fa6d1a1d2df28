import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from core.clock import parse_rfc3339
from simulator.fix import Fix
from simulator.message import payload
from tests.simulator.fixes import fixes
from tests.simulator.recordings import MORNING

numbers = st.none() | st.floats(0, 360)


@given(fixes, numbers, numbers, numbers, st.text(min_size=1, max_size=128))
def test_a_payload_decodes_to_the_fix_it_was_made_of(
    fix: Fix, accuracy: float | None, speed: float | None, heading: float | None, device: str
) -> None:
    fix = Fix(fix.longitude, fix.latitude, fix.at_ms, fix.altitude, accuracy, speed, heading)

    feature = json.loads(base64.b64decode(payload(fix, device), validate=True).decode())

    longitude, latitude, *altitude = feature["geometry"]["coordinates"]
    properties = feature["properties"]
    assert (feature["type"], feature["geometry"]["type"]) == ("Feature", "Point")
    assert properties["device_id"] == device
    assert fix == Fix(
        longitude=longitude,
        latitude=latitude,
        at_ms=parse_rfc3339(properties["timestamp"]),
        altitude=altitude[0] if altitude else None,
        accuracy=properties.get("accuracy"),
        speed=properties.get("speed"),
        heading=properties.get("heading"),
    )


def test_what_is_not_known_is_not_sent() -> None:
    feature = json.loads(base64.b64decode(payload(Fix(-8.57, 52.67, MORNING), "bus-304")))

    assert feature["geometry"]["coordinates"] == [-8.57, 52.67]
    assert feature["properties"] == {"device_id": "bus-304", "timestamp": "2019-02-18T08:58:05Z"}
