"""Whatever a client sends to assistants and threads, it is told what is wrong with it: never a 5xx."""

import asyncio
import itertools
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.system.server import DevServer

pytestmark = pytest.mark.xdist_group("any_input")
PROJECT = Path(__file__).parents[1] / "contract" / "resources_project" / "langgraph.json"


Request = tuple[str, str | httpx.URL, Any]


def deep(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = {"a": value} if level % 2 else [value]
    return value


# Values that no field wants, or that are at the edge of what some want.
STRANGE: list[Any] = [
    None, True, 0, -1, 1.5, 2**31, 2**63, 10**30, 1e308, "", "x", "\0", "\U0001f600 é", "x" * 5000, "../..", "%00",
    [], [None], [[]], ["x", 1], {}, {"": None}, {"a": None}, {"\0": "\0"}, {"a.b[0]": 1}, deep(15), deep(150),
    str(uuid.UUID(int=0)), {"configurable": {"checkpoint_id": "x"}}, {"checkpoint_id": 1}, {"x": 2**70},
]  # fmt: skip
# Bodies that work, by operation: each of their fields is replaced by everything that is strange, one at a time.
BODIES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/assistants", {
        "graph_id": "counter", "assistant_id": "{new}", "name": "n", "description": "d", "metadata": {}, "config": {},
        "context": {}, "if_exists": "raise",
    }),
    ("PATCH", "/assistants/{assistant}", {
        "graph_id": "counter", "name": "n", "description": "d", "metadata": {}, "config": {}, "context": {},
    }),
    ("PUT", "/assistants/{assistant}", {
        "graph_id": "counter", "name": "n", "description": "d", "metadata": {}, "config": {}, "context": {},
    }),
    ("POST", "/assistants/search", {
        "metadata": {}, "graph_id": "counter", "name": "n", "limit": 1, "offset": 0, "sort_by": "name",
        "sort_order": "asc", "select": [],
    }),
    ("POST", "/assistants/count", {"metadata": {}, "graph_id": "counter", "name": "n"}),
    ("POST", "/assistants/{assistant}/versions", {"metadata": {}, "limit": 1, "offset": 0}),
    ("POST", "/assistants/{assistant}/latest", {"version": 1}),
    ("POST", "/threads", {
        "thread_id": "{new}", "metadata": {"graph_id": "counter"}, "if_exists": "raise",
        "ttl": {"ttl": 1, "strategy": "delete"},
        "supersteps": [{"updates": [{"values": {}, "as_node": "first", "command": {"goto": "second"}}]}],
    }),
    ("PATCH", "/threads/{thread}", {"metadata": {}, "ttl": {"ttl": 1, "strategy": "delete"}}),
    ("POST", "/threads/search", {
        "metadata": {}, "values": {}, "status": "idle", "ids": [], "limit": 1, "offset": 0, "sort_by": "status",
        "sort_order": "asc", "select": [], "extract": {"a": "values.x"},
    }),
    ("POST", "/threads/count", {"metadata": {}, "values": {}, "status": "idle"}),
    ("POST", "/threads/prune", {"thread_ids": [], "strategy": "keep_latest"}),
    ("POST", "/threads/{thread}/copy", {}),
    ("POST", "/threads/{thread}/state", {
        "values": {"total": 1}, "as_node": "first", "checkpoint_id": "x",
        "checkpoint": {"checkpoint_id": "x", "checkpoint_ns": "", "checkpoint_map": {}, "thread_id": "x"},
    }),
    ("POST", "/threads/{thread}/state/checkpoint", {
        "checkpoint": {"checkpoint_id": "x", "checkpoint_ns": "", "checkpoint_map": {}, "thread_id": "x"},
        "subgraphs": True,
    }),
    ("POST", "/threads/{thread}/history", {
        "limit": 1, "before": "x", "metadata": {},
        "checkpoint": {"checkpoint_id": "x", "checkpoint_ns": "", "checkpoint_map": {}, "thread_id": "x"},
    }),
    ("POST", "/threads/{thread}/messages", {
        "role": "tool", "content": "c", "id": "i", "name": "n", "tool_calls": [], "tool_call_id": "t",
        "status": "success", "additional_kwargs": {},
    }),
]  # fmt: skip
QUERIES: list[tuple[str, list[str]]] = [
    ("/assistants", ["graph_id", "name", "limit", "offset", "sort_by", "sort_order"]),
    ("/assistants/{assistant}/graph", ["xray"]),
    ("/assistants/{assistant}/subgraphs", ["recurse"]),
    ("/assistants/{assistant}/subgraphs/x", ["recurse"]),
    ("/threads/{thread}", ["include", "select"]),
    ("/threads/{thread}/state", ["subgraphs"]),
    ("/threads/{thread}/state/x", ["subgraphs"]),
    ("/threads/{thread}/history", ["limit", "before"]),
    ("/threads/{thread}/messages", ["limit", "offset"]),
]
PATHS = [
    ("GET", "/assistants/{id}"), ("DELETE", "/assistants/{id}"), ("PATCH", "/assistants/{id}"),
    ("GET", "/assistants/{id}/graph"), ("GET", "/assistants/{id}/schemas"), ("GET", "/assistants/{id}/subgraphs"),
    ("GET", "/assistants/{assistant}/subgraphs/{id}"), ("POST", "/assistants/{id}/versions"), ("GET", "/threads/{id}"),
    ("DELETE", "/threads/{id}"), ("POST", "/threads/{id}/copy"), ("GET", "/threads/{id}/storage"),
    ("GET", "/threads/{id}/state"), ("GET", "/threads/{thread}/state/{id}"), ("POST", "/threads/{id}/state"),
    ("GET", "/threads/{id}/history"), ("GET", "/threads/{id}/messages"), ("POST", "/threads/{id}/messages"),
]  # fmt: skip
TEXTS = [
    "", "0", "-1", "1.5", "true", "x", "%", "\0", "\U0001f600 é", "9" * 30, "9" * 5000, "x" * 3000, "a|b", "a:b",
    str(uuid.UUID(int=0)), "0" * 32,
]  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    with DevServer(tmp_path_factory.mktemp("any"), config=PROJECT) as server:
        yield server


