"""Traces: from a request through the queue to a graph's nodes, and what later attempts and crons make of them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from opentelemetry import baggage, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from lineshaft.config.settings import Settings
from lineshaft.crons.cron import CronStore
from lineshaft.crons.due import DueCrons
from lineshaft.crons.request import CronCreate
from lineshaft.redis.client import Client
from lineshaft.telemetry import tracing
from lineshaft.telemetry.spans import Spans
from lineshaft_api.app import build
from tests.shared.until import until

from . import run_graphs
from .in_process import Hire, Office

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ASKED = {"traceparent": f"00-{TRACE}-{CALLER}-01", "baggage": "tenant=red"}


class Recorded:
    """The spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.spans = Spans(provider)

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        [span] = self.named(name)
        return span

    def text(self) -> str:
        return "".join(span.to_json() for span in self._exporter.get_finished_spans())


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    recorded = Recorded()
    tracing.record_with(recorded.spans)
    yield recorded
    tracing.record_with(None)


Api = TestClient[web.Request, web.Application]


def id_of(span: ReadableSpan) -> int:
    assert span.context
    return int(span.context.span_id)


def trace_of(span: ReadableSpan) -> str:
    assert span.context
    return f"{span.context.trace_id:032x}"


async def ended(recorded: Recorded, name: str, times: int = 1) -> list[ReadableSpan]:
    """A run's record ends before the span of its attempt does."""
    await until(lambda: len(recorded.named(name)) >= times, f"{name} has ended {times} times")
    return recorded.named(name)


