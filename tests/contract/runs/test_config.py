"""config, context and metadata as the graph sees them."""

from tests.contract.runs.calls import create_run, get_thread, wait_run


async def seen(http, thread, assistant="ctx", **fields):
    return (await wait_run(http, thread, assistant, {}, **fields)).json()


async def test_context_reaches_the_runtime(http, thread):
    body = await seen(http, thread, context={"user": "bob"})
    assert (body["user"], body["tone"]) == ("bob", "plain")


async def test_context_is_mirrored_into_configurable(http, thread):
    body = await seen(http, thread, context={"user": "bob"})
    assert body["seen_configurable"]["user"] == "bob"


async def test_configurable_is_mirrored_into_context(http, thread):
    body = await seen(http, thread, config={"configurable": {"user": "cfg", "k": "v"}})
    assert body["user"] == "cfg"
    assert body["seen_configurable"]["k"] == "v"


async def test_configurable_and_context_together_are_400(http, thread):
    response = await wait_run(http, thread, "ctx", {}, config={"configurable": {"k": 1}}, context={"user": "u"})
    assert response.status_code == 400


async def test_config_tags_and_recursion_limit(http, thread):
    body = await seen(http, thread, config={"tags": ["t1"], "recursion_limit": 7})
    assert body["seen_tags"] == ["t1"]
    assert body["seen_recursion_limit"] == 7


async def test_ids_reach_the_graph(http, thread, assistant_ids):
    run = await create_run(http, thread, "ctx", {})
    body = (await http.get(f"/threads/{thread}/runs/{run['run_id']}/join")).json()
    configurable = body["seen_configurable"]
    assert configurable["run_id"] == run["run_id"]
    assert configurable["thread_id"] == thread
    assert configurable["graph_id"] == "ctx"
    assert configurable["assistant_id"] == assistant_ids["ctx"]


async def test_request_id_header_reaches_the_graph(http):
    response = await http.post(
        "/runs/wait", json={"assistant_id": "ctx", "input": {}}, headers={"x-request-id": "req-1"}
    )
    assert response.json()["seen_configurable"]["langgraph_request_id"] == "req-1"


async def test_context_of_one_run_does_not_leak_into_the_next(http, thread):
    await seen(http, thread, context={"user": "bob"})
    assert (await seen(http, thread))["user"] == "anon"


async def test_configurable_of_one_run_does_not_leak_into_the_next(http, thread):
    await seen(http, thread, config={"configurable": {"user": "bob"}, "tags": ["t"]})
    body = await seen(http, thread)
    assert body["user"] == "anon" and body["seen_tags"] == []


async def test_thread_remembers_config_but_not_configurable(http, thread):
    await seen(http, thread, config={"configurable": {"k": "v"}, "tags": ["t"]})
    config = (await get_thread(http, thread))["config"]
    assert config["tags"] == ["t"]
    assert "k" not in config.get("configurable", {})


async def test_assistant_context_is_the_base_of_the_run_context(http, thread):
    payload = {"graph_id": "ctx", "context": {"user": "base", "tone": "loud"}, "metadata": {"am": 1}}
    assistant = (await http.post("/assistants", json=payload)).json()["assistant_id"]
    plain = await seen(http, thread, assistant)
    assert (plain["user"], plain["tone"]) == ("base", "loud")
    assert plain["seen_metadata"]["am"] == 1
    over = await seen(http, thread, assistant, context={"user": "run"})
    assert (over["user"], over["tone"]) == ("run", "loud")
    over = await seen(http, thread, assistant, config={"configurable": {"user": "cfg"}})
    assert (over["user"], over["tone"]) == ("cfg", "loud")
