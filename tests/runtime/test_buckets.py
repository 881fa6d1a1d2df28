from runtime.buckets import MAX_KEYS, Buckets


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_gives_a_burst_and_then_the_rate() -> None:
    seconds = Seconds()
    buckets = Buckets(rate=2, burst=3, seconds=seconds)

    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    seconds.now += 0.5
    assert [buckets.take("a") for _ in range(2)] == [0, 0.5]
    seconds.now += 3600
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_keys_do_not_share_a_bucket_and_only_so_many_are_remembered() -> None:
    buckets = Buckets(rate=1, burst=1, seconds=Seconds())
    for number in range(2 * MAX_KEYS):
        assert buckets.take(f"key {number}") == 0

    assert len(buckets._left) == MAX_KEYS
    assert buckets.take(f"key {2 * MAX_KEYS - 1}") > 0


def test_what_costs_more_than_one_takes_more_and_nothing_where_it_has_to_wait() -> None:
    seconds = Seconds()
    buckets = Buckets(rate=10, burst=10, seconds=seconds)
    assert buckets.take("a", 7) == 0
    assert buckets.take("a", 5) == 0.2
    assert buckets.take("a", 3) == 0
    seconds.now += 3600
    assert buckets.take("a", 1000) == 0, "a whole bucket is enough"
