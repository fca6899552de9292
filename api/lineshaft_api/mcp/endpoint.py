"""/mcp: the streamable HTTP transport without sessions, and with JSON answers only."""

import importlib.metadata
from typing import Any

from aiohttp import web
from msgspec import UNSET, Struct

from lineshaft.errors import BadRequest, Invalid, LineshaftError, NotFound
from lineshaft_api import jsonrpc
from lineshaft_api.auth.access import ITSELF
from lineshaft_api.jsonrpc import Code
from lineshaft_api.operation import Operation, operation
from lineshaft_api.waiting import LateResponse

from . import calls, tools

_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")  # the last for those who speak another
_CODES: dict[type[LineshaftError], int] = dict.fromkeys((Invalid, BadRequest, NotFound), Code.INVALID_PARAMS)


class _Initialize(Struct, rename="camel"):
    protocol_version: str = ""


class _ToolsList(Struct):
    cursor: str = "0"


@operation(
    "POST", "/mcp", also=(202,), errors=(400,), tags=("MCP",), media="application/json", scope="read", access=ITSELF
)
async def post_mcp(request: web.Request, body: jsonrpc.Body) -> web.StreamResponse:
    """Speak the Model Context Protocol: `initialize`, `ping`, `tools/list`, `tools/call`.

    Each assistant is a tool; a call is a run on a thread of its own, which ends with its request. Errors of the
    protocol have status 200 and an `error` in the body; notifications are answered by an empty 202. What is no call at
    all is refused: status 400, and the reason as text in `error`.
    """
    if not {"application/json", "text/event-stream"} & jsonrpc.accepts(request):
        return jsonrpc.refuse("Not Acceptable: the Accept header must name application/json or text/event-stream")
    try:
        call = jsonrpc.call(jsonrpc.document(body))
    except Invalid as error:
        return jsonrpc.refuse(str(error))
    if call.method is UNSET or call.id is UNSET:
        return web.Response(status=202)  # nothing that a client notifies of, or answers, changes anything here
    response = LateResponse(request)
    outcome: Any
    try:
        outcome = await _answer(request, call.method, call.params, response)
    except LineshaftError as error:
        outcome = jsonrpc.failure(error, _CODES)
    return await response.send(jsonrpc.envelope(call.id, outcome))


@operation(
    "POST", "/mcp/", also=(202,), errors=(400,), tags=("MCP",), media="application/json", scope="read", access=ITSELF
)
async def post_mcp_slash(request: web.Request, body: jsonrpc.Body) -> web.StreamResponse:
    """The same as `/mcp`, for clients that do not follow redirects."""
    response: web.StreamResponse = await post_mcp.handler(request, body)
    return response


async def _answer(request: web.Request, method: str, params: Any, response: LateResponse) -> Any:
    match method:
        case "initialize":
            asked = jsonrpc.params(params, _Initialize).protocol_version
            return {
                "protocolVersion": asked if asked in _VERSIONS else _VERSIONS[-1],
                "capabilities": {"tools": {"listChanged": False}},
                "serverInfo": {"name": "Lineshaft", "version": importlib.metadata.version("lineshaft")},
            }
        case "ping":
            return {}
        case "tools/list":
            return await tools.page(request, jsonrpc.params(params, _ToolsList).cursor)
        case "tools/call":
            return await calls.call(request, jsonrpc.params(params, calls.ToolCall), response)
        case _:
            return jsonrpc.Failure(Code.METHOD_NOT_FOUND, f"Method not found: {method}")


OPERATIONS: list[Operation] = [post_mcp, post_mcp_slash]
