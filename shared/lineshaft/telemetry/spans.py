"""Spans of OpenTelemetry, and all names of attributes. Imported only where traces are wanted: see `tracing.py`.

Ids, names and outcomes; never a path, a query, an input or what an exception says, as in the log.
"""

import importlib.metadata
import json
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from opentelemetry import propagate, trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from . import tracing

# Semantic conventions; those of messaging are still in development.
_METHOD, _ROUTE, _STATUS = "http.request.method", "http.route", "http.response.status_code"
_ERROR = "error.type"
_SYSTEM, _OPERATION, _TYPE = "messaging.system", "messaging.operation.name", "messaging.operation.type"
_QUEUE, _MESSAGE, _COUNT = "messaging.destination.name", "messaging.message.id", "messaging.batch.message_count"
# Ours, by the names that `note` and `about` have.
_NAMES = {
    "status": _STATUS,
    "queue": _QUEUE,
    "count": _COUNT,
    "error": _ERROR,
    **{
        name: f"lineshaft.{name}"
        for name in (
            "run_id", "thread_id", "assistant_id", "cron_id", "graph", "attempt", "request_id", "outcome", "node",
            "step", "paused",
        )
    },
}  # fmt: skip
_FLUSH_SECONDS = 1.0  # what a stop can wait for a collector; three processes wait one after the other
_SERVER_ERROR = 500
# Of a run; cancelled, paused and handed back are not.
_FAILED = ("error", "timeout", "failed", "dead_letter")


class RecordedSpan(tracing.Span):
    """A span, current in the task that began it."""

    is_recorded = True

    def __init__(self, tracer: trace.Tracer, span: trace.Span, context: Context | None = None) -> None:
        self._tracer = tracer
        self._span = span
        self._context = trace.set_span_in_context(span, context)
        self._token = attach(self._context)
        carrier: dict[str, str] = {}
        propagate.inject(carrier, self._context)
        super().__init__(json.dumps(carrier) if "traceparent" in carrier else "")

    def note(self, **attributes: Any) -> None:
        """See `Span.note`."""
        for name, value in attributes.items():
            if value != "":
                self._span.set_attribute(_NAMES[name], value)
        failed = attributes.get("status", 0) >= _SERVER_ERROR or attributes.get("outcome") in _FAILED
        if failed or "error" in attributes:
            self._span.set_status(Status(StatusCode.ERROR))
        if "queue" in attributes:
            self._span.update_name(f"publish {attributes['queue']}")

    def child(self, name: str, **attributes: Any) -> "RecordedSpan":
        """See `Span.child`. It is current from now on in the task that calls this."""
        named = {_NAMES[key]: value for key, value in attributes.items()}
        return RecordedSpan(self._tracer, self._tracer.start_span(name, self._context, attributes=named))

    def end(self) -> None:
        """See `Span.end`."""
        self._span.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        # A client that has gone, and a task that was cancelled, are no failures.
        if kind is not None and issubclass(kind, Exception) and not issubclass(kind, ConnectionError):
            self.note(error=kind.__name__)
        detach(self._token)
        self._span.end()


class Spans:
    """Begins spans of one process."""

    def __init__(self, provider: trace.TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("lineshaft", importlib.metadata.version("lineshaft"))

    @classmethod
    def exporting(cls, service: str, environ: Mapping[str, str]) -> "Spans":
        """With the SDK's own variables (OTEL_...), over HTTP; or with the provider that somebody has set already."""
        present = trace.get_tracer_provider()
        if not isinstance(present, trace.ProxyTracerProvider):
            return cls(present)  # as `opentelemetry-instrument` does
        is_named = "OTEL_SERVICE_NAME" in environ or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        resource = Resource.create({} if is_named else {"service.name": service})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)  # `flush` is shorter
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(provider)  # what users' own instrumentation finds
        return cls(provider)

    def flush(self) -> None:
        """Export what there is, for a while."""
        if isinstance(self._provider, TracerProvider):
            # The exporter goes on trying, whatever limit it is given.
            flushing = threading.Thread(target=self._provider.force_flush, name="traces", daemon=True)
            flushing.start()
            flushing.join(_FLUSH_SECONDS)

    def request(self, method: str, route: str, carrier: str, ids: Mapping[str, str]) -> RecordedSpan:
        """SERVER."""
        attributes = {_METHOD: method, _ROUTE: route, **{_NAMES[name]: text for name, text in ids.items()}}
        context = _context(carrier)
        name = f"{method} {route}".rstrip()
        span = self._tracer.start_span(name, context, kind=SpanKind.SERVER, attributes=attributes)
        return RecordedSpan(self._tracer, span, context)

    def publish(self, run_id: str, about: Mapping[str, Any]) -> RecordedSpan:
        """PRODUCER. It becomes `publish <queue>` when the queue is known."""
        attributes = {_OPERATION: "publish", _TYPE: "send", **_message(run_id, about)}
        return RecordedSpan(
            self._tracer, self._tracer.start_span("publish", kind=SpanKind.PRODUCER, attributes=attributes)
        )

    def process(self, carrier: str, run_id: str, about: Mapping[str, Any], *, linked: bool) -> RecordedSpan:
        """CONSUMER."""
        published = _context(carrier)
        attributes = {_OPERATION: "process", _TYPE: "process", **_message(run_id, about)}
        origin = trace.get_current_span(published).get_span_context()
        span = self._tracer.start_span(
            f"process {about['queue']}",
            Context() if linked else published,
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=[Link(origin)] if linked and origin.is_valid else [],
        )
        return RecordedSpan(self._tracer, span, published)  # with the baggage, in either case


def _context(carrier: str) -> Context:
    # On an empty one: a task may be started from within another's span, as a worker's are.
    return propagate.extract(tracing.read_carrier(carrier), Context())


def _message(run_id: str, about: Mapping[str, Any]) -> dict[str, Any]:
    named = {_NAMES[name]: value for name, value in about.items() if value != ""}
    return {_SYSTEM: "arq", _MESSAGE: run_id, **named}
