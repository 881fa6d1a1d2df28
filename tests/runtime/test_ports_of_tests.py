"""The ports that tests give their servers."""

from tests.ports import free_port, ports_of


def test_no_two_workers_of_a_run_draw_the_same_port() -> None:
    parts = [set(ports_of(f"gw{number}")) for number in range(8)]
    assert [len(part) for part in parts] == [1250] * 8
    assert len(set.union(*parts)) == 10_000
    assert (min(ports_of("")), max(ports_of(""))) == (10_000, 19_999)


def test_a_port_is_not_given_again_while_its_server_may_still_be_starting() -> None:
    given = [free_port() for _ in range(300)]
    assert len(set(given)) == 300
