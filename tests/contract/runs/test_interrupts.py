"""interrupt() in a node, static breakpoints, and resuming."""

from tests.contract.runs.calls import get_state, get_thread, run_id_of, run_status, stream_run, wait_run


def only(mapping):
    ((_, (value,)),) = mapping.items()
    return value


async def test_an_interrupted_run_counts_as_success(http, thread):
    response = await wait_run(http, thread, "ask", {"topic": "x"})
    assert await run_status(http, thread, run_id_of(response)) == "success"


async def test_the_thread_is_interrupted_and_lists_the_interrupt_by_task(http, thread):
    await wait_run(http, thread, "ask", {"topic": "x"})
    paused = await get_thread(http, thread)
    state = await get_state(http, thread)
    (task,) = state["tasks"]
    assert paused["status"] == "interrupted"
    assert list(paused["interrupts"]) == [task["id"]]
    assert only(paused["interrupts"]) == task["interrupts"][0]
    assert only(paused["interrupts"])["value"] == {"question": "what about x?"}
    assert state["next"] == ["ask"]


async def test_values_stream_ends_with_the_interrupt(http, thread):
    stream = await stream_run(http, thread, "ask", {"topic": "x"})
    last = stream.data("values")[-1]
    assert last["log"] == ["prepare"]
    assert last["__interrupt__"][0]["value"] == {"question": "what about x?"}


async def test_updates_stream_carries_the_interrupt(http, thread):
    stream = await stream_run(http, thread, "ask", {"topic": "x"}, stream_mode="updates")
    assert stream.data("updates")[0] == {"prepare": {"log": ["prepare"]}}
    assert list(stream.data("updates")[1]) == ["__interrupt__"]


async def test_resume_by_interrupt_id(http, thread):
    paused = (await wait_run(http, thread, "ask", {})).json()
    ident = paused["__interrupt__"][0]["id"]
    body = (await wait_run(http, thread, "ask", command={"resume": {ident: "by id"}})).json()
    assert body["answer"] == "by id"


async def test_resume_streams_only_the_rest(http, thread):
    await wait_run(http, thread, "ask", {})
    stream = await stream_run(http, thread, "ask", command={"resume": "r"}, stream_mode=["updates"])
    assert [next(iter(u)) for u in stream.data("updates")] == ["ask", "finish"]


async def test_resume_with_a_state_update(http, thread):
    await wait_run(http, thread, "ask", {"topic": "old"})
    command = {"resume": "r", "update": {"topic": "new"}}
    body = (await wait_run(http, thread, "ask", command=command)).json()
    assert (body["topic"], body["answer"]) == ("new", "r")


async def test_command_wins_over_input(http, thread):
    await wait_run(http, thread, "ask", {"topic": "old"})
    body = (await wait_run(http, thread, "ask", {"topic": "new"}, command={"resume": "r"})).json()
    assert (body["topic"], body["answer"]) == ("old", "r")


async def test_new_input_abandons_the_interrupt_and_starts_over(http, thread):
    first = (await wait_run(http, thread, "ask", {"topic": "1"})).json()
    second = (await wait_run(http, thread, "ask", {"topic": "2"})).json()
    assert second["log"] == ["prepare", "prepare"]
    assert second["__interrupt__"][0]["value"] == {"question": "what about 2?"}
    assert second["__interrupt__"][0]["id"] != first["__interrupt__"][0]["id"]


async def test_parallel_interrupts_can_be_resumed_together(http, thread):
    paused = (await wait_run(http, thread, "ask_two", {})).json()
    answers = {i["id"]: i["value"]["who"].upper() for i in paused["__interrupt__"]}
    body = (await wait_run(http, thread, "ask_two", command={"resume": answers})).json()
    assert sorted(body["log"]) == ["left:LEFT", "right:RIGHT"]


async def test_parallel_interrupts_can_be_resumed_one_by_one(http, thread):
    paused = (await wait_run(http, thread, "ask_two", {})).json()
    first, second = paused["__interrupt__"]
    body = (await wait_run(http, thread, "ask_two", command={"resume": {first["id"]: "1"}})).json()
    assert [i["id"] for i in body["__interrupt__"]] == [second["id"]]
    assert (await get_thread(http, thread))["status"] == "interrupted"
    body = (await wait_run(http, thread, "ask_two", command={"resume": {second["id"]: "2"}})).json()
    assert len(body["log"]) == 2


async def test_a_bare_resume_of_parallel_interrupts_is_an_error(http, thread):
    await wait_run(http, thread, "ask_two", {})
    body = (await wait_run(http, thread, "ask_two", command={"resume": "both"})).json()
    assert body["__error__"]["error"] == "RuntimeError"


async def test_parallel_interrupts_are_streamed_one_by_one(http, thread):
    stream = await stream_run(http, thread, "ask_two", {})
    sizes = [len(v["__interrupt__"]) for v in stream.data("values") if "__interrupt__" in v]
    assert sizes == [1, 1]


async def test_interrupt_in_a_subgraph_resumes_there(http, thread):
    paused = (await wait_run(http, thread, "nested", {"pause": True})).json()
    assert paused["__interrupt__"][0]["value"] == "child asks"
    body = (await wait_run(http, thread, "nested", command={"resume": "R"})).json()
    assert [m["content"] for m in body["messages"]] == ["told R", "echo: told R"]
    assert body["log"] == ["outer", "last"]


async def test_interrupt_after_stops_behind_the_node(http, thread):
    body = (await wait_run(http, thread, "linear", {"log": []}, interrupt_after=["b"])).json()
    assert body == {"log": ["a", "b"]}
    assert (await get_state(http, thread))["next"] == ["c"]


async def test_null_input_continues_past_a_breakpoint(http, thread):
    await wait_run(http, thread, "linear", {"log": []}, interrupt_before=["b"])
    body = (await wait_run(http, thread, "linear", None)).json()
    assert body == {"log": ["a", "b", "c"]}


async def test_star_stops_at_every_node(http, thread):
    body = (await wait_run(http, thread, "linear", {"log": []}, interrupt_before="*")).json()
    assert body == {"log": []}
    for expected in (["a"], ["a", "b"]):
        body = (await wait_run(http, thread, "linear", None, interrupt_after="*")).json()
        assert body["log"] == expected


async def test_breakpoint_on_an_unknown_node_is_ignored(http, thread):
    body = (await wait_run(http, thread, "linear", {"log": []}, interrupt_before=["zzz"])).json()
    assert body == {"log": ["a", "b", "c"]}


async def test_breakpoint_shows_as_an_empty_interrupt_in_updates(http, thread):
    stream = await stream_run(
        http, thread, "linear", {"log": []}, interrupt_before=["b"], stream_mode=["values", "updates"]
    )
    assert stream.data("updates")[-1] == {"__interrupt__": []}
    assert all("__interrupt__" not in v for v in stream.data("values"))
