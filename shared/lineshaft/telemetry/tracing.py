"""Traces, from a request through the queue to a graph's nodes, for whoever collects them with OpenTelemetry.

Off unless an OTLP endpoint is named: then nothing of OpenTelemetry is imported, and what is left is to pass on what the
caller says of its own trace. `spans.py` is the other half.
"""

import json
import os
import re
from collections.abc import Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from lineshaft.config.settings import Settings

from . import log

if TYPE_CHECKING:
    from .spans import Spans

logger = log.get("tracing")

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
# https://www.w3.org/TR/trace-context: what else a version may bring is not ours to pass on.
_PARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_BESIDE = {"tracestate": 512, "baggage": 8192}  # characters, as the standards have them; longer ones are left out

# What the request that is being answered said of its trace.
_asked: ContextVar[str] = ContextVar("asked", default="")
_spans: "Spans | None" = None  # of this process


class Span:
    """Something under way. This one is not recorded; it only has the context that it came with.

    `carrier` is that context as text, to be stored: JSON of the headers `traceparent`, `tracestate`, `baggage`; or ''.
    """

    is_recorded = False

    def __init__(self, carrier: str) -> None:
        self.carrier = carrier

    @property
    def trace_id(self) -> str:
        """For logs; '' if there is none."""
        return trace_id_of(self.carrier)

    def note(self, **attributes: Any) -> None:
        """Add what is known of it by now: `status` of an answer, `outcome` of a run, `queue`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        """It has ended."""

    def end(self) -> None:
        """It has ended, and this is no `with` block."""

    def child(self, name: str, **attributes: Any) -> "Span":  # noqa: ARG002 - what a recorded one takes
        """A part of it, which has begun."""
        return self


def configure(service: str, settings: Settings, environ: Mapping[str, str] = os.environ) -> None:
    """Once per process, after logging. `service` is what collectors show, unless OTEL_SERVICE_NAME says another."""
    global _spans  # noqa: PLW0603 - one provider of a process is OpenTelemetry's own way
    wanted = settings.otel_enabled
    if wanted is None:
        wanted = any(environ.get(name) for name in _ENDPOINTS)
    if not wanted or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    try:
        from .spans import Spans  # noqa: PLC0415 - an extra, which is loaded only where it is wanted
    except ImportError:
        logger.warning("traces are asked for, but OpenTelemetry is not installed: pip install 'lineshaft[otel]'")
        return
    _spans = Spans.exporting(service, environ)


def record_with(spans: "Spans | None") -> None:
    """For tests: record with these, or not at all."""
    global _spans  # noqa: PLW0603 - see `configure`
    _spans = spans


def flush() -> None:
    """Before the process ends: hand over what is not exported yet. Takes a second at most."""
    if _spans:
        _spans.flush()


def request(method: str, route: str, headers: Mapping[str, str], **ids: str) -> Span:
    """A request that is being answered. Runs that are published meanwhile belong to it."""
    carrier = _carrier_of(headers)
    _asked.set(carrier)
    return _spans.request(method, route, carrier, ids) if _spans else Span(carrier)


def publish(run_id: str, **about: Any) -> Span:
    """A run that is put into its queue; its `carrier` is to be stored with it. `about`: what its attributes say."""
    return _spans.publish(run_id, about) if _spans else Span(_asked.get())


def process(carrier: str, run_id: str, *, linked: bool, **about: Any) -> Span:
    """A run that is executed. `linked`: in a trace of its own, which points to the one that it was published in."""
    return _spans.process(carrier, run_id, about, linked=linked) if _spans else Span(carrier)


def trace_id_of(carrier: str) -> str:
    """The trace that a stored context belongs to; ''."""
    return read_carrier(carrier).get("traceparent", "")[3:35]


def read_carrier(carrier: str) -> dict[str, str]:
    """The headers of a stored context. None if it cannot be read: a run goes on without its trace."""
    try:
        return dict(json.loads(carrier)) if carrier else {}
    except ValueError:
        return {}


def _carrier_of(headers: Mapping[str, str]) -> str:
    parent = headers.get("traceparent")
    if parent is None or not _PARENT.fullmatch(parent):
        return ""
    beside = {name: headers.get(name, "") for name in _BESIDE}
    kept = {name: text for name, text in beside.items() if 0 < len(text) <= _BESIDE[name] and text.isprintable()}
    return json.dumps({"traceparent": parent, **kept})
