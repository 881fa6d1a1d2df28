"""`python -m apps`: make an application of your own, and run both of its versions on this machine."""

import os
from pathlib import Path
from typing import Annotated

import typer

from apps.local import run_all, versions_of
from apps.making import EXAMPLE, WrongNameError, make, package_of

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown", no_args_is_help=True
)


@app.callback()
def main() -> None:
    """Applications beside the system, in several versions at once: `docs/build-an-app.md` goes through it all."""


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="What it is called: `quiet-corner`.")],
    zone: Annotated[str, typer.Option(help="Id of the zone that it follows; GET /v1/zones lists them.")] = "schuman",
) -> None:
    """Make an application in two versions: code, tests, an image, a compose file, manifests of Kubernetes.

    For example: `python -m apps new quiet-corner --zone library`
    """
    try:
        made = make(Path(__file__).parent, name, zone)
    except WrongNameError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except FileExistsError:
        typer.echo(f"apps/{package_of(name)} is there already: remove it, or choose another name", err=True)
        raise typer.Exit(2) from None
    for path in made:
        typer.echo(path.relative_to(Path(__file__).parents[1]))
    typer.echo(f"Next: python -m apps run {name}")


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="Which application.")] = EXAMPLE,
    version: Annotated[list[str] | None, typer.Option(help="A version; once for each. By default all.")] = None,
) -> None:
    """Run its versions on this machine, beside `make run`, until Ctrl-C.

    DATA_DIR, MQTT_PORT and HTTP_PORT are those of `make run`. For example: `python -m apps run update-schuman`
    """
    there = versions_of(name)
    wrong = [each for each in version or () if each not in there]
    if not there or wrong:
        known = ", ".join(there) or "none"
        typer.echo(
            f"apps/{package_of(name)} has no version {', '.join(wrong) or 'at all'} (there are: {known})", err=True
        )
        raise typer.Exit(2)
    http_port = os.environ.get("HTTP_PORT", "8080")
    environment = {"API_URL": os.environ.get("API_URL", f"http://127.0.0.1:{http_port}")}
    try:
        code = run_all(
            name, version or there, data_dir=Path(os.environ.get("DATA_DIR", "data")), environment=environment
        )
    except RuntimeError as error:
        typer.echo(f"{name}: {error}", err=True)
        raise typer.Exit(1) from None
    raise typer.Exit(code)


if __name__ == "__main__":
    app()