@pytest.fixture
async def http(server: DevServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
        yield http


@pytest.fixture
async def names(http: httpx.AsyncClient) -> dict[str, str]:
    """An assistant and a thread with states, to put into paths."""
    assistant = (await http.post("/assistants", json={"graph_id": "nested"})).json()["assistant_id"]
    thread = (await http.post("/threads", json={"metadata": {"graph_id": "counter"}})).json()["thread_id"]
    run = {"assistant_id": "counter", "input": {"total": 1}}
    assert (await http.post(f"/threads/{thread}/runs/wait", json=run)).status_code == 200
    return {"assistant": assistant, "thread": thread}


def fill(value: Any) -> Any:
    """A new id in place of `{new}`."""
    return str(uuid.uuid4()) if value == "{new}" else value


def variants(body: Any) -> Iterator[Any]:
    """The body with each of its parts, at any depth, replaced by each strange value, or left out."""
    if isinstance(body, dict):
        for name, part in body.items():
            yield {key: value for key, value in body.items() if key != name}
            for strange in itertools.chain(STRANGE, variants(part)):
                yield {**body, name: strange}
    elif isinstance(body, list):
        for number, part in enumerate(body):
            for strange in itertools.chain(STRANGE, variants(part)):
                yield [*body[:number], strange, *body[number + 1 :]]


async def answers(http: httpx.AsyncClient, requests: list[Request]) -> list[str]:
    """What was answered with a 5xx, or with an error that is no sentence."""
    wrong: list[str] = []
    left = iter(requests)

    async def ask() -> None:
        for method, path, options in left:
            response = await http.request(method, path, **options)
            for _ in range(20):  # a worker that is too busy for the moment is nobody's mistake
                if response.status_code == 503 and "retry-after" in response.headers:
                    response = await http.request(method, path, **options)
            is_json = response.headers.get("content-type", "").startswith("application/json")
            told = response.status_code < 400 or (is_json and isinstance(response.json().get("detail"), str))
            if response.status_code >= 500 or not told:
                wrong.append(f"{method} {path} {str(options)[:300]}: {response.status_code} {response.text[:300]}")

    await asyncio.gather(*(ask() for _ in range(4)))
    return wrong


@pytest.mark.parametrize(("method", "path", "body"), BODIES)
async def test_bodies(
    http: httpx.AsyncClient, names: dict[str, str], method: str, path: str, body: dict[str, Any]
) -> None:
    sound = {name: fill(part) for name, part in body.items()}
    assert (await http.request(method, path.format(**names), json=sound)).status_code == 200
    whole = [*STRANGE, *variants(body)]
    encoded = [
        json.dumps({name: fill(part) for name, part in one.items()} if isinstance(one, dict) else one).encode()
        for one in whole
    ]
    bodies = [*encoded, b"", b"{", b"\xff", b'{"a":1e400}', b'{"metadata":{"a":"\\ud800"}}', b"[" * 100_000]
    # More digits than Python takes for an integer at once.
    bodies += [b'{"%b":%b}' % (name.encode(), b"9" * 5000) for name in body]
    assert await answers(http, [(method, path.format(**names), {"content": one}) for one in bodies]) == []


@pytest.mark.parametrize(("path", "parameters"), QUERIES)
async def test_queries(http: httpx.AsyncClient, names: dict[str, str], path: str, parameters: list[str]) -> None:
    requests: list[Request] = [
        ("GET", path.format(**names), {"params": {name: text}}) for name in parameters for text in TEXTS
    ]  # fmt: skip
    assert await answers(http, requests) == []


async def test_paths(http: httpx.AsyncClient, names: dict[str, str]) -> None:
    requests: list[Request] = [
        (
            method,
            httpx.URL(http.base_url, raw_path=path.format(id=quote(text, safe=""), **names).encode()),
            {"json": {}},
        )
        for method, path in PATHS
        for text in TEXTS[1:]
    ]
    assert await answers(http, requests) == []
