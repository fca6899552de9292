"""Graphs that write down every step: `walk` makes as many as it is told, `approval` asks, `listen` takes messages.

A state's `trail` names each step that is part of it, so that what was done can be compared with what was kept.
"""

import asyncio
import json
import operator
import os
import time
from typing import Annotated, Any, NotRequired

from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt
from typing_extensions import TypedDict

# Opened once: each line is one write to a file opened for appending, so lines of many processes do not mix.
JOURNAL = os.open(os.environ["CHAOS_JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


class Plan(TypedDict):
    pauses: list[float]  # seconds that each step takes
    fails: bool  # the last step raises


LISTENS = Plan(pauses=[0.1, 0.2], fails=False)  # a run that takes what was posted is told nothing else


class State(TypedDict):
    plan: NotRequired[Plan]
    at: int  # the step to make next
    answer: NotRequired[str]
    trail: Annotated[list[str], operator.add]
    messages: Annotated[list[AnyMessage], add_messages]


def note(config: RunnableConfig, what: str, step: int, answer: str = "") -> None:
    line = {
        "run": config["metadata"]["run_id"],
        "thread": config["configurable"]["thread_id"],
        "attempt": config["metadata"]["run_attempt"],
        "durability": config["configurable"]["durability"],
        "what": what,
        "step": step,
        "answer": answer,
        "pid": os.getpid(),
        "at": time.time(),
    }
    os.write(JOURNAL, json.dumps(line).encode() + b"\n")


async def make_step(state: State, config: RunnableConfig, step: int, answer: str = "") -> dict[str, Any]:
    note(config, "began", step, answer)
    plan = state.get("plan") or LISTENS
    pauses = plan["pauses"]
    try:
        await asyncio.sleep(pauses[step])
    except asyncio.CancelledError:
        note(config, "cancelled", step)
        raise
    if plan["fails"] and step == len(pauses) - 1:
        note(config, "failed", step)
        raise ValueError("this run was asked to fail")
    note(config, "ended", step, answer)
    return {"trail": [f"{config['metadata']['run_id']}/{step}"], "at": step + 1}


async def stride(state: State, config: RunnableConfig) -> dict[str, Any]:
    return await make_step(state, config, state["at"])


def more(state: State) -> str:
    plan: Plan | None = state.get("plan")  # none yet in a thread that a client has written to before its first run
    return "stride" if plan and state["at"] < len(plan["pauses"]) else END


async def draft(state: State, config: RunnableConfig) -> dict[str, Any]:
    return await make_step(state, config, 0)


async def ask(state: State, config: RunnableConfig) -> dict[str, Any]:
    answer = str(interrupt("may it be sent?"))
    return {**await make_step(state, config, 1, answer), "answer": answer}


async def send(state: State, config: RunnableConfig) -> dict[str, Any]:
    return await make_step(state, config, 2, state["answer"])


async def hear(state: State, config: RunnableConfig) -> dict[str, Any]:
    return await make_step(state, config, 0)


async def reply(state: State, config: RunnableConfig) -> dict[str, Any]:
    words = AIMessage(f"{len(state['messages'])} heard")
    return {**await make_step(state, config, 1), "messages": [words]}


_walk = StateGraph(State)
_walk.add_node("stride", stride)
_walk.add_edge(START, "stride")
_walk.add_conditional_edges("stride", more, ["stride", END])
walk = _walk.compile()

_approval = StateGraph(State)
_nodes: Any = [("draft", draft), ("ask", ask), ("send", send)]  # mypy cannot infer what State is there
_approval.add_sequence(_nodes)
_approval.add_edge(START, "draft")
approval = _approval.compile()

_listen = StateGraph(State)
_ears: Any = [("hear", hear), ("reply", reply)]  # as above
_listen.add_sequence(_ears)
_listen.add_edge(START, "hear")
listen = _listen.compile()
