"""Runs the shell scripts of a JSON object, `{name: script}`, as `make run` runs the services."""

import json
import os
import sys

from honcho import manager

from deploy.laptop.processes import Description
from deploy.laptop.runner import Runner

if __name__ == "__main__":
    # The patience of the tests.
    manager.KILL_WAIT = 1
    scripts: dict[str, str] = json.loads(sys.argv[1])
    processes = [Description(name, ["sh", "-c", script], dict(os.environ)) for name, script in scripts.items()]
    sys.exit(Runner(processes, last="redis").run(opening=["here we go"]))
