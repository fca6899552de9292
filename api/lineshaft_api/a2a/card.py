"""Agent cards: where an agent is and what it can do, as clients of either version of the protocol read it."""

from typing import Any

from aiohttp import web

from lineshaft.assistants.assistant import Assistant
from lineshaft.assistants.graphs import GraphDescriptor
from lineshaft_api.context import MOUNT

from .message import takes_messages


def card(request: web.Request, assistant: Assistant, graph: GraphDescriptor | None) -> dict[str, Any]:
    """The card of an assistant."""
    url = f"{_origin(request)}{request.app[MOUNT]}/a2a/{assistant.assistant_id}"
    says = ["text/plain"] if takes_messages(graph) else []
    description = assistant.description or f"{assistant.name} assistant"
    return {
        "name": assistant.name,
        "description": description,
        "url": url,
        # Clients of 1.0 look here; those of 0.3 at `url` and the three fields behind.
        "supportedInterfaces": [{"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
        "preferredTransport": "JSONRPC",
        "protocolVersion": "0.3.0",
        "supportsAuthenticatedExtendedCard": False,
        "capabilities": {
            "streaming": True,
            "pushNotifications": False,
            "stateTransitionHistory": False,
            "extensions": [],
        },
        "defaultInputModes": [*says, "application/json"],
        "defaultOutputModes": ["text/plain", "application/json"],
        "skills": [
            {
                "id": f"{assistant.assistant_id}-main",
                "name": assistant.name,
                "description": description,
                "tags": ["assistant", assistant.graph_id],
            }
        ],
        "version": str(assistant.version),
    }


def _origin(request: web.Request) -> str:
    """Where the client has found us. A proxy that ends TLS says so."""
    scheme = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
    url = request.url.origin()
    return str(url.with_scheme(scheme) if scheme in {"http", "https"} else url)
