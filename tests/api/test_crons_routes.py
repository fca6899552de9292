"""The routes of crons."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from lineshaft.assistants.assistant import AssistantStore
from lineshaft.config.settings import Settings
from lineshaft.crons.request import MAX_PAYLOAD
from lineshaft.ids import system_assistant
from lineshaft.redis.client import Client
from lineshaft_api.app import build
from lineshaft_api.routes import crons, threads

Api = TestClient[web.Request, web.Application]
YEARLY = "0 0 1 1 *"


@pytest.fixture
async def api(client: Client, settings: Settings) -> AsyncIterator[Api]:
    """A gateway that has the graphs `chat` and `digest`."""
    for graph_id in ("chat", "digest"):
        await AssistantStore(client).ensure_system(graph_id, graph_id, None)
    operations = [*crons.OPERATIONS, *threads.OPERATIONS]
    async with TestClient(TestServer(build(client, settings, operations))) as started:
        yield started


async def asked(api: Api, method: str, path: str, status: int = 200, **request: Any) -> Any:
    response = await api.request(method, path, **request)
    assert response.status == status, await response.text()
    return await response.json() if status != 204 else None


async def create(api: Api, path: str = "/runs/crons", status: int = 200, **fields: Any) -> Any:
    return await asked(api, "POST", path, status, json={"assistant_id": "chat", "schedule": YEARLY, **fields})


async def patch(api: Api, cron: Any, status: int = 200, **fields: Any) -> Any:
    return await asked(api, "PATCH", f"/runs/crons/{cron['cron_id']}", status, json=fields)


async def found(api: Api, **fields: Any) -> list[Any]:
    rows: list[Any] = await asked(api, "POST", "/runs/crons/search", json=fields)
    return [row["metadata"]["i"] for row in rows]


async def test_a_cron_shows_what_it_was_made_of(api: Api) -> None:
    cron = await create(api, input={"x": [], "big": 2**60}, config={"tags": ["t"]}, unheard_of={"y": 1})
    assistant_id = system_assistant("chat")
    assert cron == {
        "cron_id": cron["cron_id"],
        "assistant_id": assistant_id,
        "thread_id": None,
        "user_id": "",
        "end_time": None,
        "schedule": YEARLY,
        "timezone": None,
        "payload": {
            "assistant_id": assistant_id,
            "schedule": YEARLY,
            "input": {"x": [], "big": 2**60},
            "config": {"tags": ["t"], "configurable": {"cron_id": cron["cron_id"]}},
            "unheard_of": {"y": 1},
        },
        "next_run_date": cron["next_run_date"],
        "metadata": {},
        "on_run_completed": "delete",
        "enabled": True,
        "created_at": cron["created_at"],
        "updated_at": cron["created_at"],
    }
    assert cron["next_run_date"].endswith("-01-01T00:00:00.000000+00:00")
    assert await asked(api, "GET", f"/runs/crons/{cron['cron_id'].upper()}") == cron
    assert await asked(api, "DELETE", f"/runs/crons/{cron['cron_id']}", 204) is None
    for method in ("GET", "DELETE"):
        await asked(api, method, f"/runs/crons/{cron['cron_id']}", 404)
        await asked(api, method, "/runs/crons/nonsense", 422)


async def test_an_integer_may_be_written_as_a_float(api: Api) -> None:
    cron = await create(api, config={"recursion_limit": 7.0})
    assert cron["payload"]["config"]["recursion_limit"] == 7
    cron = await patch(api, cron, config={"recursion_limit": 8.0})
    assert cron["payload"]["config"]["recursion_limit"] == 8


async def test_an_integer_beyond_64_bits_is_kept_as_a_float(api: Api) -> None:
    cron = await create(api, input={"n": 2**65 + 1})
    assert cron["payload"]["input"] == {"n": float(2**65)}


async def test_what_a_client_may_not_set_is_dropped(api: Api) -> None:
    cron = await create(
        api,
        metadata={"run_id": "x", "cron_id": "y", "kept": "a\0b"},
        config={"configurable": {"langgraph_auth_user": "root", "cron_id": "z", "mine": 1}, "metadata": {"run_id": 1}},
        context={"langgraph_auth_user_id": "root", "lang": "en"},  # beside configurable, other than for runs
    )
    assert cron["metadata"] == {"kept": "a\ufffdb"}
    assert cron["payload"]["metadata"] == {"kept": "a\ufffdb"}
    assert cron["payload"]["config"] == {"configurable": {"mine": 1, "cron_id": cron["cron_id"]}, "metadata": {}}
    assert cron["payload"]["context"] == {"lang": "en"}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"schedule": None}, 422),
        ({"schedule": "* * * * * * *"}, 422),
        ({"schedule": "0 0 30 2 *"}, 400),
        ({"timezone": None}, 422),
        ({"timezone": "Mars/Base"}, 422),
        ({"end_time": "soon"}, 422),
        ({"end_time": "9999-12-31T23:59:59-14:00"}, 422),
        ({"end_time": 5}, 422),
        ({"assistant_id": None}, 422),
        ({"assistant_id": "nobody"}, 404),
        ({"assistant_id": str(uuid.uuid4())}, 404),
        ({"metadata": {"graph_id": 5}}, 422),
        ({"multitask_strategy": "wait"}, 422),
        ({"config": {"recursion_limit": "many"}}, 422),
        ({"config": {"a\0": 1}}, 422),
        ({"context": {"a\0": 1}}, 422),
        ({"webhook": "ftp://example.com"}, 422),
        ({"command": {"resume": 1}}, 400),
        ({"input": "x" * MAX_PAYLOAD}, 413),
    ],
)
async def test_what_cannot_be_a_cron_is_refused(api: Api, fields: dict[str, Any], status: int) -> None:
    assert (await create(api, status=status, **fields))["detail"]
    assert await asked(api, "POST", "/runs/crons/count", json={}) == 0


@pytest.mark.parametrize("missing", ["assistant_id", "schedule"])
async def test_the_graph_and_the_schedule_are_required(api: Api, missing: str) -> None:
    body = {"assistant_id": "chat", "schedule": YEARLY}
    del body[missing]
    assert missing in (await asked(api, "POST", "/runs/crons", 422, json=body))["detail"]


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("2099-01-01", "2099-01-01T00:00:00.000000+00:00"),
        ("2099-01-01T12:00:00+02:00", "2099-01-01T10:00:00.000000+00:00"),
        ("2001-01-01T00:00:00Z", "2001-01-01T00:00:00.000000+00:00"),
    ],
)
async def test_an_end_is_shown_in_utc(api: Api, sent: str, shown: str) -> None:
    assert (await create(api, end_time=sent))["end_time"] == shown


async def test_a_cron_of_a_thread(api: Api) -> None:
    thread_id = (await asked(api, "POST", "/threads", json={}))["thread_id"]
    cron = await create(api, f"/threads/{thread_id}/runs/crons", on_run_completed="keep")
    assert (cron["thread_id"], cron["on_run_completed"]) == (thread_id, None)
    assert (await patch(api, cron, on_run_completed="keep"))["on_run_completed"] is None
    await create(api, f"/threads/{uuid.uuid4()}/runs/crons", 404)
    await create(api, "/threads/nonsense/runs/crons", 422)
    assert await asked(api, "POST", "/runs/crons/count", json={"thread_id": thread_id}) == 1
    await asked(api, "DELETE", f"/threads/{thread_id}", 204)
    await asked(api, "GET", f"/runs/crons/{cron['cron_id']}", 404)


async def test_a_patch_changes_what_it_names(api: Api) -> None:
    cron = await create(api, metadata={"a": 1, "b": {"c": 1}}, input={"x": 1}, end_time="2099-01-01")
    changed = await patch(
        api, cron, metadata={"b": {"d": 2}}, config={"tags": ["t"]}, assistant_id="digest", enabled=False, extra=1
    )
    assert changed["metadata"] == {"a": 1, "b": {"d": 2}}
    assert changed["assistant_id"] == cron["assistant_id"]
    assert changed["enabled"] is False
    assert changed["next_run_date"] == cron["next_run_date"]
    assert changed["updated_at"] > cron["updated_at"]
    assert changed["payload"] == {
        **cron["payload"],
        "metadata": {"b": {"d": 2}},
        "config": {"tags": ["t"], "configurable": {"cron_id": cron["cron_id"]}},
        "enabled": False,
        "extra": 1,
    }
    assert await asked(api, "GET", f"/runs/crons/{cron['cron_id']}") == changed

    again = await patch(api, cron, end_time=None, schedule="30 3 * * *", timezone="Asia/Tokyo")
    assert again["end_time"] is None
    assert again["next_run_date"].endswith("T18:30:00.000000+00:00")
    assert again["enabled"] is False


async def test_a_patch_that_makes_no_sense_changes_nothing(api: Api) -> None:
    cron = await create(api)
    await patch(api, cron, 400)
    await patch(api, cron, 400, schedule="0 0 30 2 *")
    for fields in (
        {"schedule": None},
        {"timezone": None},
        {"enabled": None},
        {"end_time": "soon"},
        {"metadata": None},
        {"stream_mode": "all"},
        {"if_not_exists": "perhaps"},
        {"webhook": "ftp://example.com"},
        {"on_run_completed": "burn"},
    ):
        await patch(api, cron, 422, **fields)
    await patch(api, cron, 413, input="x" * MAX_PAYLOAD)
    await patch(api, {"cron_id": uuid.uuid4()}, 404, enabled=True)
    assert await asked(api, "GET", f"/runs/crons/{cron['cron_id']}") == cron


async def test_searches_filter_sort_and_page(api: Api) -> None:
    await create(api, metadata={"i": 0}, end_time="2099-01-01", enabled=False)
    await create(api, metadata={"i": 1}, schedule="0 * * * *", assistant_id="digest")
    await create(api, metadata={"i": 2, "deep": {"a": 1, "b": 2}}, end_time="2098-01-01")
    assert await found(api) == [2, 1, 0]
    assert await found(api, sort_order="asc") == [2, 1, 0]
    assert await found(api, sort_by="created_at", sort_order="asc") == [0, 1, 2]
    ids = [row["cron_id"] for row in await asked(api, "POST", "/runs/crons/search", json={"sort_by": "cron_id"})]
    assert ids == sorted(ids, reverse=True)
    assert await found(api, limit=1, offset=1) == [1]
    assert (await found(api, sort_by="next_run_date", sort_order="asc"))[0] == 1
    # Those without an end come last, whichever way.
    assert await found(api, sort_by="end_time") == [0, 2, 1]
    assert await found(api, sort_by="end_time", sort_order="asc") == [2, 0, 1]
    assert sorted(await found(api, sort_by="thread_id")) == [0, 1, 2]
    assert await found(api, enabled=False) == [0]
    assert await found(api, metadata={"deep": {"a": 1}}) == [2]
    assert await found(api, assistant_id=system_assistant("digest").upper()) == [1]
    assert await found(api, assistant_id=system_assistant("digest"), enabled=False) == []
    count = await asked(api, "POST", "/runs/crons/count", json={"metadata": {"deep": {}}, "enabled": False})
    assert count == 1

    response = await api.post("/runs/crons/search", json={"limit": 2, "select": ["schedule", "payload"]})
    assert response.headers["X-Pagination-Next"] == "2"
    rows = await response.json()
    assert [set(row) for row in rows] == [{"schedule", "payload"}] * 2
    assert rows[0]["payload"]["metadata"]["i"] == 2
    assert await asked(api, "POST", "/runs/crons/search", json={"limit": 1, "select": ["cron_id"]})
    for fields in ({"sort_by": "payload"}, {"sort_order": "ASC"}, {"limit": 0}, {"select": ["x"]}, {"thread_id": "x"}):
        await asked(api, "POST", "/runs/crons/search", 422, json=fields)
