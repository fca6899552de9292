"""The configuration a run really has: who wins over whom."""

from typing import Any

import msgspec

from lineshaft.runs.config import Effective, effective
from lineshaft.runs.request import RunCreate, RunUser, accept
from lineshaft.webhooks.policy import WebhookConfig


def merged(assistant: dict[str, Any] | None = None, thread: dict[str, Any] | None = None, **fields: Any) -> Effective:
    request = msgspec.json.decode(msgspec.json.encode({"assistant_id": "g", **fields}), type=RunCreate)
    spec, _ = accept(request, stateless=False, request_id="q", requested_ms=5, webhooks=WebhookConfig())
    spec.assistant_id = "a"
    doc = msgspec.json.encode({"graph_id": "g", "name": "n", **(assistant or {})})
    thread_metadata = msgspec.json.encode(thread) if thread is not None else b""
    return effective(spec, doc, thread_metadata, run_id="r", thread_id="t", graph_id="g")


def test_what_every_run_has() -> None:
    found = merged()
    assert found.metadata == {"graph_id": "g", "assistant_id": "a"}
    assert found.context == {}
    assert found.config == {
        "configurable": {
            "run_id": "r",
            "thread_id": "t",
            "graph_id": "g",
            "assistant_id": "a",
            "user_id": "",
            "langgraph_auth_user": None,
            "langgraph_auth_user_id": "",
            "langgraph_auth_permissions": [],
            "langgraph_request_id": "q",
            "__request_start_time_ms__": 5,
            "__after_seconds__": 0,
        },
        "metadata": {"graph_id": "g", "assistant_id": "a"},
    }


def test_metadata_later_wins() -> None:
    found = merged(
        {"metadata": {"a": "assistant", "b": "assistant", "c": "assistant", "d": "assistant", "created_by": "system"}},
        {"b": "thread", "c": "thread", "d": "thread"},
        config={"metadata": {"c": "config", "d": "config"}},
        metadata={"d": "request"},
    )
    assert found.metadata == {
        "a": "assistant",
        "b": "thread",
        "c": "config",
        "d": "request",
        "created_by": "system",
        "graph_id": "g",
        "assistant_id": "a",
    }
    assert found.config["metadata"] == found.metadata


def test_nobody_overrides_the_ids() -> None:
    found = merged(
        {"metadata": {"assistant_id": "x"}, "config": {"configurable": {"run_id": "x"}}, "context": {"thread_id": "x"}},
        {"assistant_id": "x"},
        config={"configurable": {"run_id": "x", "assistant_id": "x", "user_id": "root"}},
    )
    assert found.metadata["assistant_id"] == "a"
    ids = [found.config["configurable"][name] for name in ("run_id", "thread_id", "assistant_id", "user_id")]
    assert ids == ["r", "t", "a", ""]


def test_context_and_configurable_mirror_each_other() -> None:
    assert merged(context={"who": "me"}).config["configurable"]["who"] == "me"
    assert merged(config={"configurable": {"who": "me"}}).context == {"who": "me"}


def test_a_run_wins_over_its_assistants_context() -> None:
    assistant = {"context": {"who": "assistant", "tone": "dry"}}
    for fields in ({"context": {"who": "run"}}, {"config": {"configurable": {"who": "run"}}}):
        found = merged(assistant, **fields)
        assert found.context == {"who": "run", "tone": "dry"}
        assert found.config["configurable"]["who"] == "run"
        assert found.config["configurable"]["tone"] == "dry"


def test_tags_and_limits_of_the_run_replace_the_assistants() -> None:
    assistant = {"config": {"tags": ["assistant"], "recursion_limit": 5, "configurable": {"k": 1}}}
    assert {k: merged(assistant).config[k] for k in ("tags", "recursion_limit")} == {
        "tags": ["assistant"],
        "recursion_limit": 5,
    }
    found = merged(assistant, config={"tags": [], "recursion_limit": 9})
    assert (found.config["tags"], found.config["recursion_limit"]) == ([], 9)
    assert found.config["configurable"]["k"] == 1


def test_a_graph_may_read_where_to_trace_to() -> None:
    own = {"__langsmith_example_id__": "mine"}
    found = merged(langsmith_tracer={"project_name": "p"}, config={"configurable": own})
    named = {k: v for k, v in found.config["configurable"].items() if k.startswith("__langsmith")}
    assert named == {"__langsmith_project__": "p", "__langsmith_example_id__": None}
    assert "__langsmith_project__" not in merged().config["configurable"]


def test_a_graph_is_told_who_asked_for_its_run_in_both_ways_of_reading() -> None:
    user = RunUser("ann", ["p"], {"identity": "ann", "team": "red"})
    forged = {"langgraph_auth_user_id": "bob", "langgraph_auth_user": {"identity": "bob"}}
    spec, _ = accept(
        RunCreate(assistant_id="g", context=forged),
        stateless=False, request_id="q", requested_ms=5, webhooks=WebhookConfig(), user=user,
    )  # fmt: skip
    doc = msgspec.json.encode({"context": forged, "config": {"configurable": forged}})
    found = effective(spec, doc, b"", run_id="r", thread_id="t", graph_id="g").config["configurable"]
    assert found["langgraph_auth_user"]["team"] == found["langgraph_auth_user"].team == "red"
    assert not hasattr(found["langgraph_auth_user"], "token")
    names = ("user_id", "langgraph_auth_user_id", "langgraph_auth_permissions")
    assert [found[name] for name in names] == ["ann", "ann", ["p"]]
