"""Real Redis servers for tests: one, a cluster of six, a primary with replicas and sentinels; of several versions.

CAMPUS_TEST_REDIS=single|cluster|sentinel says what the fixtures `redis_server` and `redis_client` are, so that whole
folders of tests run on any of them. CAMPUS_TEST_REDIS_EXECUTABLE=6.2|7.0|8|valkey-8 (see `executables`), or a path,
says which server; unset, the one that a laptop run would use.
"""
