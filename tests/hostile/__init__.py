"""Attacks on the whole system, as `make run` starts it: nothing that one client sends or one store says stops it.

One file a kind, each named for the attack: `test_redis_says_not_now.py`, `test_full_disk.py`. `conftest.py` has what an
attack needs: `start_system` for a system with settings of its own, `system` for one that a whole file shares,
`small_disk` for a file system with little room, `own_redis` for a Redis that the attack may break. `running.py` has
what can be asked of a system, and devices that go on publishing.
"""
