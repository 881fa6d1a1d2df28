"""Messages that wait on a stopped system: no file but those of keys says anything of them, and none is lost by that."""

import random
import shutil
from pathlib import Path

import pytest

from core.clock import system_clock
from tests.e2e.system import start, wait_for
from tests.privacy.searching import forms, found_in
from tests.privacy.test_nothing_left import ON_CAMPUS, OUTSIDE, feature, publish

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
WAITING = 1000
DEVICE = "van-of-a-certain-person"


def test_of_a_thousand_messages_that_wait_no_file_shows_one_and_with_its_keys_all_are_counted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    chance = random.Random(20)  # noqa: S311 - the same places every time
    now = system_clock()
    places = [
        (base[0] + chance.uniform(-5e-4, 5e-4), base[1] + chance.uniform(-2e-4, 2e-4))
        for base in [ON_CAMPUS] * (WAITING - 100) + [OUTSIDE] * 100
    ]
    payloads = [feature(DEVICE, place, now - 1000 * number) for number, place in enumerate(places)]
    some = [number for place in (places[0], places[500], places[-1]) for number in place]
    wanted = forms([DEVICE], some)

    def left_waiting(**settings: str) -> set[tuple[str, str]]:
        # Nobody decodes.
        system = start(data, STAGES="archive,rollup", **settings)
        publish(system, payloads)
        assert system.stop() == 0
        return {found for found in found_in(data, wanted) if not found[0].startswith("keys/")}

    # The search can find: what is not sealed is there.
    assert [what for path, what in left_waiting() if path.startswith("redis/") and f"{DEVICE}, in base64" in what]
    shutil.rmtree(data)

    assert left_waiting(RAW_ENCRYPTION="true") == set()

    # A copy of all but the keys, as a backup or a stolen disk, opens nothing; with them nothing is lost.
    system = start(data, RAW_ENCRYPTION="true")
    wait_for(lambda: system.total("finished") == WAITING, "all are finished", 120)
    assert system.total("outside") == 100
    assert [system.total(f"dead:{reason}") for reason in ("malformed_entry", "poison")] == [0, 0]
    assert system.stop() == 0
