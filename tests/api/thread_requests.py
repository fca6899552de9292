"""Requests to the operations on threads, in an application without a port."""

from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient

Api = TestClient[web.Request, web.Application]


async def create(api: Api, **fields: Any) -> Any:
    response = await api.post("/threads", json=fields)
    assert response.status == 200, await response.text()
    return await response.json()


async def refused(api: Api, method: str, path: str, status: int, **kwargs: Any) -> str:
    response = await api.request(method, path, **kwargs)
    assert response.status == status, await response.text()
    detail: str = (await response.json())["detail"]
    return detail
