"""`python -m apps.update_schuman.v2`: version 2, until Ctrl-C."""

from apps.kit.running import run
from apps.kit.updates import Version
from apps.update_schuman.v2.sentence import Sentences

if __name__ == "__main__":
    run(Version(app="update-schuman", version="2", zone="schuman", text=Sentences().sentence))
