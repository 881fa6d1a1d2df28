"""Runs the shell scripts of a JSON object, `{name: script}`, as `make run` runs the services."""

import json
import os
import sys

from deploy.laptop.processes import Description
from deploy.laptop.runner import Runner

if __name__ == "__main__":
    scripts: dict[str, str] = json.loads(sys.argv[1])
    processes = [Description(name, ["sh", "-c", script], dict(os.environ)) for name, script in scripts.items()]
    # The patience of the tests.
    sys.exit(Runner(processes, last="redis", kill_wait=1).run(opening=["here we go"]))
