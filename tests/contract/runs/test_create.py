"""POST runs in the background: the returned record, and what happens to the thread."""

import pytest

from tests.contract.runs.calls import create_run, get_thread, new_id, start_slow, until_status, until_thread

RUN_FIELDS = {
    "run_id", "thread_id", "assistant_id", "created_at", "updated_at",
    "status", "metadata", "kwargs", "multitask_strategy",
}  # fmt: skip


async def test_create_returns_a_pending_run(http, thread):
    run = await create_run(http, thread, "linear", {"log": []})
    assert run.keys() >= RUN_FIELDS
    assert run["thread_id"] == thread
    assert run["status"] == "pending"
    assert run["multitask_strategy"] == "enqueue"


async def test_kwargs_echo_the_request_with_defaults(http, thread):
    run = await create_run(http, thread, "linear", {"log": ["x"]})
    kwargs = run["kwargs"]
    assert kwargs["input"] == {"log": ["x"]}
    assert kwargs["command"] is None
    assert kwargs["stream_mode"] == ["values"]
    assert kwargs["interrupt_before"] is None and kwargs["interrupt_after"] is None
    assert kwargs["webhook"] is None and kwargs["feedback_keys"] is None
    assert kwargs["temporary"] is False
    assert kwargs["subgraphs"] is False
    assert kwargs["resumable"] is False
    assert kwargs["durability"] == "async"


async def test_kwargs_configurable_carries_the_ids(http, thread, assistant_ids):
    run = await create_run(http, thread, "linear", {})
    configurable = run["kwargs"]["config"]["configurable"]
    assert configurable["run_id"] == run["run_id"]
    assert configurable["thread_id"] == thread
    assert configurable["graph_id"] == "linear"
    assert configurable["assistant_id"] == assistant_ids["linear"]


async def test_single_stream_mode_is_stored_as_a_list(http, thread):
    run = await create_run(http, thread, "linear", {}, stream_mode="updates")
    assert run["kwargs"]["stream_mode"] == ["updates"]


async def test_assistant_by_graph_name_and_by_id_are_the_same(http, thread, assistant_ids):
    by_name = await create_run(http, thread, "linear", {})
    by_id = await create_run(http, thread, assistant_ids["linear"], {})
    assert by_name["assistant_id"] == by_id["assistant_id"] == assistant_ids["linear"]


async def test_run_reaches_success_and_thread_returns_to_idle(http, thread):
    run = await create_run(http, thread, "linear", {"log": []})
    await until_status(http, thread, run["run_id"], "success")
    done = await until_thread(http, thread, "idle")
    assert done["values"] == {"log": ["a", "b", "c"]}
    assert done["error"] is None
    assert done["interrupts"] == {}


async def test_thread_values_are_not_refreshed_while_the_run_goes_on(http, thread):
    await start_slow(http, thread)
    assert (await get_thread(http, thread))["values"] is None


async def test_thread_metadata_names_graph_and_assistant(http, thread, assistant_ids):
    await create_run(http, thread, "linear", {})
    metadata = (await get_thread(http, thread))["metadata"]
    assert metadata["graph_id"] == "linear"
    assert metadata["assistant_id"] == assistant_ids["linear"]


async def test_run_metadata_merges_thread_and_request(http):
    thread = (await http.post("/threads", json={"metadata": {"of": "thread", "t": 1}})).json()
    run = await create_run(http, thread["thread_id"], "linear", {}, metadata={"of": "run", "r": 2})
    assert run["metadata"]["t"] == 1
    assert run["metadata"]["r"] == 2
    assert run["metadata"]["of"] == "run"
    assert run["metadata"]["graph_id"] == "linear"


async def test_run_metadata_does_not_become_thread_metadata(http, thread):
    await create_run(http, thread, "linear", {}, metadata={"only": "run"})
    assert "only" not in (await get_thread(http, thread))["metadata"]


async def test_missing_thread_is_rejected_by_default(http):
    response = await http.post(f"/threads/{new_id()}/runs", json={"assistant_id": "linear"})
    assert response.status_code == 404


async def test_if_not_exists_create_makes_the_thread(http):
    thread = new_id()
    run = await create_run(http, thread, "linear", {"log": []}, if_not_exists="create", metadata={"m": 1})
    assert run["thread_id"] == thread
    done = await until_thread(http, thread, "idle")
    assert done["values"] == {"log": ["a", "b", "c"]}
    assert done["metadata"]["m"] == 1  # only a thread made this way takes the run's metadata


async def test_state_accumulates_over_runs(http, thread):
    for _ in range(2):
        run = await create_run(http, thread, "linear", {"log": ["in"]})
        await until_status(http, thread, run["run_id"], "success")
    done = await until_thread(http, thread, "idle")
    assert done["values"]["log"] == ["in", "a", "b", "c"] * 2


async def test_negative_after_seconds_runs_at_once(http, thread):
    run = await create_run(http, thread, "linear", {}, after_seconds=-1)
    await until_status(http, thread, run["run_id"], "success")


@pytest.mark.parametrize("graph", ["chat", "fanout", "writer", "func"])
async def test_every_kind_of_graph_runs(http, thread, graph):
    inputs = {
        "chat": {"messages": [{"role": "user", "content": "hi"}]},
        "fanout": {"items": [1, 2, 3]},
        "writer": {"count": 1},
        "func": {"n": 2},
    }
    run = await create_run(http, thread, graph, inputs[graph])
    await until_status(http, thread, run["run_id"], "success")
