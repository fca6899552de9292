"""What a request for a run may say, and what becomes of what it leaves out."""

from typing import Any

import msgspec
import pytest

from lineshaft.errors import BadRequest, Invalid
from lineshaft.runs.request import Checkpoint, RunCreate, RunInput, RunSpec, accept
from lineshaft.webhooks.policy import WebhookConfig

CHECKPOINT = "1ef663ba-28fe-6528-8002-5a559208592c"


def accepted(*, stateless: bool = False, **fields: Any) -> tuple[RunSpec, RunInput]:
    request = msgspec.json.decode(msgspec.json.encode({"assistant_id": "g", **fields}), type=RunCreate)
    return accept(request, stateless=stateless, request_id="q", requested_ms=5, webhooks=WebhookConfig())


def spec(**fields: Any) -> RunSpec:
    return accepted(**fields)[0]


def test_what_a_request_leaves_out() -> None:
    found, run_input = accepted()
    assert (found.stream_mode, found.durability, found.checkpoint_during) == (["values"], "async", True)
    assert (found.multitask_strategy, found.subgraphs, found.resumable, found.temporary) == (
        "enqueue",
        False,
        False,
        False,
    )
    assert (found.checkpoint, found.interrupt_before, found.interrupt_after) == (None, None, None)
    assert (found.metadata, found.context, found.request_id, found.requested_ms) == ({}, {}, "q", 5)
    assert run_input == RunInput(msgspec.Raw(b"null"), None)


def test_what_is_kept_with_the_run_survives_its_encoding() -> None:
    found = spec(
        config={"tags": ["a"], "recursion_limit": 7, "configurable": {"k": 1}, "metadata": {"m": [1, {}]}},
        metadata={"n": None},
        stream_mode=["updates", "messages-tuple"],
        stream_subgraphs=True,
        stream_resumable=True,
        interrupt_before="*",
        interrupt_after=["a"],
        checkpoint_id=CHECKPOINT,
        feedback_keys=["f"],
    )
    assert msgspec.json.decode(msgspec.json.encode(found), type=RunSpec) == found


def test_input_is_not_read_only_passed_on() -> None:
    body = b'{"assistant_id":"g","input":{"big":18446744073709551617,"list":[],"text":"\xc3\xa9"}}'
    _, run_input = accept(
        msgspec.json.decode(body, type=RunCreate),
        stateless=False,
        request_id="",
        requested_ms=0,
        webhooks=WebhookConfig(),
    )
    assert bytes(run_input.input) == '{"big":18446744073709551617,"list":[],"text":"é"}'.encode()


@pytest.mark.parametrize(
    ("given", "modes"),
    [("updates", ["updates"]), (["updates", "values"], ["updates", "values"]), ([], ["values"])],
)
def test_stream_modes(given: Any, modes: list[str]) -> None:
    assert spec(stream_mode=given).stream_mode == modes


