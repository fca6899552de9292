"""The tools of `chat`, for any chat model that can call tools."""

from typing import Annotated

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.tools import BaseTool, ToolException, tool
from langgraph.prebuilt import InjectedState

from lineshaft_demo.calculator import CannotCalculate, calculate

# A tool's answer goes back into the model's context: few and short hits serve it better than all of them.
MAX_HITS = 5
MAX_HIT_LENGTH = 200


@tool
def calculator(expression: str) -> str:
    """Calculate an arithmetic expression such as `12 * (7 + 1)`. Knows + - * / // % ** and parentheses."""
    try:
        value = calculate(expression)
    except CannotCalculate as error:
        raise ToolException(f"Cannot calculate: {error}.") from None
    return str(value) if isinstance(value, int) else f"{value:.15g}"  # 15 digits: 0.1 + 0.2 is 0.3


@tool
def search_thread(query: str, messages: Annotated[list[AnyMessage], InjectedState("messages")]) -> str:
    """Search what the user said earlier in this conversation. A message is found if it has every word of the query."""
    wanted = query.casefold().split()
    said = [" ".join(message.text.split()) for message in messages if isinstance(message, HumanMessage)]
    hits = [text for text in said[:-1] if all(word in text.casefold() for word in wanted)]  # the last is the question
    if not wanted or not hits:
        return f"Nothing in this thread mentions {query!r}."
    return "\n".join(f"- {shortened(text)}" for text in hits[-MAX_HITS:])


def explain(error: ToolException) -> str:
    """What the model reads when a tool refuses: the tool's own sentence, no more."""
    return str(error)


def shortened(text: str) -> str:
    """The beginning of a long text; a short one as it is."""
    return text if len(text) <= MAX_HIT_LENGTH else f"{text[:MAX_HIT_LENGTH]}..."


TOOLS: list[BaseTool] = [calculator, search_thread]
