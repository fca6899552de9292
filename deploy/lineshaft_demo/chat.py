"""`chat`: an agent over the messages of its thread, with a calculator and a search in what was said.

    agent ◀──▶ tools

It talks to any OpenAI-compatible endpoint when OPENAI_API_KEY or OPENAI_BASE_URL is set, else to a small model made of
rules.
"""

import os
from collections.abc import Mapping

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AnyMessage, SystemMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from pydantic import SecretStr

from lineshaft_demo.rule_model import RuleModel
from lineshaft_demo.tools import TOOLS, explain

DEFAULT_OPENAI_MODEL = "gpt-4.1-mini"
INSTRUCTIONS = SystemMessage(
    "You are a helpful assistant. Use the calculator for arithmetic and search_thread for what was said earlier."
)


def choose_model(environment: Mapping[str, str]) -> BaseChatModel:
    """The chat model that the environment asks for.

    OPENAI_API_KEY    the key of the endpoint
    OPENAI_BASE_URL   the endpoint, if it is not OpenAI's own; one on your machine mostly needs no key
    OPENAI_MODEL      the model's name
    """
    key, base_url = environment.get("OPENAI_API_KEY"), environment.get("OPENAI_BASE_URL")
    if not key and not base_url:
        return RuleModel()
    try:
        from langchain_openai import ChatOpenAI  # noqa: PLC0415 - an optional extra, and slow to import
    except ImportError as error:
        raise ImportError(
            "OPENAI_API_KEY or OPENAI_BASE_URL is set, but langchain-openai cannot be imported: run "
            "`pip install 'lineshaft[openai]'`, or unset them to chat with the built-in rule-based model"
        ) from error
    model: BaseChatModel = ChatOpenAI(
        model=environment.get("OPENAI_MODEL") or DEFAULT_OPENAI_MODEL,
        api_key=SecretStr(key or "none"),
        base_url=base_url or None,
    )
    return model


def build(model: BaseChatModel) -> CompiledStateGraph[MessagesState, None, MessagesState, MessagesState]:
    """The agent around a model, without a checkpointer: the server brings its own."""
    model_with_tools = model.bind_tools(TOOLS)

    async def agent(state: MessagesState) -> dict[str, list[AnyMessage]]:
        """Let the model answer the conversation so far, or ask for a tool."""
        return {"messages": [await model_with_tools.ainvoke([INSTRUCTIONS, *state["messages"]])]}

    builder = StateGraph(MessagesState)
    builder.add_node("agent", agent)
    builder.add_node("tools", ToolNode(TOOLS, handle_tool_errors=explain))
    builder.add_edge(START, "agent")
    builder.add_conditional_edges("agent", tools_condition)
    builder.add_edge("tools", "agent")
    return builder.compile(name="chat")


graph = build(choose_model(os.environ))
