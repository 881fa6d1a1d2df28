from redis.crc import key_slot

from state.slots import partition_of, tag

SLOTS = 16_384


def test_one_partition_has_the_tag_that_it_always_had() -> None:
    assert tag(0, 1) == "{0}"


def test_partitions_lie_in_parts_of_the_slots_that_are_equal() -> None:
    for partitions in (1, 2, 3, 7, 16, 64):
        slots = [key_slot(f"raw:{tag(partition, partitions)}".encode()) for partition in range(partitions)]
        assert [slot * partitions // 16384 for slot in slots] == list(range(partitions))


def test_a_cluster_has_16384_slots() -> None:
    assert SLOTS == 16384


def test_a_device_has_the_same_partition_in_every_process() -> None:
    assert [partition_of(name, 16) for name in ("car-1", "car-7", "\ud800")] == [13, 8, 8]
