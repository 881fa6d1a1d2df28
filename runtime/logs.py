"""One log format for our own records and those of libraries, on standard output."""

import io
import logging
import sys
import traceback
from typing import TextIO

import stamina
import structlog

from runtime.log_secrets import Secrets, without_secrets
from runtime.settings import CommonSettings

FRAMES_KEPT = 12
"""Of each exception's traceback, the innermost."""
TRACEBACK_START, TRACEBACK_END = 2000, 6000
"""Characters kept of a traceback that is longer: whatever failed, it takes a page of the log and not all of it."""


def plain_traceback(output: TextIO, exc_info: structlog.typing.ExcInfo) -> None:
    """Write a traceback as Python does, bounded, and never what local variables hold: they hold what clients send.

    Not structlog's choice, which is rich's, with locals, wherever rich is installed: seconds of work for one of them.
    """
    text = "".join(traceback.format_exception(*exc_info, limit=-FRAMES_KEPT)).rstrip("\n")
    if len(text) > TRACEBACK_START + TRACEBACK_END:
        left_out = len(text) - TRACEBACK_START - TRACEBACK_END
        text = f"{text[:TRACEBACK_START]}\n... {left_out} characters ...\n{text[-TRACEBACK_END:]}"
    output.write(f"\n{without_secrets(text)}")


def _traceback_text(exc_info: structlog.typing.ExcInfo) -> str:
    output = io.StringIO()
    plain_traceback(output, exc_info)
    return output.getvalue().lstrip("\n")


class Identity:
    """Says in each record which process speaks: `service` and `node`, unless the record has them."""

    def __init__(self, service: str, node: str) -> None:
        self._who = {name: text for name, text in (("service", service), ("node", node)) if text}

    def __call__(self, _: object, __: str, event_dict: structlog.typing.EventDict) -> structlog.typing.EventDict:
        """Add what is missing."""
        for name, text in self._who.items():
            event_dict.setdefault(name, text)
        return event_dict


def configure_logs(settings: CommonSettings, *, service: str = "", node: str = "") -> None:
    """Send everything that is logged to standard output, as LOG_FORMAT says, from LOG_LEVEL on.

    In JSON each line has `service` and `node`, those of libraries too; people who read a console know whose it is.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.StackInfoRenderer(),
    ]
    if settings.log_time or settings.log_format == "json":
        shared.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    final: list[structlog.typing.Processor] = (
        [
            structlog.processors.ExceptionRenderer(_traceback_text),
            Identity(service, node),
            Secrets(),
            structlog.processors.JSONRenderer(),
        ]
        if settings.log_format == "json"
        else [
            Secrets(),
            structlog.dev.ConsoleRenderer(
                colors=sys.stdout.isatty(), pad_event_to=0, pad_level=False, exception_formatter=plain_traceback
            ),
        ]
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        )
    )
    # Whoever retries says so once, in words of its own; a line for every attempt would drown the rest.
    stamina.instrumentation.set_on_retry_hooks([])
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
