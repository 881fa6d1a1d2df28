"""One at a time rewrites files: in a folder until its process ends, in a bucket until it is not renewed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lake.lock import LEASE_MS, SKEW_MS, LockedError, LockLostError, held
from lake.settings import LakeSettings
from lake.store import Lake, open_lake

AT = 1795444500000


def test_a_second_one_is_refused_and_may_come_once_the_first_is_done(opened: Callable[[], Lake]) -> None:
    with held(opened(), "keeper"), pytest.raises(LockedError, match="rewriting files in"), held(opened(), "command"):
        pass
    with held(opened(), "command") as hold:
        hold.renew()
    with held(opened(), "keeper"):
        pass


def test_who_fails_while_holding_it_lets_go(opened: Callable[[], Lake]) -> None:
    with pytest.raises(RuntimeError), held(opened(), "keeper"):
        raise RuntimeError
    with held(opened(), "command"):
        pass


def test_a_killed_process_does_not_hold_a_folder_any_more(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from lake.lock import held\n"
        "from lake.settings import LakeSettings\n"
        "from lake.store import open_lake\n"
        "with held(open_lake(LakeSettings(), Path(sys.argv[1])), 'killed'):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    lake = open_lake(LakeSettings(), tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(LockedError), held(lake, "keeper"):
            pass
        process.kill()
        process.wait()
    with held(lake, "keeper"):
        pass


@pytest.fixture
def in_bucket(bucket_settings: LakeSettings, tmp_path: Path) -> Lake:
    """A lake in a bucket."""
    return open_lake(bucket_settings, tmp_path, retry_seconds=1)


def test_of_a_bucket_a_lapsed_lock_is_taken_over_and_the_first_is_told(in_bucket: Lake) -> None:
    now = AT
    first = held(in_bucket, "first", clock=lambda: now)
    hold = first.__enter__()
    now = AT + LEASE_MS + SKEW_MS
    with pytest.raises(LockedError, match="first is rewriting files in the bucket campus-lake"):
        held(in_bucket, "second", clock=lambda: now).__enter__()
    now += 1
    with held(in_bucket, "second", clock=lambda: now):
        with pytest.raises(LockLostError, match="taken over"):
            hold.renew()
        # It must not let go of what is another's.
        first.__exit__(None, None, None)
        with pytest.raises(LockedError, match="second is rewriting"):
            held(in_bucket, "third", clock=lambda: now).__enter__()


def test_of_a_bucket_a_lock_lasts_for_as_long_as_it_is_renewed(in_bucket: Lake) -> None:
    now = AT
    with held(in_bucket, "first", clock=lambda: now) as hold:
        for _ in range(5):
            now += LEASE_MS // 2
            hold.renew()
        with pytest.raises(LockedError), held(in_bucket, "second", clock=lambda: now):
            pass


def test_of_a_bucket_a_lock_that_cannot_be_read_is_nobodys(in_bucket: Lake) -> None:
    in_bucket.put("_lock", b"text")
    with held(in_bucket, "first"):
        pass
