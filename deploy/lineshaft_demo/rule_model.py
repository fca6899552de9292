"""A chat model made of rules, for when no real one is configured: it streams and calls tools like one."""

import re
from typing import Any
from uuid import uuid4

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolCall, ToolMessage
from langchain_core.runnables import Runnable

from lineshaft_demo.word_model import Answer, WordModel

MAX_COUNT = 1_000
# No request that a rule understands is longer; a pasted book need not be searched by every rule.
MAX_REQUEST = 500
# Slow enough to cancel a run by hand, or to close its stream and join it again.
SECONDS_PER_SLOW_WORD = 0.2

ABILITIES = (
    'I can calculate ("what is 12 * 7?"), search this thread ("what did I say about apples?") '
    'and count ("count to 50 slowly" leaves you time to cancel).'
)
NO_MODEL = "I am a small rule-based model; set OPENAI_API_KEY or OPENAI_BASE_URL to talk to a real one."

_COUNT = re.compile(r"\bcount (?:up )?to (\d{1,6})\b(.*\bslowly\b)?", re.IGNORECASE | re.DOTALL)
_SEARCH = re.compile(
    r"\b(?:search(?: (?:this|the) thread)?(?: for)?|look for|what (?:did|have) (?:i|you|we) \w+(?: you| me)? about)"
    r"\s+(.+)",
    re.IGNORECASE,
)
_QUESTION = re.compile(r".*\b(?:what(?:'s| is)|how much is|calculate|compute)\b", re.IGNORECASE)
_ARITHMETIC = frozenset("0123456789.+-*/%^() \N{MULTIPLICATION SIGN}\N{DIVISION SIGN}\N{MINUS SIGN}")
_GREETING = re.compile(r"^(?:hello|hi|hey|good (?:morning|afternoon|evening))\b|\bhelp\b", re.IGNORECASE)


class RuleModel(WordModel):
    """Understands a few kinds of requests and answers each in the same way every time."""

    @property
    def _llm_type(self) -> str:
        return "rules"

    def bind_tools(self, *_args: Any, **_kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        """The model itself: its rules know `calculator` and `search_thread` by name."""
        return self

    def answer(self, messages: list[BaseMessage]) -> Answer:
        """The answer of the first rule that fits the last message."""
        match messages[-1] if messages else None:
            case ToolMessage() as result:
                return _report(result)
            case HumanMessage() as question:
                return _reply(question.text[:MAX_REQUEST].strip())
            case _:
                return Answer(f"Hello! How can I help? {ABILITIES}")


def _reply(text: str) -> Answer:
    if count := _COUNT.search(text):
        return _count(int(count[1]), slowly=bool(count[2]))
    if search := _SEARCH.search(text):
        return _call("search_thread", query=search[1].strip(" \t\n.?!\"'"))
    if expression := _expression(text):
        return _call("calculator", expression=expression)
    if _GREETING.search(text):
        return Answer(f"Hello! Yes, I am happy to help. {ABILITIES}")
    return Answer(f"I have no rule for that. {ABILITIES} {NO_MODEL}")


def _expression(text: str) -> str | None:
    """The arithmetic in a message that is an expression, or a question for the value of one."""
    question = _QUESTION.match(text)
    rest = text[question.end() :] if question else text
    expression = rest.strip().rstrip("=?!. ")
    return expression if expression and set(expression) <= _ARITHMETIC else None


def _report(result: ToolMessage) -> Answer:
    if result.status == "error":
        return Answer(f"That did not work. {result.text}")
    if result.name == "search_thread":
        return Answer(f"This is what I found:\n{result.text}")
    return Answer(f"The result is {result.text}.")


def _count(last: int, slowly: bool) -> Answer:
    numbers = " ".join(str(number) for number in range(1, min(last, MAX_COUNT) + 1))
    return Answer(numbers, seconds_per_word=SECONDS_PER_SLOW_WORD if slowly else 0.0)


def _call(name: str, **arguments: str) -> Answer:
    return Answer(tool_call=ToolCall(name=name, args=arguments, id=f"call_{uuid4().hex}"))
