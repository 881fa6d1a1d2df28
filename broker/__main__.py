"""`python -m broker`: one node of the broker cluster; `python -m broker users`: who may log in."""

import gc
import sys
from typing import NoReturn


def main() -> None:
    """Become a node where nothing is asked for, else run a command.

    Nodes are started again when they die, on machines that are busy then: so a node loads nothing that is for commands
    alone, and nothing of what it loads is looked at for garbage, which together is a third of the start.
    """
    if sys.argv[1:]:
        _command()
    gc.disable()
    from broker import serving  # noqa: PLC0415 - see above

    gc.freeze()
    gc.enable()
    serving.main()


def _command() -> NoReturn:
    from broker.command import app  # noqa: PLC0415 - see above
    from runtime import command  # noqa: PLC0415 - see above

    command.run(app, name="broker")


if __name__ == "__main__":
    main()
