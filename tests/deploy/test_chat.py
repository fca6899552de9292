"""`chat` with its rule-based model: answers, tools, tokens; and how it finds a real model."""

import asyncio
import sys
import time
from typing import Any, cast

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph.state import CompiledStateGraph

from lineshaft_demo import chat
from lineshaft_demo.rule_model import ABILITIES, SECONDS_PER_SLOW_WORD, RuleModel
from lineshaft_demo.tools import TOOLS

Graph = CompiledStateGraph[Any, Any, Any, Any]
THREAD: RunnableConfig = {"configurable": {"thread_id": "1"}}
GREETING = "Hello, can you help me with a task?"


@pytest.fixture
def graph() -> Graph:
    compiled = chat.build(RuleModel())
    compiled.checkpointer = InMemorySaver()
    return compiled


def asking(content: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


async def ask(graph: Graph, content: object) -> str:
    """Say something on the thread; the text of the answer."""
    result = await graph.ainvoke(asking(content), THREAD)
    answer = result["messages"][-1]
    assert isinstance(answer, AIMessage)
    return answer.text


async def streamed(graph: Graph, content: str) -> list[BaseMessage]:
    """Say something on the thread; the pieces in which the answer arrives."""
    stream = graph.astream(asking(content), THREAD, stream_mode="messages")
    return [cast("tuple[BaseMessage, dict[str, Any]]", part)[0] async for part in stream]


async def test_a_greeting_is_answered_with_what_it_can_do(graph: Graph) -> None:
    assert await ask(graph, GREETING) == f"Hello! Yes, I am happy to help. {ABILITIES}"


async def test_content_may_come_in_blocks(graph: Graph) -> None:
    assert await ask(graph, [{"type": "text", "text": GREETING}]) == await ask(graph, GREETING)


@pytest.mark.parametrize("content", ["", "Tell me a story.", "what is...?", "y" * 100_000 + " hello"])
async def test_what_no_rule_fits_is_answered_with_what_it_can_do(graph: Graph, content: str) -> None:
    answer = await ask(graph, content)
    assert answer.startswith("I have no rule for that.")
    assert ABILITIES in answer


async def test_a_thread_without_messages_is_greeted(graph: Graph) -> None:
    result = await graph.ainvoke({"messages": []}, THREAD)
    assert result["messages"][-1].text.startswith("Hello! How can I help?")


async def test_a_sum_goes_through_the_calculator(graph: Graph) -> None:
    result = await graph.ainvoke(asking("what is 12*7?"), THREAD)
    question, call, answered, answer = result["messages"]
    assert isinstance(question, HumanMessage)
    assert [(c["name"], c["args"]) for c in call.tool_calls] == [("calculator", {"expression": "12*7"})]
    assert isinstance(answered, ToolMessage)
    assert answered.content == "84"
    assert answered.tool_call_id == call.tool_calls[0]["id"]
    assert answer.text == "The result is 84."


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What's (3 + 4) / 2?", "The result is 3.5."),
        ("Please calculate 0.1 + 0.2.", "The result is 0.3."),
        ("12/4 =", "The result is 3."),
        ("How much is 2^10", "The result is 1024."),
        ("what is 1/0?", "That did not work. Cannot calculate: division by zero."),
        ("calculate 2 +", "That did not work. Cannot calculate: '2 +' is not an arithmetic expression."),
    ],
)
async def test_sums_and_why_some_cannot_be_done(graph: Graph, question: str, answer: str) -> None:
    assert await ask(graph, question) == answer


@pytest.mark.parametrize(
    "question", ["what did I say about Apples?", "search for orchard apples", "Search the thread for rain"]
)
async def test_the_search_finds_what_was_said_before(graph: Graph, question: str) -> None:
    await ask(graph, "I like apples from the old orchard, and rain.")
    await ask(graph, "I do not like snow.")
    assert await ask(graph, question) == "This is what I found:\n- I like apples from the old orchard, and rain."


@pytest.mark.parametrize(
    "question", ["search for apples", "Search this thread for apples.", "what did we say about apples"]
)
async def test_the_search_does_not_find_the_question_itself(graph: Graph, question: str) -> None:
    assert await ask(graph, question) == "This is what I found:\nNothing in this thread mentions 'apples'."


