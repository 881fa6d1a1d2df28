"""`python -m broker ...`: what somebody types; a node itself is started without any of it."""

import typer

from broker import serving
from broker.auth.users_command import users_app

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="`python -m broker`: one node of the broker cluster; `python -m broker users`: who may log in.",
    invoke_without_command=True,
)
app.add_typer(users_app, name="users")


@app.callback(help=serving.main.__doc__)
def main(context: typer.Context) -> None:
    """Serve, where nothing else is asked for."""
    if context.invoked_subcommand is None:
        serving.main()
