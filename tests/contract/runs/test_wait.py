"""POST runs/wait: one JSON body, sent when the run ends."""

import asyncio
import time

import httpx

from tests.contract.runs.calls import get_run, human, run_id_of, slow, thread_runs, until_thread, wait_run


async def test_wait_returns_the_final_values(http, thread):
    response = await wait_run(http, thread, "linear", {"log": ["x"]})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"log": ["x", "a", "b", "c"]}


async def test_wait_headers_point_to_the_run(http, thread):
    response = await wait_run(http, thread, "linear", {})
    run_id = run_id_of(response)
    assert response.headers["content-location"] == f"/threads/{thread}/runs/{run_id}"
    assert response.headers["location"] == f"/threads/{thread}/runs/{run_id}/join"
    assert (await get_run(http, thread, run_id))["status"] == "success"


async def test_wait_serializes_messages(http, thread):
    body = (await wait_run(http, thread, "chat", human("hello"))).json()
    first, second = body["messages"]
    assert (first["type"], first["content"]) == ("human", "hello")
    assert (second["type"], second["content"]) == ("ai", "echo: hello")
    assert first["id"] and second["id"]


async def test_wait_on_a_failing_run_is_200_with_an_error_key(http, thread):
    response = await wait_run(http, thread, "linear", {"fail_at": "b"})
    assert response.status_code == 200
    assert response.json() == {"__error__": {"error": "ValueError", "message": "boom at b"}}


async def test_wait_returns_every_parallel_interrupt(http, thread):
    body = (await wait_run(http, thread, "ask_two", {})).json()
    assert {i["value"]["who"] for i in body["__interrupt__"]} == {"left", "right"}


async def test_wait_headers_arrive_before_the_run_ends(http, thread):
    body = {"assistant_id": "slow", "input": slow(steps=4)}
    started = time.monotonic()
    async with http.stream("POST", f"/threads/{thread}/runs/wait", json=body) as response:
        assert time.monotonic() - started < 1
        (run,) = await thread_runs(http, thread)
        assert run["run_id"] == run_id_of(response)
        await response.aread()


async def test_wait_queues_behind_an_active_run(http, thread):
    first, second = await asyncio.gather(
        wait_run(http, thread, "slow", slow(steps=2, tag="A")),
        wait_run(http, thread, "slow", slow(steps=1, tag="B")),
    )
    logs = sorted((first.json()["log"], second.json()["log"]), key=len)
    assert logs[1][: len(logs[0])] == logs[0]
    assert len(logs[1]) == 5


async def test_wait_on_a_run_cancelled_elsewhere_returns_the_values_so_far(http, thread):
    waiting = asyncio.create_task(wait_run(http, thread, "slow", slow()))
    while not await thread_runs(http, thread):
        await asyncio.sleep(0.05)
    await asyncio.sleep(1.5)
    (run,) = await thread_runs(http, thread)
    assert (await http.post(f"/threads/{thread}/runs/{run['run_id']}/cancel")).status_code == 202
    body = (await waiting).json()
    assert "__error__" not in body
    assert body["steps"] == 20 and len(body.get("log", [])) < 20
    await until_thread(http, thread, "interrupted", "idle")


async def test_wait_sends_a_400_before_any_body(http, thread):
    response = await wait_run(http, thread, "ctx", {}, config={"configurable": {"a": 1}}, context={"user": "u"})
    assert isinstance(response, httpx.Response) and response.status_code == 400
    assert "context" in response.json()["detail"]
