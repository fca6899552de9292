"""Code of the user's at auth.path: what it is asked, and what its answers mean."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lineshaft.config.auth import AuthConfig
from lineshaft.errors import ConfigError
from lineshaft.ids import uuid7
from lineshaft.redis.client import Client
from lineshaft_api.auth import custom
from tests.shared.until import until

from .gateway import Gateway, serving

PRELUDE = """
import asyncio, dataclasses, os, time
from langgraph_sdk import Auth
auth = Auth()
Stop = Auth.exceptions.HTTPException
"""
ANYBODY = """
@auth.authenticate
async def authenticate(headers):
    name = headers.get(b"authorization", b"").decode()
    return {"identity": name or "nobody"}
"""
Serve = Callable[..., Any]


@pytest.fixture
def serve(client: Client, tmp_path: Path) -> Serve:
    @asynccontextmanager
    async def start(code: str, *, studio: bool = False, **config: Any) -> AsyncIterator[Gateway]:
        file = tmp_path / f"auth_{uuid7().replace('-', '_')}.py"
        file.write_text(PRELUDE + code)
        section = msgspec.convert({"path": f"{file}:auth", **config}, AuthConfig)
        settings = msgspec.structs.replace(client.settings, langgraph_auth=section, lineshaft_studio=studio)
        async with serving(client, settings) as gateway:
            yield gateway

    return start


async def answer(gateway: Gateway, name: str = "", **more: Any) -> tuple[int, str]:
    """Status and detail of a search for threads by somebody."""
    request = {"json": {}, "headers": {"Authorization": name}, **more}
    async with gateway.http.post("/threads/search", **request) as response:
        body = await response.json()
        return response.status, body["detail"] if isinstance(body, dict) else ""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return 'plain'", (200, "")),
        ("return {'identity': 'a'}", (200, "")),
        ("return (['p'], {'identity': 'a'})", (200, "")),
        ("return dataclasses.make_dataclass('User', ['identity'])('a')", (200, "")),
        ("return None", (400, "The authentication of this server returned a user without an identity")),
        ("return {'name': 'a'}", (400, "The authentication of this server returned a user without an identity")),
        ("raise Stop(status_code=401, detail='no')", (401, "no")),
        ("raise Stop(status_code=403, detail='banned')", (403, "banned")),
        ("raise Stop(status_code=418, detail='teapot')", (500, "Internal Server Error")),
        ("raise RuntimeError('bug')", (500, "Internal Server Error")),
        ("assert False, 'bug'", (500, "Internal Server Error")),
    ],
)
@pytest.mark.parametrize("kind", ["async def", "def"])
async def test_what_authenticate_may_return_and_raise(
    serve: Serve, kind: str, body: str, expected: tuple[int, str]
) -> None:
    async with serve(f"@auth.authenticate\n{kind} who():\n    {body}\n") as gateway:
        assert await answer(gateway) == expected


async def test_authenticate_is_told_what_it_asks_for_by_name(serve: Serve) -> None:
    code = """
@auth.authenticate
async def who(request, body, path, method, path_params, query_params, headers, authorization, scope, scopes, user,
              other=3, **more):
    assert other == 3 and not more and user is None and scopes == []
    assert body == {"a": 1} and (await request.json()) == body
    assert (path, method) == ("/threads/search", "POST") and query_params == {"q": "1"} and path_params == {}
    assert headers[b"authorization"] == b"A" and authorization == "A" == request.headers["authorization"]
    assert request.url.path == path == scope["path"] and request.method == method
    return "a"
"""
    async with serve(code) as gateway:
        assert await answer(gateway, "A", json={"a": 1}, params={"q": "1"}) == (200, "")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return None", (200, "")),
        ("return True", (200, "")),
        ("return {}", (200, "")),
        ("return {'owner': ctx.user.identity}", (200, "")),
        ("return False", (403, "Forbidden")),
        ("return 'yes'", (500, "Internal Server Error")),
        ("raise Stop(status_code=422, detail='odd')", (422, "odd")),
        ("assert False, 'not you'", (403, "not you")),
        ("raise RuntimeError('bug')", (500, "Internal Server Error")),
    ],
)
async def test_what_handlers_may_return_and_raise(serve: Serve, body: str, expected: tuple[int, str]) -> None:
    async with serve(f"{ANYBODY}\n@auth.on.threads.search\nasync def search(ctx, value):\n    {body}\n") as gateway:
        assert await answer(gateway) == expected


async def test_the_headers_of_a_handlers_refusal_are_sent(serve: Serve) -> None:
    code = f"""{ANYBODY}
@auth.on
async def slow_down(ctx, value):
    raise Stop(status_code=429, detail="later", headers={{"Retry-After": "7"}})
"""
    async with serve(code) as gateway, gateway.http.get(f"/threads/{uuid7()}") as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "7")


async def test_the_most_specific_handler_alone_is_asked(serve: Serve) -> None:
    code = f"""{ANYBODY}
def refuse(text):
    async def handler(ctx, value):
        raise Stop(status_code=403, detail=f"{{text}} {{ctx.resource}}.{{ctx.action}}")
    return handler
