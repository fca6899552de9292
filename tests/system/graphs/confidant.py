"""A graph that is told secrets, uses them as graphs do, and says in the log only what it wants to say."""

import asyncio
import logging
import warnings
from typing import Any, NotRequired

import httpx
from langgraph.config import get_store
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

logger = logging.getLogger("confidant")


class State(TypedDict):
    secret: NotRequired[str]
    url: NotRequired[str]  # of a server that is asked something with the secret in the address and in a header
    then: NotRequired[str]


def confide(state: State) -> dict[str, Any]:
    logger.info("a thread of the graph speaks", extra={"wise": True})
    return {"secret": state.get("secret", "") + "!"}


async def use(state: State) -> dict[str, Any]:
    await get_store().aput(("told",), "secret", {"text": state["secret"]})
    async with httpx.AsyncClient() as client:
        headers = {"Authorization": f"Bearer {state['secret']}"}
        await client.post(state["url"], params={"key": state["secret"]}, headers=headers, json=state)
    warnings.warn("old things are used", stacklevel=1)
    logger.debug("a task of the graph speaks")
    if state["then"] == "fail":
        raise RuntimeError("it does not work")
    if state["then"] == "ask":
        interrupt({"about": state["secret"]})
    if state["then"] == "wait":
        await asyncio.sleep(3600)
    return {}


builder = StateGraph(State)
builder.add_node("confide", confide)
builder.add_node("use", use)
builder.add_edge(START, "confide")
builder.add_edge("confide", "use")
graph = builder.compile()
