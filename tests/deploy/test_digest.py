"""`digest`: what it chooses, what it tells on the way, and how a reviewer decides."""

import time
from typing import Any, cast

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from lineshaft_demo import digest
from lineshaft_demo.passages import passages_of

Graph = CompiledStateGraph[Any, Any, Any, Any]
THREAD: RunnableConfig = {"configurable": {"thread_id": "1"}}
README = """
# Mill

[![build](https://ci.example/badge.svg)](https://ci.example) <img src="x.png">

A mill grinds grain into flour, and the water wheel of the mill drives its stones. See [the
manual](https://example.com/manual).

- The stones of a mill must be dressed, e.g. with a bill, before they grind grain again.
- Apples.

| table | of | numbers |
|-------|----|---------|

```sh
make flour
```

The water wheel turns the stones of the mill as long as the river has water for the wheel.

[manual]: https://example.com/manual
"""


@pytest.fixture
def graph() -> Graph:
    """The graph with a checkpointer that, like the server's, stores plain data only."""
    compiled = digest.build()
    compiled.checkpointer = InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=None))
    return compiled


def text_of(sentences: int) -> str:
    """A text whose sentences share no word."""
    names = ("".join(chr(ord("a") + int(digit)) for digit in str(number)) for number in range(sentences))
    return " ".join(f"Old mill{name} with its river{name} and a wheel{name} or stone{name}." for name in names)


def test_passages_are_the_sentences_of_markdown_without_its_marks() -> None:
    assert passages_of(README) == [
        "A mill grinds grain into flour, and the water wheel of the mill drives its stones.",
        "See the manual.",
        "The stones of a mill must be dressed, e.g. with a bill, before they grind grain again.",
        "Apples.",
        "The water wheel turns the stones of the mill as long as the river has water for the wheel.",
    ]


@pytest.mark.parametrize("text", ["", " \n\n", "# Only a heading", "```\ncode\n```"])
def test_text_without_sentences_has_no_passages(text: str) -> None:
    assert passages_of(text) == []


def test_text_without_punctuation_is_cut() -> None:
    passages = passages_of("lorem ipsum " * 1_000)
    assert " ".join(passages) == " ".join(["lorem ipsum"] * 1_000)
    assert max(map(len, passages)) <= 400


def test_sentences_of_languages_without_spaces_are_told_apart() -> None:
    assert passages_of("\u6c34\u8f66\u3002\u78e8\u574a\uff01\u9762\uff1f") == [
        "\u6c34\u8f66\u3002",
        "\u78e8\u574a\uff01",
        "\u9762\uff1f",
    ]


async def test_the_digest_has_the_telling_sentences_in_their_order(graph: Graph) -> None:
    result = await graph.ainvoke({"text": README, "sentences": 2}, THREAD)
    assert result["digest"] == (
        "- A mill grinds grain into flour, and the water wheel of the mill drives its stones.\n"
        "- The stones of a mill must be dressed, e.g. with a bill, before they grind grain again."
    )
    assert [message.text for message in result["messages"]] == [result["digest"]]
    assert set(result) == {"digest", "messages"}


async def test_a_digest_has_as_many_sentences_as_asked_for(graph: Graph) -> None:
    default = await graph.ainvoke({"text": text_of(40)}, THREAD)
    assert len(default["digest"].splitlines()) == digest.DEFAULT_SENTENCES
    more = await graph.ainvoke({"text": text_of(40), "sentences": 7}, THREAD)
    assert len(more["digest"].splitlines()) == 7


async def test_a_repeated_sentence_is_taken_once(graph: Graph) -> None:
    result = await graph.ainvoke({"text": "The river drives the old mill wheel. " * 30}, THREAD)
    assert result["digest"] == "- The river drives the old mill wheel."


async def test_a_second_run_on_the_thread_digests_its_own_text(graph: Graph) -> None:
    await graph.ainvoke({"text": README}, THREAD)
    result = await graph.ainvoke({"text": "Bakers bake bread before the sun rises."}, THREAD)
    assert result["digest"] == "- Bakers bake bread before the sun rises."
    assert len(result["messages"]) == 2


