"""One log format for our own records and those of libraries, on standard output."""

import logging
import sys

import stamina
import structlog

from core.settings import CommonSettings


def configure_logs(settings: CommonSettings) -> None:
    """Send everything that is logged to standard output, as LOG_FORMAT says, from LOG_LEVEL on."""
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
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if settings.log_format == "json"
        else [structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), pad_event_to=0, pad_level=False)]
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
