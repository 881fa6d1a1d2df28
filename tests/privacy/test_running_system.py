"""What somebody outside recovers of a running system, as it is started: twenty devices of their own, no key."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.system import System, start
from tests.privacy.attacks.outside import play

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
Start = Callable[..., System]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Start]:
    """Starts one, which stops at the end."""
    systems: list[System] = []

    def start_it(**settings: str) -> System:
        # Each position counts where it is; a slot is as short as it may be.
        system = start(tmp_path / "data", PRESENCE_MARGIN="0", PRESENCE_TTL="3600", SYS_INTERVAL="1", **settings)
        systems.append(system)
        return system

    yield start_it
    assert [system.stop() for system in systems] == [0] * len(systems)


def test_where_counts_are_told_as_they_are_an_outsider_recovers_arrivals(begin: Start) -> None:
    [found], figures = play(begin(PRIVACY_MIN_COUNT="5"), is_open=True)

    print(found)  # noqa: T201 - with -s, and where it fails
    assert (found.recovered, found.alarms) == (found.arrivals, 0)
    assert found.arrivals >= 40
    # How many messages came between two figures is how many sent something.
    assert figures


def test_where_counts_are_protected_an_outsider_recovers_next_to_none(begin: Start) -> None:
    [found], figures = play(begin(PRIVACY="protected", PRIVACY_SLOT="10s"), is_open=False)

    print(found)  # noqa: T201 - with -s, and where it fails
    assert found.is_no_better_than_guessing
    assert found.arrivals >= 40
    assert not figures
