"""Faults between containers, each with an end: `-f docker-compose.yml -f deploy/compose/faults.yml`."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from core.clock import system_clock
from tests.containers.conftest import IMAGES, OPEN_FILES, SETTINGS, Figures
from tests.containers.numbered import Numbered
from tests.containers.people import People, people_of
from tests.containers.results import device_key, differences, wait_until_done
from tests.containers.senders import LEAKS, run_senders
from tests.containers.stack import Stack, project, until
from tests.containers.toxiproxy_image import toxiproxy_image

pytestmark = [pytest.mark.containers, pytest.mark.timeout(2400), *LEAKS]
TRAFFIC = Numbered(prefix="faults", day="2019-04-09")
MESSAGES = 3000
RATE = 100.0


@pytest.fixture(scope="module")
def with_keeper(
    base_images: dict[str, str], figures: Figures, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    settings = {**base_images, **IMAGES, **SETTINGS, "OPEN_FILES": str(OPEN_FILES)}
    secrets = tmp_path_factory.mktemp("secrets")
    own = {"SECRETS_FOLDER": str(secrets), "TOXIPROXY_IMAGE": toxiproxy_image()}
    with project({**settings, **own}, ["deploy/compose/faults.yml"]) as made:
        try:
            figures.say(f"images: {made.build():.0f} s")
            made.up()
            figures.say(f"up from nothing with a keeper before the stores: {made.up_seconds:.1f} s")
            yield made
        except BaseException:
            made.keep_logs()
            raise


@pytest.fixture(scope="module")
def people(with_keeper: Stack) -> People:
    return people_of(with_keeper.secrets)


@pytest.fixture
def api(with_keeper: Stack, people: People) -> Iterator[httpx.Client]:
    key = {"Authorization": f"Bearer {people.api_key}"}
    with httpx.Client(base_url=with_keeper.url, headers=key, timeout=30) as client:
        yield client


def make(api: httpx.Client, *faults: dict[str, Any]) -> None:
    answer = api.put("/v1/faults", json={"faults": faults})
    assert answer.status_code == 200, answer.text


def none_is_on(api: httpx.Client) -> bool:
    answer = api.get("/v1/faults")
    return answer.status_code == 200 and answer.json()["faults"] == []


def has(acknowledged: Callable[[], int], enough: int) -> bool:
    return acknowledged() >= enough


def test_nothing_is_lost_while_decoders_have_no_redis_and_brokers_a_slow_one(
    with_keeper: Stack, people: People, api: httpx.Client, figures: Figures
) -> None:
    def disturb(acknowledged: Callable[[], int]) -> None:
        until(partial(has, acknowledged, MESSAGES // 4), "a quarter is acknowledged", 300, told=acknowledged)
        make(
            api,
            {"between": "decoder>redis", "kind": "cut", "seconds": 10},
            {"between": "decoder>couchdb", "kind": "status", "status": 503, "seconds": 15},
            {"between": "broker>redis", "kind": "delay", "milliseconds": 200, "seconds": 15},
        )
        until(lambda: none_is_on(api), "the faults have ended by themselves", 300)

    doors = [people.doors(with_keeper)["mqtt"]]
    acknowledged = run_senders(doors, people.gateway, "faults", TRAFFIC.messages(MESSAGES), rate=RATE, beside=disturb)
    assert acknowledged == MESSAGES
    assert "decoder>redis" in with_keeper.logs("keeper"), "it has made them"
    until(lambda: not with_keeper.unwell(), "all are well again", 300, told=with_keeper.unwell)
    wait_until_done(with_keeper, limit=300)
    truth = TRAFFIC.truth(range(MESSAGES), device_key(with_keeper), user=people.gateway.name, now=system_clock())
    assert differences(with_keeper, people, truth, TRAFFIC.day) == []
    figures.say(f"{acknowledged} acknowledged, with faults between containers meanwhile: all as the oracle has it")


def test_an_api_that_is_cut_off_cannot_end_it_and_the_controller_can(with_keeper: Stack, api: httpx.Client) -> None:
    make(api, {"between": "api>redis", "kind": "cut", "seconds": 300})
    # Not by asking for its end: before it is made, that would be granted.
    until(lambda: api.get("/v1/faults").status_code == 503, "the API has no Redis", 300)
    assert api.delete("/v1/faults").status_code == 503

    said = with_keeper.one("controller").run("python", "-m", "controller", "end-faults")

    assert "faults that were on, and end now: 1" in said
    until(lambda: none_is_on(api), "the API has Redis again, long before the fault's time was over", 120)


def test_when_the_keeper_is_killed_nothing_goes_through_and_a_new_one_begins_without_faults(
    with_keeper: Stack, api: httpx.Client
) -> None:
    keeper = with_keeper.one("keeper")
    with_keeper.kill(keeper)
    with_keeper.wait_until_back(keeper)
    until(lambda: none_is_on(api), "the API has Redis again", 300)
    until(lambda: not with_keeper.unwell(), "all are well again", 300, told=with_keeper.unwell)
