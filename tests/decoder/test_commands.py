import json
import subprocess
import sys

import pytest

from core.errors import Reason
from core.messages import DeadLetter
from decoder.batch import Batch
from tests.conftest import NOON
from tests.decoder.conftest import Apply


def decoder(*arguments: str, answer: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "decoder", *arguments],
        env={"PATH": "", "COLUMNS": "200", **environment},
        input=answer,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def test_dead_letters_are_listed_for_people_and_for_tools(apply: Apply, redis_server: str) -> None:
    letters = [
        DeadLetter(Reason.NOT_JSON, "broken [bold]", "car-iotp", NOON, b"\x1b[31m\xff{"),
        DeadLetter(Reason.FUTURE_TIMESTAMP, "too early", "mobile-iotp", NOON, None),
    ]
    await apply(Batch(dead=letters))
    table = decoder("dead-letters", REDIS_URL=redis_server)
    assert table.returncode == 0, table.stderr
    for word in ("not_json", "broken [bold]", r"\x1b[31m\xff{", "future_timestamp", "(not kept)", "2 so far"):
        assert word in table.stdout
    assert "\x1b" not in table.stdout
    newest, oldest = (
        json.loads(line) for line in decoder("dead-letters", "--json", REDIS_URL=redis_server).stdout.splitlines()
    )
    assert (newest["reason"], newest["payload"]) == ("future_timestamp", None)
    assert (oldest["reason"], oldest["payload"]) == ("not_json", "\x1b[31m\\xff{")


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"STAGES": "observe,dream"}, "STAGES"),
        ({"STAGES": "archive,judge", "ARCHIVE": "off"}, "ARCHIVE: Value error, off, and STAGES has judge"),
        ({"STAGES": "judge", "ARCHIVE": "sampled"}, "ARCHIVE: Value error, sampled, and STAGES has judge"),
        ({"MARKS_KEEP": "91d"}, "MARKS_KEEP: Value error, marks are kept for 1h to 90d"),
        ({"JUDGE_DEVICES": "0"}, "JUDGE_DEVICES"),
        ({"CAMPUS_FILE": "/nowhere.geojson"}, "CAMPUS_FILE"),
        ({"KINDS_FILE": "/nowhere.json"}, "KINDS_FILE: /nowhere.json"),
        ({"TOPIC_KINDS": "owntracks/+/+=mobile,owntracks/a/b=car"}, "TOPIC_KINDS: 'owntracks/+/+' and"),
        ({"ECHO_REFUSALS": "perhaps"}, "ECHO_REFUSALS: "),
        (
            {"POSITION_MAX_AGE": "tram=7d"},
            "POSITION_MAX_AGE: 'tram=7d' is not role=duration: 'tram' is not",
        ),
        ({"DEVICE_KEY": "short"}, "DEVICE_KEY"),
        ({"DOCUMENT_STORE": "cloudant"}, "CLOUDANT_URL"),
        ({"TIMESERIES_STORE": "influxdb"}, "INFLUXDB_V2_URL"),
    ],
)
def test_a_setting_that_cannot_work_is_named_and_ends_the_start(
    environment: dict[str, str], named: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ended = decoder(**environment, DATA_DIR=str(tmp_path_factory.mktemp("data")))
    assert ended.returncode == 2
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr


def test_dead_letters_without_redis_say_where_to_look() -> None:
    ended = decoder("dead-letters", REDIS_URL="unix:///nowhere/redis.sock")
    assert ended.returncode == 1
    assert "REDIS_URL or DATA_DIR" in ended.stderr
