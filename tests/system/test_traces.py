"""What a collector of OpenTelemetry gets from real processes."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from langgraph_sdk import get_sync_client

from tests.system.collector import Collected, collecting
from tests.system.fleet import Fleet, Gateway, Worker
from tests.system.journal import Journal
from tests.system.server import START_PATIENCE, wait_until


@contextmanager
def exporting(port: int, delay: int) -> Iterator[tuple[Gateway, Worker]]:
    """A gateway and a worker that export to this port, every `delay` ms."""
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_BSP_SCHEDULE_DELAY": str(delay)}
    with Fleet(env=env) as fleet:
        gateway, worker = fleet.gateway(), fleet.worker()
        wait_until(lambda: gateway.events("listening") and fleet.incarnations(), "both are up", START_PATIENCE)
        yield gateway, worker


def test_a_run_is_one_connected_trace_which_the_logs_name_and_a_stop_hands_over(journal: Journal) -> None:
    # An export a minute: what has come earlier was handed over at the end.
    with collecting() as collector, exporting(collector.port, 60_000) as (gateway, worker):
        with get_sync_client(url=gateway.url) as sdk:
            thread = sdk.threads.create()["thread_id"]
            sdk.runs.wait(thread, "mark", input=journal.input())
        wait_until(lambda: worker.events("run ended"), "the run has ended", START_PATIENCE)
        for part in (worker, gateway):
            assert part.stop() == 0
        [began] = worker.events("run began")
        spans = [span for span in collector.spans if span.trace == began["trace_id"]]
    path: list[Collected] = []
    for _ in spans:
        above = path[-1].id if path else ""
        path += [span for span in spans if span.parent == above]
    assert [(span.service, span.name) for span in path] == [
        ("lineshaft-gateway", "POST /threads/{thread_id}/runs/wait"),
        ("lineshaft-gateway", "publish runs"),
        ("lineshaft-worker", "process runs"),
        ("lineshaft-worker", "node step_0"),
    ]


@pytest.mark.slow
def test_a_collector_that_is_away_holds_up_nothing(journal: Journal) -> None:
    with collecting() as closed:
        port = closed.port
    with exporting(port, 50) as (gateway, worker):
        with get_sync_client(url=gateway.url) as sdk:
            thread = sdk.threads.create()["thread_id"]
            assert sdk.runs.wait(thread, "mark", input=journal.input())
        for part in (worker, gateway):
            assert part.stop() == 0
