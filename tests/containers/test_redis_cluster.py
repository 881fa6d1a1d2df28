"""`docker compose -f docker-compose.yml -f deploy/compose/redis-cluster.yml up`: six in the place of one Redis."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.containers.conftest import IMAGES, OPEN_FILES, SETTINGS, Figures
from tests.containers.numbered import Numbered
from tests.containers.people import People, people_of
from tests.containers.senders import LEAKS, run_senders
from tests.containers.stack import Stack, project, until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(2400), *LEAKS]
TRAFFIC = Numbered(prefix="cluster", day="2019-03-08")
MESSAGES = 2000
RATE = 100.0


@pytest.fixture(scope="module")
def clustered(
    base_images: dict[str, str], figures: Figures, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    settings = {**base_images, **IMAGES, **SETTINGS, "OPEN_FILES": str(OPEN_FILES), "DURABILITY": "replicated"}
    secrets = tmp_path_factory.mktemp("secrets")
    with project({**settings, "SECRETS_FOLDER": str(secrets)}, ["deploy/compose/redis-cluster.yml"]) as made:
        try:
            figures.say(f"images: {made.build():.0f} s")
            made.up()
            figures.say(f"up from nothing with a Redis Cluster, all healthy: {made.up_seconds:.1f} s")
            yield made
        except BaseException:
            made.keep_logs()
            raise


@pytest.fixture(scope="module")
def people(clustered: Stack) -> People:
    return people_of(clustered.secrets)


def test_six_are_a_cluster_and_each_master_has_a_replica(clustered: Stack) -> None:
    assert "the cluster is well: 3 masters, 6 members" in clustered.logs("redis-cluster")
    assert clustered.unwell() == []


def test_what_was_acknowledged_is_kept_although_a_master_is_killed(
    clustered: Stack, people: People, figures: Figures
) -> None:
    master = clustered.one("redis")

    def disturb(acknowledged: Callable[[], int]) -> None:
        until(partial(_has, acknowledged, MESSAGES // 3), "a third is acknowledged", 300, told=acknowledged)
        clustered.kill(master)

    doors = [people.doors(clustered)["mqtt"]]
    acknowledged = run_senders(doors, people.gateway, "cluster", TRAFFIC.messages(MESSAGES), rate=RATE, beside=disturb)
    assert acknowledged == MESSAGES
    clustered.wait_until_back(master)
    until(lambda: not clustered.unwell(), "all are well again", 300, told=clustered.unwell)
    figures.say(f"{acknowledged} acknowledged while a master was killed, whose replica took over")


def test_it_starts_again_with_other_addresses(clustered: Stack) -> None:
    clustered.down()
    try:
        clustered.up()
    except BaseException:
        clustered.keep_logs()
        raise
    assert clustered.unwell() == []


def _has(acknowledged: Callable[[], int], enough: int) -> bool:
    return acknowledged() >= enough
