"""`digest`: summarises a text of any length by its most telling sentences. No model, no key, no network.

    split ──Send──▶ score (in parallel) ──▶ choose ──▶ approve (only if asked for) ──▶ compose

Shows map-reduce with `Send`, progress by a custom stream writer, approval with `interrupt`, and a node whose text
streams as message chunks. The nodes that compute are plain functions: these run in threads, off the event loop.

State lives as long as its thread: a second run there keeps `sentences` and `approve` unless its input says otherwise.
"""

import operator
from heapq import nlargest
from math import ceil
from typing import Annotated, Any, Literal, NotRequired

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, Overwrite, Send, interrupt
from typing_extensions import TypedDict  # on Python 3.11 typing's own has no JSON schema

from lineshaft_demo.passages import alike, passages_of, score, weigh
from lineshaft_demo.word_model import Reciter

DEFAULT_SENTENCES = 5
# Each parallel task costs a checkpoint write: a long text gets longer parts, not more of them.
MAX_PARTS = 32
MIN_PASSAGES_PER_PART = 5


class DigestInput(TypedDict):
    """What a run takes."""

    text: str
    sentences: NotRequired[int]
    approve: NotRequired[bool]


class DigestOutput(TypedDict):
    """What a run gives."""

    digest: str
    messages: Annotated[list[AnyMessage], add_messages]


class Candidate(TypedDict):
    """A passage that may be chosen; `position` is its place in the text."""

    position: int
    score: float
    passage: str


class DigestState(DigestInput, DigestOutput):
    """Input and output, and between them the best passages of all parts."""

    candidates: Annotated[list[Candidate], operator.add]


class Part(TypedDict):
    """Some passages in a row, and all that scoring them needs."""

    number: int
    of: int
    first: int
    passages: list[str]
    weights: dict[str, float]
    keep: int


class ScoreState(TypedDict):
    """What `Send` hands to one task: its own state, not the graph's."""

    part: Part


class Decision(TypedDict):
    """What a reviewer answers."""

    approve: bool
    note: str


def split(state: DigestState) -> Command[Literal["score", "choose"]]:
    """Cut the text into passages and send them out to be scored, in parts of equal length."""
    passages = passages_of(state["text"])
    weights = weigh(passages)
    length = max(MIN_PASSAGES_PER_PART, ceil(len(passages) / MAX_PARTS))
    starts = range(0, len(passages), length)
    parts = [
        Part(
            number=number,
            of=len(starts),
            first=first,
            passages=passages[first : first + length],
            weights=weights,
            keep=2 * _sentences(state),  # as many again: some will turn out to say the same
        )
        for number, first in enumerate(starts, 1)
    ]
    get_stream_writer()({"stage": "split", "passages": len(passages), "parts": len(parts)})
    sends = [Send("score", ScoreState(part=part)) for part in parts]
    # `candidates` only ever adds up, so what an earlier run on this thread found is dropped here.
    return Command(update={"candidates": Overwrite([])}, goto=sends or "choose")


def score_part(state: ScoreState) -> dict[str, list[Candidate]]:
    """Score the passages of one part and keep the best, so that the state stays small however long the text."""
    part = state["part"]
    candidates = [
        Candidate(position=position, score=score(passage, position, part["weights"]), passage=passage)
        for position, passage in enumerate(part["passages"], part["first"])
    ]
    get_stream_writer()({"stage": "scored", "part": part["number"], "of": part["of"]})
    return {"candidates": nlargest(part["keep"], candidates, key=_score)}


def choose(state: DigestState) -> dict[str, str]:
    """Take the best passages that do not repeat one another, and put them back into the order of the text."""
    chosen: list[Candidate] = []
    for candidate in sorted(state["candidates"], key=_score, reverse=True):
        if len(chosen) == _sentences(state):
            break
        if not any(alike(candidate["passage"], other["passage"]) for other in chosen):
            chosen.append(candidate)
    chosen.sort(key=lambda candidate: candidate["position"])
    get_stream_writer()({"stage": "chosen", "sentences": len(chosen), "of": len(state["candidates"])})
    return {"digest": "\n".join(f"- {candidate['passage']}" for candidate in chosen)}


def needs_approval(state: DigestState) -> Literal["approve", "compose"]:
    """A reviewer is asked only if the input says so, and only if there is something to review."""
    return "approve" if state.get("approve") and state["digest"] else "compose"


def approve(state: DigestState) -> Command[Literal["compose", "__end__"]]:
    """Stop until a reviewer resumes the run with true, false or `{"approve": bool, "note": str}`."""
    decision = _ask(state["digest"])
    note = decision["note"]
    if not decision["approve"]:
        refusal = AIMessage(f"The digest was not approved: {note}" if note else "The digest was not approved.")
        return Command(update={"digest": "", "messages": [refusal]}, goto="__end__")
    digest = state["digest"] + (f"\n\nNote: {note}" if note else "")
    return Command(update={"digest": digest}, goto="compose")


async def compose(state: DigestState) -> dict[str, list[AnyMessage]]:
    """Say the digest as a message; it streams because a chat model says it."""
    text = state["digest"] or "There is nothing to summarise in this text."
    return {"messages": [await Reciter().ainvoke([HumanMessage(text)])]}


def _ask(digest: str) -> Decision:
    """A reviewer's decision. The node runs again at each resume; `interrupt` then returns what was answered before."""
    question: dict[str, Any] = {"question": "Publish this digest?", "digest": digest}
    while (decision := _decision(interrupt(question))) is None:
        question = question | {"problem": 'Resume with true, false or {"approve": true, "note": "..."}.'}
    return decision


def _decision(answer: object) -> Decision | None:
    match answer:
        case bool():
            return Decision(approve=answer, note="")
        case {"approve": bool(yes), **rest}:
            return Decision(approve=yes, note=str(rest.get("note") or ""))
        case _:
            return None


def _sentences(state: DigestState) -> int:
    return state.get("sentences") or DEFAULT_SENTENCES


def _score(candidate: Candidate) -> float:
    return candidate["score"]


def build() -> CompiledStateGraph[DigestState, None, DigestInput, DigestOutput]:
    """The graph, without a checkpointer: the server brings its own."""
    builder = StateGraph(DigestState, input_schema=DigestInput, output_schema=DigestOutput)
    builder.add_node("split", split)
    builder.add_node("score", score_part)
    builder.add_node("choose", choose)
    builder.add_node("approve", approve)
    builder.add_node("compose", compose)
    builder.add_edge(START, "split")
    builder.add_edge("score", "choose")
    builder.add_conditional_edges("choose", needs_approval)
    builder.add_edge("compose", END)
    return builder.compile(name="digest")


graph = build()
