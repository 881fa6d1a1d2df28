"""How a command ends: with an answer, or with one sentence on standard error; never with a traceback.

Exit codes: 0 done; 1 something is away, or says no; 2 the call or a setting cannot work; 130 Ctrl-C.
"""

import asyncio
import os
import sys
import traceback
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

import stamina
import typer

from core.clock import parse_rfc3339
from core.errors import BadSettingsError, UnavailableError
from core.kinds import Kind
from runtime.settings import KindsSettings, kinds_or_exit

Answer = TypeVar("Answer")


def run(app: typer.Typer, *, name: str, foreign_threads: bool = False) -> NoReturn:
    """Run the commands of a package, as `python -m {name}`, and end the process.

    With `foreign_threads`, those of a library that is not Python's may still be at work: Python ends without its own
    ending then, for whoever asks it for something meanwhile would abort the process.

    What no command expects is said in one sentence, too; Python's development mode (`python -X dev -m ...`) shows where
    it came from.
    """
    code: int | str | None
    # Whoever retries says so in words of its own.
    stamina.instrumentation.set_on_retry_hooks([])
    try:
        app(prog_name=f"python -m {name}")
        code = 0
    except SystemExit as ended:
        code = ended.code
    except Exception as error:  # noqa: BLE001 - this is the end: whoever sits there wants a sentence
        if sys.flags.dev_mode:
            traceback.print_exception(error)
        code = 2 if isinstance(_first(error), BadSettingsError) else 1
        sys.stderr.write(f"{sentence(error)}\n")
    code = _flushed(code)
    if foreign_threads:
        sys.stderr.write("" if isinstance(code, int | None) else f"{code}\n")
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))
    sys.exit(code)


def ask(work: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
    """The answer of `work`; what is away, or set wrongly, ends the command."""
    try:
        return asyncio.run(work())
    except BadSettingsError as error:
        fail(str(error), code=2)
    except UnavailableError as error:
        fail(sentence(error))


def time_range(start: str, end: str) -> tuple[int, int]:
    """The values of the options `--start` and `--end`, RFC 3339, in milliseconds since the epoch.

    Raises typer.BadParameter where one is no time, and where the range is empty.
    """
    start_ms, end_ms = _time("--start", start), _time("--end", end)
    if start_ms >= end_ms:
        raise typer.BadParameter("it must be after --start", param_hint="--end")
    return start_ms, end_ms


def _time(option: str, text: str) -> int:
    try:
        return parse_rfc3339(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def chosen_kind(option: str | None, settings: KindsSettings) -> Kind:
    """The kind that `--kind` names, the first of KINDS_FILE without it; one that is not there ends the command."""
    kinds = kinds_or_exit(settings)
    try:
        return kinds[kinds.ids[0] if option is None else kinds.parse(option)]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--kind") from error


def fail(message: str, *, code: int = 1) -> NoReturn:
    """End the command with a message on standard error."""
    typer.echo(message, err=True)
    raise typer.Exit(code)


def sentence(error: BaseException) -> str:
    """An error on one line."""
    first = _first(error)
    text = " ".join(str(first).split())
    if isinstance(first, BadSettingsError | UnavailableError | OSError) and text:
        return text
    return f"{type(first).__name__}: {text}" if text else type(first).__name__


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _flushed(code: int | str | None) -> int | str | None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has seen enough, as `head` does: Python's own flush at the end would tell of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code or 1
    return code
