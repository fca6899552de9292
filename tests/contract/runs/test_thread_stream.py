"""GET /threads/{id}/stream: every run of a thread on one open connection."""

import asyncio

import pytest

from tests.contract.runs.calls import wait_run
from tests.contract.runs.sse import read_stream


async def watch(http, thread, query="", *, until, during, headers=None):
    """Read the thread stream while `during` runs."""
    path = f"/threads/{thread}/stream{query}"
    reading = asyncio.create_task(read_stream(http, "GET", path, headers=headers, until=until, timeout=15))
    await asyncio.sleep(0.3)
    await during()
    return await reading


def run_done(stream) -> int:
    return sum(d.get("status") == "run_done" for d in stream.data("metadata"))


async def test_errors_are_followed_by_run_done(http, thread):
    async def during():
        await wait_run(http, thread, "linear", {"fail_at": "a"})

    stream = await watch(http, thread, until=lambda s: run_done(s) == 1, during=during)
    assert stream.names()[-2:] == ["error", "metadata"]


async def test_lifecycle_mode_sends_only_start_and_end(http, thread):
    async def during():
        await wait_run(http, thread, "linear", {})

    stream = await watch(http, thread, "?stream_modes=lifecycle", until=lambda s: run_done(s) == 1, during=during)
    assert stream.names() == ["metadata", "metadata"]


async def test_modes_can_be_comma_separated(http, thread):
    async def during():
        await wait_run(http, thread, "linear", {"log": []})
        await http.post(f"/threads/{thread}/state", json={"values": {"note": "n"}})

    stream = await watch(
        http, thread, "?stream_modes=lifecycle,state_update",
        until=lambda s: len(s.events) == 3, during=during,
    )  # fmt: skip
    assert sorted(stream.names()) == ["metadata", "metadata", "state_update"]


@pytest.mark.parametrize("start", ["-", "0-0"])
async def test_replay_covers_resumable_runs_only(http, thread, start):
    await wait_run(http, thread, "linear", {"log": []}, stream_resumable=True)
    await wait_run(http, thread, "linear", {"log": []}, stream_mode="updates")
    stream = await read_stream(http, "GET", f"/threads/{thread}/stream", headers={"Last-Event-ID": start}, timeout=2)
    assert stream.names() == ["metadata", "values", "values", "values", "values", "metadata"]


async def test_malformed_thread_id_is_422(http):
    assert (await http.get("/threads/not-a-uuid/stream")).status_code == 422
