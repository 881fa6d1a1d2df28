"""Runs the shell scripts of a JSON object, `{name: script}`, as `make run` runs the services.

The second argument is how many seconds each may take to end. With a third, a path, the script `held` begins once that
file is there. All else runs without `extra`.
"""

import json
import os
import sys
from functools import partial
from pathlib import Path

from deploy.laptop.processes import Description
from deploy.laptop.runner import Runner

HELD = "held"


def release(runner: Runner, file: Path) -> None:
    while not file.exists() and not runner.stopping.wait(0.05):
        pass
    runner.release(HELD)


if __name__ == "__main__":
    scripts: dict[str, str] = json.loads(sys.argv[1])
    processes = [
        Description(name, ["sh", "-c", script], dict(os.environ), needed=name != "extra")
        for name, script in scripts.items()
    ]
    these = Runner(processes, last={"redis", "keys"}, kill_wait=float(sys.argv[2]))
    if HELD in scripts:
        these.hold(HELD)
        these.in_background(partial(release, these, Path(sys.argv[3])))
    sys.exit(these.run(opening=["here we go"]))