@pytest.mark.parametrize("mode", ["tools", "lifecycle", ["values", "nope"]])
def test_modes_that_are_none(mode: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        accepted(stream_mode=mode)


@pytest.mark.parametrize(
    ("fields", "durability"),
    [
        ({"checkpoint_during": False}, "exit"),
        ({"checkpoint_during": True}, "async"),
        ({"checkpoint_during": False, "durability": "sync"}, "sync"),
        ({"durability": "exit"}, "exit"),
    ],
)
def test_durability_wins_over_its_old_name(fields: dict[str, Any], durability: str) -> None:
    assert spec(**fields).durability == durability


@pytest.mark.parametrize("fields", [{"interrupt_before": "node"}, {"on_disconnect": "x"}, {"input": {}, "webhook": ""}])
def test_values_that_are_refused_when_decoded(fields: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        accepted(**fields)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"webhook": "/hook"}, "webhook: give a whole URL that begins with https:// or http://"),
        ({"checkpoint_id": "x"}, "Invalid checkpoint ID: must be a UUID"),
        ({"command": {"resumes": 1}}, "command: unknown field 'resumes'; use update, resume or goto"),
        ({"command": {"resume": None}}, "command: it is empty"),
        ({"command": {"update": {}, "goto": []}}, "command: it is empty"),
        ({"command": {"goto": 1}}, r"command: Expected .* - at `\$.goto`"),
        ({"command": {"goto": [{"input": 1}]}}, "command: Object missing required field `node`"),
        ({"command": {"goto": ["a", {"node": "b"}]}}, "goto is either a list of node names or a list of sends"),
        ({"command": {"update": "text"}}, "command: Expected"),
        ({"context": {"a\0": 1}}, "A key of config or context contains NUL"),
        ({"config": {"configurable": {"\0": 1}}}, "A key of config or context contains NUL"),
    ],
)
def test_values_that_cannot_be_used(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        accepted(**fields)


def test_a_negative_delay_means_now() -> None:
    accepted(after_seconds=-3)


@pytest.mark.parametrize("command", [None, {}])
def test_an_empty_command_is_none(command: Any) -> None:
    assert accepted(command=command)[1].command is None


@pytest.mark.parametrize(
    "command",
    [
        {"resume": False},
        {"resume": 0},
        {"resume": {"id": "yes"}},
        {"update": {"a": 1}},
        {"update": [["a", 1]]},
        {"goto": "a"},
        {"goto": ["a", "b"]},
        {"goto": {"node": "a", "input": {"x": 1}}},
        {"goto": [{"node": "a"}, {"node": "b"}], "update": {"a": 1}, "resume": "x"},
    ],
)
def test_commands(command: dict[str, Any]) -> None:
    run_input = msgspec.json.decode(msgspec.json.encode(accepted(command=command)[1]), type=RunInput)
    assert run_input == accepted(command=command)[1]
    kept = msgspec.to_builtins(run_input.command)
    assert kept.keys() == command.keys()


def test_a_resume_needs_a_thread() -> None:
    with pytest.raises(BadRequest, match="needs a thread"):
        accepted(stateless=True, command={"resume": 1})
    accepted(stateless=True, command={"goto": "a"})


def test_configurable_and_context_contradict_each_other() -> None:
    with pytest.raises(BadRequest, match="Cannot specify both configurable and context"):
        accepted(config={"configurable": {"a": 1}}, context={"b": 1})
    # What the server sets itself, or nothing at all, is no contradiction.
    accepted(config={"configurable": {}}, context={"b": 1})
    accepted(config={"configurable": {"langgraph_auth_user": {}}}, context={"b": 1})


def test_nul_in_metadata_is_replaced() -> None:
    found = spec(metadata={"a\0": ["b\0"]}, config={"metadata": {"c": "\0"}}, context={"kept": "\0"})
    assert found.metadata == {"a\ufffd": ["b\ufffd"]}
    assert found.config.metadata == {"c": "\ufffd"}
    assert found.context == {"kept": "\0"}


def test_a_client_cannot_set_what_is_the_servers() -> None:
    found = spec(
        metadata={"run_id": "x", "thread_id": "x", "assistant_id": "x", "mine": 1},
        config={
            "metadata": {"run_id": "x", "mine": 2},
            "configurable": {"langgraph_auth_user_id": "root", "__request_start_time_ms__": 0, "mine": 3},
        },
    )
    assert found.metadata == {"mine": 1}
    assert found.config.metadata == {"mine": 2}
    assert found.config.configurable == {"mine": 3}


@pytest.mark.parametrize(
    ("fields", "checkpoint"),
    [
        ({"checkpoint_id": CHECKPOINT.upper()}, Checkpoint(None, None, CHECKPOINT, None)),
        ({"checkpoint": {"checkpoint_id": "any", "checkpoint_ns": "a"}}, Checkpoint(None, "a", "any", None)),
        ({"checkpoint": {"checkpoint_ns": "a"}}, None),
        (
            {"checkpoint_id": CHECKPOINT, "checkpoint": {"checkpoint_id": "other", "checkpoint_ns": "a"}},
            Checkpoint(None, "a", CHECKPOINT, None),
        ),
        ({"config": {"configurable": {"checkpoint_id": CHECKPOINT}}}, Checkpoint(None, None, CHECKPOINT, None)),
        ({"config": {"configurable": {"checkpoint_id": 7}}}, None),
    ],
)
def test_three_ways_to_name_a_checkpoint(fields: dict[str, Any], checkpoint: Checkpoint | None) -> None:
    assert spec(**fields).checkpoint == checkpoint


@pytest.mark.parametrize(
    ("stateless", "on_completion", "temporary"),
    [(True, "delete", True), (True, "keep", False), (False, "delete", False)],
)
def test_whose_thread_goes_with_the_run(stateless: bool, on_completion: str, temporary: bool) -> None:
    assert accepted(stateless=stateless, on_completion=on_completion)[0].temporary is temporary