async def test_the_search_does_not_see_other_threads(graph: Graph) -> None:
    await graph.ainvoke(asking("I like apples."), {"configurable": {"thread_id": "2"}})
    assert "Nothing in this thread" in await ask(graph, "search for apples")


async def test_the_search_gives_few_and_short_hits(graph: Graph) -> None:
    for n in range(7):
        await ask(graph, f"Note {n}: " + "plum " * 100)
    hits = (await ask(graph, "search for plum")).splitlines()[1:]
    assert [hit[: len("- Note 0")] for hit in hits] == [f"- Note {n}" for n in range(2, 7)]
    assert all(len(hit) < 220 for hit in hits)


async def test_an_answer_streams_word_by_word(graph: Graph) -> None:
    chunks = await streamed(graph, GREETING)
    assert all(isinstance(chunk, AIMessageChunk) for chunk in chunks)
    state = await graph.aget_state(THREAD)
    answer = state.values["messages"][-1]
    assert len(chunks) > 20
    assert "".join(chunk.text for chunk in chunks) == answer.text
    assert {chunk.id for chunk in chunks} == {answer.id}


async def test_a_tool_call_streams_too(graph: Graph) -> None:
    parts = await streamed(graph, "what is 6*7?")
    calls = [call for part in parts if isinstance(part, AIMessageChunk) for call in part.tool_call_chunks]
    assert [call["name"] for call in calls] == ["calculator"]
    assert [part.text for part in parts if isinstance(part, ToolMessage)] == ["42"]


def test_the_model_answers_alike_in_every_way_of_calling_it() -> None:
    model = RuleModel().bind_tools(TOOLS)
    question = [HumanMessage("count to 3")]
    assert model.invoke(question).text == "1 2 3"
    assert [chunk.text for chunk in model.stream(question)] == ["1 ", "2 ", "3", ""]
    assert asyncio.run(model.ainvoke(question)).text == "1 2 3"


async def test_counting_stops_at_a_limit(graph: Graph) -> None:
    assert (await ask(graph, "count to 999999")).endswith(" 999 1000")


async def test_a_slow_count_can_be_cancelled(graph: Graph) -> None:
    arrived: list[float] = []
    three = asyncio.Event()

    async def read() -> None:
        async for _ in graph.astream(asking("Count to 50 slowly, please."), THREAD, stream_mode="messages"):
            arrived.append(time.monotonic())
            if len(arrived) == 3:
                three.set()

    run = asyncio.create_task(read())
    await asyncio.wait_for(three.wait(), 10)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert len(arrived) == 3
    # A timer may fire a little early by another clock.
    assert arrived[2] - arrived[0] >= 2 * SECONDS_PER_SLOW_WORD * 0.9
    state = await graph.aget_state(THREAD)
    assert state.next == ("agent",)


@pytest.mark.parametrize("environment", [{}, {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}, {"OPENAI_MODEL": "m"}])
def test_without_key_and_endpoint_the_rules_answer(environment: dict[str, str]) -> None:
    assert isinstance(chat.choose_model(environment), RuleModel)


@pytest.mark.parametrize("environment", [{"OPENAI_API_KEY": "k"}, {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}])
def test_a_missing_extra_is_named(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain_openai", None)  # what makes an import fail
    with pytest.raises(ImportError, match=r"pip install 'lineshaft\[openai\]'"):
        chat.choose_model(environment)


@pytest.mark.parametrize(
    ("environment", "model", "base_url", "key"),
    [
        ({"OPENAI_API_KEY": "k"}, chat.DEFAULT_OPENAI_MODEL, None, "k"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "OPENAI_MODEL": "m"}, "m", "http://127.0.0.1:1/v1", "none"),
    ],
)
def test_the_real_model_is_the_one_that_the_environment_names(
    environment: dict[str, str], model: str, base_url: str | None, key: str
) -> None:
    langchain_openai = pytest.importorskip("langchain_openai", reason="pip install 'lineshaft[openai]'")
    chosen = chat.choose_model(environment)
    assert isinstance(chosen, langchain_openai.ChatOpenAI)
    assert (chosen.model_name, chosen.openai_api_base) == (model, base_url)
    assert chosen.openai_api_key.get_secret_value() == key
