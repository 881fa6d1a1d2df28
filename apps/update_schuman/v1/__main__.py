"""`python -m apps.update_schuman.v1`: version 1, until Ctrl-C."""

from apps.kit.running import run
from apps.kit.updates import Version
from apps.update_schuman.v1.sentence import sentence

if __name__ == "__main__":
    run(Version(app="update-schuman", version="1", zone="schuman", text=sentence))
