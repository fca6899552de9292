"""Applications as users bring them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

LIFE: list[str] = []
CLOSED = asyncio.Event()


@asynccontextmanager
async def lifespan(_app: Any) -> AsyncIterator[dict[str, Any]]:
    LIFE.append("up")
    yield {"opened": "pool"}
    LIFE.append("down")


async def hello(request: Request) -> Response:
    """Say hello.
    ---
    summary: Say hello
    responses:
      200:
        description: hello
    """
    return JSONResponse({"name": request.query_params.get("name"), "opened": request.state.opened})


async def echo(request: Request) -> Response:
    body, user = await request.body(), request.scope.get("user")
    shown = {"path": request.url.path, "root": request.scope["root_path"], "user": getattr(user, "identity", None)}
    return JSONResponse({"bytes": len(body), **shown})


async def bad(_request: Request) -> Response:
    """
    ---
    summary: [no YAML
    """
    raise ValueError("a wrong value")


async def broken(_request: Request) -> Response:
    raise RuntimeError("a mistake")


async def cut(_request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        raise RuntimeError("a mistake")

    return StreamingResponse(parts())


async def ticks(_request: Request) -> Response:
    """Events without end."""

    async def parts() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"data: tick\n\n"
                await asyncio.sleep(0.01)
        finally:
            CLOSED.set()

    return StreamingResponse(parts(), media_type="text/event-stream")


async def taken(_request: Request) -> Response:
    return JSONResponse({"custom": True})


@asynccontextmanager
async def failing(_app: Any) -> AsyncIterator[None]:
    raise RuntimeError("no database")
    yield


async def read_first(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """As middleware that logs or checks a body does."""
    body = await request.body()
    response = await call_next(request)
    response.headers["X-Seen"] = str(len(body))
    return response


class Rename:
    """Middleware that tells those behind it a header of its own."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope = {**scope, "headers": [*scope["headers"], (b"x-from-middleware", b"yes")]}
        await self.app(scope, receive, send)


def starlette() -> Starlette:
    routes = [
        Route("/custom/hello", hello),
        Route("/custom/echo", echo, methods=["POST"]),
        Route("/custom/bad", bad),
        Route("/custom/broken", broken),
        Route("/custom/cut", cut),
        Route("/custom/ticks", ticks),
        *(
            Route(path, taken)
            for path in ("/ok", "/metrics", "/docs", "/openapi.json", "/info", "/threads/{thread_id}")
        ),
    ]
    middleware = [Middleware(BaseHTTPMiddleware, dispatch=read_first), Middleware(Rename)]
    return Starlette(routes=routes, middleware=middleware, lifespan=lifespan)


class Item(BaseModel):
    name: str


def fastapi() -> FastAPI:
    app = FastAPI(lifespan=lifespan)

    @app.post("/custom/items", summary="Take an item")
    async def take(item: Item) -> Item:
        return item

    return app
