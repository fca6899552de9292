"""Logging on standard error, one form for all: our events, and what the users' code and libraries say to `logging`.

JSON where asked for, readable lines on a terminal. A line has the ids of what it is about (`bound`): of the request in
a gateway, of the run in a worker, also when a graph's own code speaks.
"""

import logging
import sys
from contextlib import AbstractContextManager
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Logger = structlog.stdlib.BoundLogger

# Libraries that write headers, bodies or whole prompts into their log below WARNING: whoever wants that sets the level
# of such a logger in their own code.
_TALKATIVE = ("aiohttp", "anthropic", "asyncio", "botocore", "google_genai", "hpack", "httpcore", "httpx", "openai",
              "urllib3")  # fmt: skip
# What a person at a terminal does not need on every line; a machine that collects lines of many processes does.
_FOR_MACHINES = ("worker", "queue", "assistant_id", "request_id", "trace_id")


def configure(level: str = "INFO", json: bool = False, **process: str) -> None:
    """Set up structlog and `logging` once per process. `level` is a name as in `logging`.

    `process` stands on every line.
    """
    threshold = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _adding(process),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    rendering = _rendering(json)
    structlog.configure(
        processors=[*common, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*common, structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    # A graph's `logging.basicConfig` finds a handler and changes nothing.
    logging.basicConfig(handlers=[handler], level=threshold, force=True)
    logging.captureWarnings(capture=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))


def get(component: str) -> Logger:
    """A logger that names the component of ours which speaks."""
    logger: Logger = structlog.get_logger(component=component)
    return logger


def bound(**about: Any) -> AbstractContextManager[None]:
    """While this is open, every line of this task, and of what it starts, has these fields; empty ones are left out."""
    return structlog.contextvars.bound_contextvars(**{name: value for name, value in about.items() if value != ""})


def _rendering(json: bool) -> list[Processor]:
    if json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    # Plain: others, where they are installed, show the values of variables, which may be anybody's secrets.
    is_terminal = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer(colors=is_terminal, exception_formatter=structlog.dev.plain_traceback)
    return [_for_people, renderer] if is_terminal else [renderer]


def _adding(process: dict[str, str]) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**process, **event}

    return add


def _for_people(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for name in _FOR_MACHINES:
        event.pop(name, None)
    return event
