"""One of two tenants of a gateway: what they have, and requests that name it."""

import json
import re
from typing import Any

import aiohttp

from lineshaft.ids import uuid7

from .gateway import Gateway

MARK = "alices-secret"  # in everything that is alice's
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
RUN = {"assistant_id": "{assistant_id}"}
# Everybody's graph, on a thread that is not.
GRAPH_RUN = {"assistant_id": "g", "input": {"x": [1]}, "command": None, "config": {"tags": ["t"]}}


def rpc(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


# What is sent to each operation that takes more than its path: `{thread_id}` and the like are somebody's, or nobody's.
BODIES: dict[str, list[Any]] = {
    "POST /assistants": [
        {"assistant_id": "{assistant_id}", "graph_id": "g", "if_exists": how} for how in ("raise", "do_nothing")
    ],
    "GET /assistants": [None],
    "POST /assistants/search": [{}, {"metadata": {"owner": "alice"}}],
    "POST /assistants/count": [{"name": MARK}, {"metadata": {"owner": "alice"}}],
    "PATCH /assistants/{assistant_id}": [{"name": "mine"}],
    "PUT /assistants/{assistant_id}": [{"graph_id": "g"}],
    "POST /assistants/{assistant_id}/versions": [{}],
    "POST /assistants/{assistant_id}/latest": [{"version": 1}],
    "POST /threads": [{"thread_id": "{thread_id}", "if_exists": how} for how in ("raise", "do_nothing")],
    "POST /threads/search": [{}, {"ids": ["{thread_id}"]}, {"metadata": {"owner": "alice"}}],
    "POST /threads/count": [{}, {"metadata": {"owner": "alice"}}],
    "POST /threads/prune": [{"thread_ids": ["{thread_id}"]}],
    "POST /threads/{thread_id}/copy": [None],
    "PATCH /threads/{thread_id}": [{"metadata": {"x": 1}}],
    "POST /threads/{thread_id}/messages": [{"role": "user", "content": "hi"}],
    "POST /threads/{thread_id}/state": [{"values": {"x": 1}}],
    "POST /threads/{thread_id}/state/checkpoint": [{"checkpoint": {}}],
    "POST /threads/{thread_id}/history": [{}],
    "POST /threads/{thread_id}/runs": [GRAPH_RUN, RUN],
    "POST /threads/{thread_id}/runs/stream": [GRAPH_RUN, RUN],
    "POST /threads/{thread_id}/runs/wait": [GRAPH_RUN, RUN],
    "POST /threads/{thread_id}/runs/{run_id}/cancel": [None],
    "POST /threads/{thread_id}/runs/crons": [{"schedule": "@yearly", **run} for run in (GRAPH_RUN, RUN)],
    "POST /runs": [RUN],
    "POST /runs/stream": [RUN],
    "POST /runs/wait": [RUN],
    "POST /runs/batch": [[RUN]],
    "POST /runs/cancel": [{"thread_id": "{thread_id}", "run_ids": ["{run_id}"]}, {"status": "all"}],
    "POST /runs/crons": [{"schedule": "@yearly", **RUN}],
    "POST /runs/crons/search": [{}, {"thread_id": "{thread_id}"}, {"assistant_id": "{assistant_id}"}],
    "POST /runs/crons/count": [{"metadata": {"owner": "alice"}}, {"thread_id": "{thread_id}"}],
    "PATCH /runs/crons/{cron_id}": [{"enabled": False}, {"input": {"x": [1]}, "config": {"tags": ["t"]}}],
    "PUT /store/items": [{"namespace": ["n"], "key": "other", "value": {"x": 1}}],
    "DELETE /store/items": [{"namespace": ["alice", "n"], "key": "k"}, {"namespace": ["n"], "key": "k"}],
    "POST /store/items/search": [{}, {"namespace_prefix": ["alice"]}],
    "POST /store/namespaces": [{}, {"prefix": ["alice"]}, {"prefix": ["*"]}],
    "POST /threads/{thread_id}/commands": [
        {"id": 1, "method": "run.start", "params": {"assistant_id": "{assistant_id}"}},
        {"id": 1, "method": "input.respond", "params": {"interrupt_id": "i", "response": 1}},
    ],
    "POST /internal/runs/cancel": [{"where": {"graph": "g"}, "dry_run": False}],
    "POST /internal/runs/retry": [{"where": {"graph": "g"}, "dry_run": False}],
    "POST /mcp": [rpc("tools/list"), rpc("tools/call", name=MARK)],
    "POST /mcp/": [rpc("tools/list")],
    "POST /a2a/{assistant_id}": [
        rpc("message/send", message={"role": "user", "parts": [{"kind": "text", "text": "hi"}], "messageId": "m"}),
        rpc("tasks/get", id="{thread_id}:{run_id}"),
        rpc("ListTasks"),
        rpc("GetExtendedAgentCard"),
    ],
}  # fmt: skip
QUERIES: dict[str, str] = {
    "GET /store/items": "namespace=alice.n&key=k",
    "GET /.well-known/agent-card.json": "assistant_id={assistant_id}",
    "POST /threads/{thread_id}/runs/{run_id}/cancel": "wait=1",
}


class Tenant:
    """`ids` are what they have, by the names in paths."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        self._gateway = gateway
        self.headers = {"Authorization": f"Bearer {name}", "Accept": "application/json, text/event-stream"}
        self.ids: dict[str, str] = {}

    async def json(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        return await self._gateway.json(method, path, status, json=body, headers=self.headers)

    async def settle(self) -> None:
        """Make one of everything."""
        thread = await self.json("POST", "/threads", {"metadata": {"m": MARK}})
        assistant = await self.json("POST", "/assistants", {"graph_id": "g", "name": MARK})
        path = f"/threads/{thread['thread_id']}"
        run = await self.json("POST", f"{path}/runs", {"assistant_id": "g", "input": MARK})
        cron = await self.json(
            "POST", f"{path}/runs/crons", {"assistant_id": "g", "schedule": "@yearly", "input": MARK}
        )
        await self._gateway.http.post(f"{path}/messages", json={"role": "user", "content": MARK}, headers=self.headers)
        item = {"namespace": ["n"], "key": "k", "value": {"v": MARK}}
        async with self._gateway.http.put("/store/items", json=item, headers=self.headers) as put:
            assert put.status == 204
        self.ids = {
            "thread_id": thread["thread_id"],
            "assistant_id": assistant["assistant_id"],
            "run_id": run["run_id"],
            "cron_id": cron["cron_id"],
        }

    async def belongings(self) -> list[Any]:
        """All that they have, for comparing it with later."""
        filled = {name: f"/{value}" for name, value in self.ids.items()}
        return [
            await self.json("GET", f"/threads{filled['thread_id']}"),
            await self.json("GET", f"/threads{filled['thread_id']}/messages"),
            await self.json("GET", f"/threads{filled['thread_id']}/runs"),
            await self.json("GET", f"/assistants{filled['assistant_id']}"),
            await self.json("GET", f"/runs/crons{filled['cron_id']}"),
            await self.json("POST", "/threads/search", {}),
            await self.json("POST", "/runs/crons/search", {}),
            await self.json("POST", "/store/items/search", {}),
        ]

    async def send(self, operation: str, body: Any, ids: dict[str, str]) -> tuple[int, str]:
        """Status and text of an answer, without the ids in it; of an answer that goes on its status only."""
        async with self.open(operation, body, ids) as response:
            if response.content_type == "text/event-stream" or "Content-Location" in response.headers:
                return response.status, "goes on"
            return response.status, UUID.sub("ID", await response.text())

    def open(self, operation: str, body: Any, ids: dict[str, str]) -> "aiohttp.client._RequestContextManager":
        """The request itself."""
        method, _, path = operation.partition(" ")
        fixed = {
            "asset": "start.js",
            "namespace": "n",
            "checkpoint_id": "00000000-0000-0000-0000-000000000000",
            "queue": "runs",
            "worker": "w",
            "letter_id": "1-0",
        }
        query = QUERIES.get(operation, "")
        url = f"{path}?{query}" if query else path
        return self._gateway.http.request(
            method,
            _filled(url, ids | fixed),
            data=None if body is None else _filled(json.dumps(body), ids),
            headers=self.headers,
        )


def nobodys() -> dict[str, str]:
    """Ids of nothing."""
    return {name: uuid7() for name in ("thread_id", "assistant_id", "run_id", "cron_id")}


def _filled(text: str, ids: dict[str, str]) -> str:
    for name, value in ids.items():
        text = text.replace(f"{{{name}}}", value)
    return text