async def ask(client: Client, settings: Settings, path: str, headers: dict[str, str], body: Any) -> Any:
    async with (
        TestClient(TestServer(build(client, settings))) as api,
        api.post(path, json=body, headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()
        return await answer.json()


@pytest.mark.usefixtures("worker")
async def test_a_run_is_one_trace_from_its_client_to_its_nodes(
    client: Client, settings: Settings, office: Office, recorded: Recorded
) -> None:
    thread = await office.thread()
    body = {"assistant_id": "linear", "input": {"log": ["planted"]}}
    await ask(client, settings, f"/threads/{thread}/runs/wait?q=planted", ASKED, body)
    [process] = await ended(recorded, "process runs")
    server = recorded.one("POST /threads/{thread_id}/runs/wait")
    publish = recorded.one("publish runs")
    nodes = [recorded.one(f"node {name}") for name in "abc"]
    spans = [server, publish, process, *nodes]
    assert {trace_of(span) for span in spans} == {TRACE}
    above = [f"{span.parent.span_id:016x}" for span in spans if span.parent]
    assert above == [CALLER, *(f"{id_of(span):016x}" for span in (server, publish, *[process] * 3))]
    kinds = [span.kind for span in spans]
    assert kinds == [SpanKind.SERVER, SpanKind.PRODUCER, SpanKind.CONSUMER, *[SpanKind.INTERNAL] * 3]
    [run] = await client.command("ZRANGE", client.keys.thread_runs(thread), 0, -1)
    expected = {
        "messaging.system": "arq", "messaging.destination.name": "runs", "messaging.message.id": run.decode(),
        "lineshaft.thread_id": thread, "lineshaft.graph": "linear", "lineshaft.attempt": 1,
        "lineshaft.outcome": "success",
    }  # fmt: skip
    assert expected.items() <= dict(process.attributes or {}).items()
    assert dict(server.attributes or {})["http.response.status_code"] == 200
    assert "planted" not in recorded.text()
    assert await office.ended(run.decode()) == "success"


@pytest.mark.usefixtures("worker")
async def test_a_node_finds_its_span_and_the_baggage_and_an_error_has_its_type_only(
    office: Office, thread: str, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    class Look(list[str]):
        def append(self, _: str) -> None:
            seen.append((trace.get_current_span().get_span_context().span_id, baggage.get_baggage("tenant")))

    monkeypatch.setattr(run_graphs, "ENTERED", Look())
    with tracing.request("POST", "/runs", ASKED):
        assert await office.run("failing", thread, {"log": []}) == "error"
    [process] = await ended(recorded, "process runs")
    first, failed = recorded.one("node a"), recorded.one("node boom")
    assert (id_of(first), "red") in seen
    assert [span.status.status_code for span in (process, first, failed)] == [
        StatusCode.ERROR, StatusCode.UNSET, StatusCode.ERROR,
    ]  # fmt: skip
    assert dict(failed.attributes or {})["error.type"] == "ValueError"
    assert not failed.events


@pytest.mark.usefixtures("worker")
async def test_nodes_of_graphs_within_graphs_stand_below_each_other_and_a_pause_is_no_error(
    office: Office, recorded: Recorded
) -> None:
    assert await office.run("nested", await office.thread(), {"log": []}) is not None
    assert await office.run("asking", await office.thread(), {"log": []}) is not None
    await ended(recorded, "process runs", 2)
    asking = recorded.one("node ask")
    assert asking.status.status_code == StatusCode.UNSET
    assert dict(asking.attributes or {})["lineshaft.paused"] is True
    inner = recorded.one("node inner")
    outer = recorded.one("node child")
    assert inner.parent
    assert (inner.parent.span_id, trace_of(inner)) == (id_of(outer), trace_of(outer))


async def test_an_attempt_after_a_crash_is_linked_to_where_the_run_was_published(
    office: Office, hire: Hire, thread: str, recorded: Recorded
) -> None:
    first = await hire()
    run = await office.start("held", thread, {"log": []})
    await office.entered("hold gate")
    await first.kill()
    await first.leave(crashed=True)
    run_graphs.GATES["gate"].set()
    await hire()
    assert await office.ended(run) == "success"
    *_, again = await ended(recorded, "process runs", 2)
    publish = recorded.one("publish runs")
    assert dict(again.attributes or {})["lineshaft.attempt"] == 2
    assert again.parent is None
    assert trace_of(again) != trace_of(publish)
    assert [link.context.span_id for link in again.links] == [id_of(publish)]
    # The graph of the first, which nobody has stopped here, goes on too.
    assert {trace_of(span) for span in recorded.named("node z")} == {trace_of(publish), trace_of(again)}


@pytest.mark.usefixtures("office", "worker")
async def test_a_cron_and_what_it_starts_are_linked(client: Client, recorded: Recorded) -> None:
    document = {"assistant_id": "linear", "schedule": "0 * * * *", "input": {"log": []}, "on_run_completed": "delete"}
    store = CronStore(client)
    cron = await store.create(None, msgspec.json.decode(msgspec.json.encode(document), type=CronCreate), document)
    await client.command("ZADD", client.keys.crons_due(), 1000, cron.cron_id)
    await DueCrons(client, "here").fire()
    [process] = await ended(recorded, "process runs")
    publish = recorded.one("publish")
    assert dict(publish.attributes or {})["lineshaft.cron_id"] == cron.cron_id
    assert [link.context.span_id for link in process.links] == [id_of(publish)]
    assert process.parent is None
    await store.delete(cron.cron_id)


@pytest.mark.usefixtures("worker")
async def test_runs_of_a_batch_come_from_one_span(
    client: Client, settings: Settings, office: Office, recorded: Recorded
) -> None:
    body = [{"assistant_id": "linear", "input": {"log": []}} for _ in range(2)]
    runs = await ask(client, settings, "/runs/batch", {}, body)
    for run in runs:
        await office.ended(run["run_id"])
    publish = recorded.one("publish runs")
    assert dict(publish.attributes or {})["messaging.batch.message_count"] == 2
    for process in await ended(recorded, "process runs", 2):
        assert process.parent
        assert process.parent.span_id == id_of(publish)


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        (ASKED, ASKED),
        ({**ASKED, "tracestate": "x" * 513}, ASKED),
        ({"traceparent": f"00-{'0' * 32}-{CALLER}-01"}, None),
        ({"traceparent": "secret"}, None),
        ({}, None),
    ],
)
async def test_without_opentelemetry_a_run_still_knows_its_trace(
    client: Client, settings: Settings, office: Office, headers: dict[str, str], kept: dict[str, str] | None
) -> None:
    thread = await office.thread()
    run = await ask(client, settings, f"/threads/{thread}/runs", headers, {"assistant_id": "linear"})
    stored = await office.field(run["run_id"], "trace")
    assert (json.loads(stored) if stored else None) == kept
    assert tracing.trace_id_of(stored or "") == (TRACE if kept else "")


@pytest.mark.usefixtures("worker")
async def test_a_trace_that_cannot_be_read_hinders_no_run(
    client: Client, office: Office, thread: str, recorded: Recorded
) -> None:
    run = await office.create(thread, assistant_id="linear", input={"log": []}, after_seconds=1)
    await client.command("HSET", client.keys.run(run), "trace", "from another time")
    assert await office.ended(run) == "success"
    await ended(recorded, "process runs")


# Not the child: langsmith, which langchain needs, loads it if it is there.
@pytest.mark.parametrize("module", ["lineshaft_api.app", "lineshaft_worker.parent"])
def test_what_is_not_wanted_is_not_imported(module: str) -> None:
    code = (
        "import importlib, sys\nimportlib.import_module(sys.argv[1])\n"
        "from lineshaft.config import settings\nfrom lineshaft.telemetry import tracing\n"
        "tracing.configure('s', settings.Settings(), {})\n"
        "print(*(name for name in sys.modules if name.startswith('opentelemetry')))"
    )
    done = subprocess.run([sys.executable, "-c", code, module], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("enabled", "environ", "wanted"),
    [
        (None, {}, False),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, True),
        (False, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, False),
        (True, {"OTEL_SDK_DISABLED": "true"}, False),
        (True, {}, True),
    ],
)
def test_traces_are_recorded_where_they_are_asked_for(
    enabled: bool | None, environ: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def exporting(service: str, _environ: Any) -> None:
        asked.append(service)

    monkeypatch.setattr(Spans, "exporting", exporting)
    tracing.configure("s", Settings(otel_enabled=enabled), environ)
    assert asked == ["s"] * wanted
