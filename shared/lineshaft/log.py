"""Logging: structlog on standard error; JSON where asked for, readable lines on a terminal."""

import logging
import sys

import structlog

Logger = structlog.stdlib.BoundLogger


def configure(level: str = "INFO", json: bool = False) -> None:
    """Set up structlog once per process. `level` is a name as in `logging`."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if json:
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping().get(level.upper(), 20)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def get(component: str) -> Logger:
    """A logger that names the component of ours which speaks."""
    logger: Logger = structlog.get_logger(component=component)
    return logger
