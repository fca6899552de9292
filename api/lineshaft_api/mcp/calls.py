"""Calls of tools: a run on a thread of its own, and its end as text."""

from typing import Any

import msgspec
from aiohttp import web
from msgspec import UNSET, Raw, Struct, UnsetType

from lineshaft.runs.request import RunCreate
from lineshaft_api.auth.running import create_run
from lineshaft_api.context import CLIENT
from lineshaft_api.disconnect import cancelling
from lineshaft_api.outcome import Outcome
from lineshaft_api.waiting import LateResponse, wait_for_end

from . import tools


class ToolCall(Struct):
    """Which tool to call, and with what."""

    name: str
    arguments: dict[str, Any] = {}
    context: dict[str, Any] | UnsetType = UNSET


class Text(Struct, tag_field="type", tag="text"):
    """A piece of a result."""

    text: str


class ToolResult(Struct, rename="camel", omit_defaults=True):
    """What a call came to. The failure of a graph is one too: models learn from it."""

    content: list[Text]
    is_error: bool = False


class _Error(Struct):
    error: str
    message: str


async def call(request: web.Request, asked: ToolCall, response: LateResponse) -> ToolResult:
    """Call a tool and wait for what it says. Raises Invalid, and what creating a run raises.

    Nobody but this request can read the answer: there is no session and no stream that could be resumed, and no id by
    which the client could cancel. So the run ends with the connection.
    """
    client = request.app[CLIENT]
    assistant = await tools.find(request, asked.name)
    body = RunCreate(
        assistant_id=assistant.assistant_id,
        input=Raw(msgspec.json.encode(await tools.graph_input(client, assistant, asked.arguments))),
        context=asked.context,
    )
    created = await create_run(request, None, body)
    run = created.run
    with cancelling(request, run.thread_id, run.run_id, active=True):
        await response.begin()
        return _result(await wait_for_end(request.app, run.thread_id, run.run_id, created.position, response.beat))


def _result(outcome: Outcome) -> ToolResult:
    if outcome.error is not None:
        error = msgspec.json.decode(outcome.error, type=_Error)
        return ToolResult([Text(f"{error.error}: {error.message}" if error.message else error.error)], is_error=True)
    if outcome.status == "timeout":
        return ToolResult([Text("TimeoutError: the run took longer than this server allows")], is_error=True)
    if outcome.status == "interrupted":
        return ToolResult([Text("The run was cancelled before it came to its end")], is_error=True)
    return ToolResult([Text(msgspec.json.format(outcome.body() or b"{}", indent=0).decode())])
