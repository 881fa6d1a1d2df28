"""`python -m tests.oracle.decoder_ahead MILLISECONDS`: `python -m decoder` by a clock that is so far ahead."""

import sys

from decoder.__main__ import app
from tests.oracle.clock import RunningClock

if __name__ == "__main__":
    with RunningClock(int(sys.argv.pop())).installed():
        app()