async def test_progress_counts_every_part(graph: Graph) -> None:
    events = [event async for event in graph.astream({"text": text_of(60)}, THREAD, stream_mode="custom")]
    assert events[0] == {"stage": "split", "passages": 60, "parts": 12}
    assert sorted(event["part"] for event in events[1:-1]) == list(range(1, 13))
    assert all(event["stage"] == "scored" and event["of"] == 12 for event in events[1:-1])
    assert events[-1] == {"stage": "chosen", "sentences": 5, "of": 60}


async def test_the_text_streams_as_message_chunks(graph: Graph) -> None:
    chunks = []
    async for part in graph.astream({"text": README}, THREAD, stream_mode="messages"):
        message, metadata = cast("tuple[AIMessageChunk, dict[str, Any]]", part)
        assert isinstance(message, AIMessageChunk)
        assert metadata["langgraph_node"] == "compose"
        chunks.append(message)
    state = await graph.aget_state(THREAD)
    assert len(chunks) > 20
    assert "".join(chunk.text for chunk in chunks) == state.values["digest"]
    assert {chunk.id for chunk in chunks} == {state.values["messages"][0].id}


async def test_an_empty_text_is_no_error(graph: Graph) -> None:
    result = await graph.ainvoke({"text": "", "approve": True}, THREAD)
    assert result["digest"] == ""
    assert result["messages"][-1].text == "There is nothing to summarise in this text."


async def test_a_long_text_makes_few_tasks_and_a_small_state(graph: Graph) -> None:
    text = text_of(20_000)
    assert len(text) > 1_000_000
    started = time.perf_counter()
    events = [event async for event in graph.astream({"text": text}, THREAD, stream_mode="custom")]
    assert (
        time.perf_counter() - started < 30
    )  # takes about 2 s; a busy machine may need more, quadratic work would fail
    assert sum(event["stage"] == "scored" for event in events) <= digest.MAX_PARTS
    state = await graph.aget_state(THREAD)
    assert len(state.values["candidates"]) <= digest.MAX_PARTS * 2 * digest.DEFAULT_SENTENCES


async def ask(graph: Graph) -> dict[str, Any]:
    """Start a run that wants approval; the question it stops with."""
    result = await graph.ainvoke({"text": README, "sentences": 1, "approve": True}, THREAD)
    (question,) = result["__interrupt__"]
    assert isinstance(question.value, dict)
    return question.value


async def test_a_reviewer_sees_the_digest_before_it_is_said(graph: Graph) -> None:
    question = await ask(graph)
    assert question["question"] == "Publish this digest?"
    assert question["digest"].startswith("- A mill grinds grain")
    state = await graph.aget_state(THREAD)
    assert state.next == ("approve",)
    assert state.values["messages"] == []


@pytest.mark.parametrize(
    ("answer", "note"),
    [(True, ""), ({"approve": True}, ""), ({"approve": True, "note": "Well put."}, "\n\nNote: Well put.")],
)
async def test_an_approved_digest_is_said(graph: Graph, answer: object, note: str) -> None:
    question = await ask(graph)
    result = await graph.ainvoke(Command(resume=answer), THREAD)
    assert result["digest"] == question["digest"] + note
    assert [message.text for message in result["messages"]] == [result["digest"]]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (False, "The digest was not approved."),
        ({"approve": False, "note": "Too short."}, "The digest was not approved: Too short."),
    ],
)
async def test_a_refused_digest_is_not_said(graph: Graph, answer: object, said: str) -> None:
    await ask(graph)
    result = await graph.ainvoke(Command(resume=answer), THREAD)
    assert result["digest"] == ""
    assert [message.text for message in result["messages"]] == [said]


async def test_an_answer_that_is_no_decision_is_asked_again(graph: Graph) -> None:
    question = await ask(graph)
    result = await graph.ainvoke(Command(resume="yes, please"), THREAD)
    (again,) = result["__interrupt__"]
    assert again.value["digest"] == question["digest"]
    assert "Resume with true, false" in again.value["problem"]
    result = await graph.ainvoke(Command(resume=True), THREAD)
    assert result["digest"] == question["digest"]
