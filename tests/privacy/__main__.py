"""What attacks recover of what is published.

python -m tests.privacy                               under open and protected, some minutes on one core
python -m tests.privacy --profile protected --arrivals 200

Decoder and API run in this process, on a Redis of their own and by a clock that is moved by hand.
"""

import asyncio
from typing import Annotated

import typer

from disclosure.policy import Privacy
from tests.privacy.attacks.suite import all_outcomes
from tests.redis_servers.executables import redis_executable
from tests.redis_servers.single import single_redis


def main(
    *,
    arrivals: Annotated[
        int, typer.Option(min=10, max=100_000, help="Trials with an arrival for each attack, and as many without.")
    ] = 1000,
    profile: Annotated[
        list[Privacy] | None, typer.Option(help="Under which profile; by default open and protected.")
    ] = None,
) -> None:
    """Tell of each attack how many arrivals it recovers; fails where one tells too much under what is not open."""
    leaks = 0
    with single_redis(redis_executable()) as url:
        for each in profile or (Privacy.OPEN, Privacy.PROTECTED):
            typer.echo(f"PRIVACY={each}")
            found = asyncio.run(all_outcomes(url, each, arrivals, lambda outcome: typer.echo(f"  {outcome}")))
            if each is not Privacy.OPEN:
                leaks += sum(not outcome.is_no_better_than_guessing for outcome in found)
    raise typer.Exit(code=1 if leaks else 0)


if __name__ == "__main__":
    typer.run(main)