auth.on(refuse("global"))
auth.on.threads(refuse("resource"))
auth.on.threads.search(refuse("both"))
"""
    async with serve(code) as gateway:
        assert await answer(gateway) == (403, "both threads.search")
        assert (await gateway.json("GET", f"/threads/{uuid7()}", 403))["detail"] == "resource threads.read"
        assert (await gateway.json("POST", "/assistants/count", 403, json={}))["detail"] == "global assistants.search"


async def test_where_nobody_is_asked_everything_is_allowed(serve: Serve) -> None:
    async with serve(ANYBODY) as gateway:
        thread = await gateway.json("POST", "/threads", json={})
        await gateway.json("GET", f"/threads/{thread['thread_id']}")
        gateway.desk.adopt(thread["thread_id"])


@pytest.mark.parametrize("code", ["await asyncio.sleep(600)", "time.sleep(600)"])
async def test_authentication_that_hangs_is_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(custom, "PATIENCE", 0.2)
    kind = "async def" if "await" in code else "def"
    async with serve(f"@auth.authenticate\n{kind} who():\n    {code}\n") as gateway:
        status, detail = await asyncio.wait_for(answer(gateway), 60)  # seconds; it hangs for ten times that
        assert status == 503
        assert "did not answer" in detail


async def test_a_function_that_blocks_holds_up_nobody_else(serve: Serve, tmp_path: Path) -> None:
    entered, gate = tmp_path / "entered", tmp_path / "gate"
    code = f"""
@auth.authenticate
def who():
    open({str(entered)!r}, "w").close()
    while not os.path.exists({str(gate)!r}):
        time.sleep(0.01)
    return "a"
"""
    async with serve(code) as gateway:
        waiting = asyncio.create_task(answer(gateway))
        await until(entered.exists, "it blocks")
        await gateway.json("GET", "/ok")
        assert not waiting.done()
        gate.touch()
        assert (await waiting)[0] == 200


async def test_answers_are_kept_where_the_configuration_says_so(serve: Serve) -> None:
    code = """
asked = []
@auth.authenticate
async def who(authorization):
    asked.append(authorization)
    return {"identity": f"{authorization}{len(asked)}"}
@auth.on
async def tell(ctx, value):
    raise Stop(status_code=403, detail=ctx.user.identity)
"""
    async with serve(code, cache={"cache_keys": ["authorization"], "ttl_seconds": 60, "max_size": 2}) as gateway:
        told = [(await answer(gateway, name))[1] for name in ("a", "a", "b", "c", "c", "a")]
    assert told == ["a1", "a1", "b2", "c3", "c3", "a4"]  # two are kept
    async with serve(code) as gateway:
        assert [(await answer(gateway, "a"))[1] for _ in range(2)] == ["a1", "a2"]


async def test_studio_comes_in_on_this_machine_only_and_only_if_it_may(serve: Serve) -> None:
    code = """
@auth.authenticate
async def who():
    raise Stop(status_code=401, detail="who?")
@auth.on
async def tell(ctx, value):
    assert isinstance(ctx.user, Auth.types.StudioUser)
    raise Stop(status_code=403, detail=ctx.user.identity)
"""
    studio: Any = {"headers": {"x-auth-scheme": "langsmith"}}
    async with serve(code, studio=True) as gateway:
        assert await answer(gateway, **studio) == (403, "langgraph-studio-user")
        assert await answer(gateway) == (401, "who?")
    async with serve(code, studio=True, disable_studio_auth=True) as gateway:
        assert await answer(gateway, **studio) == (401, "who?")
    async with serve(code) as gateway:  # deployed
        assert await answer(gateway, **studio) == (401, "who?")


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("", "has no @auth.authenticate function"),
        ("auth = 1", "no langgraph_sdk.Auth"),
        ("del auth", "is missing"),
        ("1 / 0", "does not load: ZeroDivisionError"),
        ("@auth.authenticate\nasync def who(token): ...", "asks for 'token'"),
    ],
)
async def test_code_that_cannot_be_used_is_one_line_at_start(serve: Serve, code: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as refused:
        async with serve(code):
            pass
    assert "\n" not in str(refused.value)


async def test_what_a_user_has_beside_a_name_is_for_the_graph_alone(serve: Serve, client: Client) -> None:
    code = """
@auth.authenticate
async def who():
    return {"identity": "a", "permissions": ["p"], "token": "secret"}
"""
    async with serve(code) as gateway:
        thread = await gateway.thread()
        run = await gateway.json("POST", f"/threads/{thread}/runs", json={"assistant_id": "g"})
        shown = run["kwargs"]["config"]["configurable"]
        assert shown["langgraph_auth_user_id"] == "a"
        assert shown["langgraph_auth_user"] == {"identity": "a", "permissions": ["p"]}
        assert "secret" not in str(await gateway.json("GET", f"/threads/{thread}/runs/{run['run_id']}"))
        assert b"secret" in await client.command("HGET", client.keys.run(run["run_id"]), "doc")


async def test_the_document_has_the_users_own_security_schemes(serve: Serve) -> None:
    schemes = {"oauth": {"type": "http", "scheme": "bearer"}}
    async with serve(ANYBODY, openapi={"securitySchemes": schemes, "security": [{"oauth": []}]}) as gateway:
        shown = await gateway.json("GET", "/openapi.json")
    assert shown["components"]["securitySchemes"] == schemes
    assert shown["security"] == [{"oauth": []}]
