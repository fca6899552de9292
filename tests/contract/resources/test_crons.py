"""Scheduled runs.

The reference reads a sixth schedule field as seconds, which lets the tests of
firing finish quickly; `CRON_SCHEDULER_SLEEP_TIME=1` makes them quicker still.
"""

import asyncio
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tests.contract.resources.checks import assert_error, eventually, is_uuid, system_assistant_id, unique

YEARLY = "0 0 1 1 *"
EVERY_SECOND = "* * * * * *"


def when(cron):
    return datetime.fromisoformat(cron["next_run_date"])


async def test_create_with_defaults(api, make_cron):
    cron = await make_cron(schedule="0 3 * * *")
    assert is_uuid(cron["cron_id"])
    assert cron["assistant_id"] == system_assistant_id("counter")
    assert cron["thread_id"] is None
    assert cron["schedule"] == "0 3 * * *"
    assert cron["timezone"] is None
    assert cron["end_time"] is None
    assert cron["enabled"] is True
    assert cron["on_run_completed"] == "delete"
    assert cron["metadata"] == {}
    assert cron["payload"]["input"] == {"total": 1}
    assert cron["payload"]["assistant_id"] == system_assistant_id("counter")
    assert cron["created_at"] == cron["updated_at"]
    assert (await api.get(f"/runs/crons/{cron['cron_id']}")).json() == cron


async def test_next_run_date_is_the_next_match_in_utc(make_cron):
    date = when(await make_cron(schedule="30 3 * * *"))
    now = datetime.now(UTC)
    assert (date.hour, date.minute, date.second) == (3, 30, 0)
    assert date.utcoffset().total_seconds() == 0
    assert 0 < (date - now).total_seconds() <= 86400

    cron = await make_cron(schedule="30 3 * * *", timezone="America/New_York")
    assert cron["timezone"] == "America/New_York"
    assert when(cron).utcoffset().total_seconds() == 0
    local = when(cron).astimezone(ZoneInfo("America/New_York"))
    assert (local.hour, local.minute) == (3, 30)


async def test_create_keeps_options(make_cron):
    cron = await make_cron(
        schedule=YEARLY,
        metadata={"a": 1},
        enabled=False,
        on_run_completed="keep",
        end_time="2099-01-01T00:00:00Z",
    )
    assert cron["metadata"] == {"a": 1}
    assert cron["enabled"] is False
    assert cron["on_run_completed"] == "keep"
    assert datetime.fromisoformat(cron["end_time"]) == datetime(2099, 1, 1, tzinfo=UTC)


async def test_accepted_schedules(make_cron):
    for schedule in ("*/5 * * * *", "0 9 * * MON-FRI", "0 0 1,15 * *", "@daily", "@hourly"):
        assert (await make_cron(schedule=schedule, enabled=False))["schedule"] == schedule


async def test_refused_schedules(api):
    for schedule in ("", "soon", "* * * *", "61 * * * *", 5):
        assert_error(await api.post("/runs/crons", json={"assistant_id": "counter", "schedule": schedule}), 422)


async def test_create_rejects_bad_fields(api):
    good = {"assistant_id": "counter", "schedule": YEARLY, "enabled": False}
    for change in (
        {"timezone": "Mars/Base"},
        {"on_run_completed": "burn"},
        {"enabled": "yes"},
        {"metadata": "x"},
        {"webhook": "ftp://example.com"},
    ):
        assert_error(await api.post("/runs/crons", json={**good, **change}), 422)

    for assistant_id in ("no-such-graph", unique()):
        response = await api.post("/runs/crons", json={"assistant_id": assistant_id, "schedule": YEARLY})
        assert_error(response, 404)


async def test_thread_cron(make_thread, make_cron, api):
    thread_id = (await make_thread())["thread_id"]
    cron = await make_cron(thread_id=thread_id, schedule=YEARLY)
    assert cron["thread_id"] == thread_id
    assert cron["on_run_completed"] is None

    body = {"assistant_id": "counter", "schedule": YEARLY}
    assert_error(await api.post(f"/threads/{unique()}/runs/crons", json=body), 404)
    assert_error(await api.post("/threads/bad/runs/crons", json=body), 422)


async def test_patch_schedule_and_timezone_move_the_next_run(api, make_cron):
    path = f"/runs/crons/{(await make_cron(schedule='0 3 * * *'))['cron_id']}"
    cron = (await api.patch(path, json={"schedule": "15 7 * * *"})).json()
    assert cron["schedule"] == "15 7 * * *"
    assert (when(cron).hour, when(cron).minute) == (7, 15)
    cron = (await api.patch(path, json={"timezone": "Asia/Tokyo"})).json()
    local = when(cron).astimezone(ZoneInfo("Asia/Tokyo"))
    assert (local.hour, local.minute) == (7, 15)


async def test_patch_errors(api, make_cron):
    path = f"/runs/crons/{(await make_cron(schedule=YEARLY))['cron_id']}"
    assert_error(await api.patch(path, json={}), 400)
    for change in ({"schedule": "soon"}, {"schedule": None}, {"timezone": "Mars/Base"}, {"enabled": "no"}):
        assert_error(await api.patch(path, json=change), 422)
    assert_error(await api.patch(f"/runs/crons/{unique()}", json={"enabled": False}), 404)


@pytest.fixture
async def trio(make_thread, make_cron, tag):
    """Three crons, oldest first: yearly, disabled hourly, and one on a thread."""
    thread_id = (await make_thread())["thread_id"]
    return [
        await make_cron(schedule=YEARLY, metadata={"tag": tag, "i": 0}),
        await make_cron(schedule="0 * * * *", metadata={"tag": tag, "i": 1}, enabled=False, assistant_id="echo"),
        await make_cron(schedule="0 0 1 * *", metadata={"tag": tag, "i": 2}, thread_id=thread_id),
    ]


@pytest.fixture
def search(api, tag):
    async def go(**fields):
        metadata = {"tag": tag, **fields.pop("metadata", {})}
        response = await api.post("/runs/crons/search", json={"metadata": metadata, **fields})
        assert response.status_code == 200, response.text
        return response

    return go


def numbers(response):
    return [row["metadata"]["i"] for row in response.json()]


async def test_search_pages_newest_first(trio, search):
    response = await search()
    assert numbers(response) == [2, 1, 0]
    assert response.headers["x-pagination-total"] == "3"

    first = await search(limit=2)
    assert first.headers["x-pagination-next"] == "2"
    second = await search(limit=2, offset=2)
    assert numbers(first) + numbers(second) == [2, 1, 0]
    assert "x-pagination-next" not in second.headers


async def test_search_sorts(trio, search):
    assert numbers(await search(sort_by="created_at", sort_order="asc")) == [0, 1, 2]
    assert numbers(await search(sort_by="next_run_date", sort_order="asc"))[0] == 1
    dates = [row["next_run_date"] for row in (await search(sort_by="next_run_date")).json()]
    assert dates == sorted(dates, reverse=True)


async def test_search_rejects_bad_fields(api):
    for fields in (
        {"limit": 0},
        {"limit": 1001},
        {"offset": -1},
        {"assistant_id": "counter"},
        {"thread_id": "bad"},
        {"sort_by": "payload"},
        {"select": ["secret"]},
    ):
        assert_error(await api.post("/runs/crons/search", json=fields), 422)


async def test_count(api, trio, tag):
    async def count(**fields):
        return (await api.post("/runs/crons/count", json={"metadata": {"tag": tag}, **fields})).json()

    assert await count() == 3
    assert await count(thread_id=trio[2]["thread_id"]) == 1
    assert await count(assistant_id=system_assistant_id("echo")) == 1


async def test_a_thread_cron_fires(api, make_thread, make_cron, tag):
    thread_id = (await make_thread())["thread_id"]
    cron = await make_cron(thread_id=thread_id, schedule=EVERY_SECOND, metadata={"tag": tag})

    async def finished():
        runs = (await api.get(f"/threads/{thread_id}/runs")).json()
        return [run for run in runs if run["status"] == "success"]

    run = (await eventually(finished))[0]
    assert run["assistant_id"] == cron["assistant_id"]
    assert run["metadata"]["tag"] == tag
    assert (await api.get(f"/threads/{thread_id}/state")).json()["values"]["total"] >= 12


async def test_a_disabled_cron_does_not_fire(api, make_thread, make_cron):
    thread_id = (await make_thread())["thread_id"]
    await make_cron(thread_id=thread_id, schedule=EVERY_SECOND, enabled=False)
    await asyncio.sleep(4)
    assert (await api.get(f"/threads/{thread_id}/runs")).json() == []


async def test_a_stateless_cron_can_keep_its_threads(api, make_cron, tag):
    await make_cron(schedule=EVERY_SECOND, metadata={"tag": tag}, on_run_completed="keep")

    async def kept():
        body = {"metadata": {"tag": tag}, "status": "idle"}
        return (await api.post("/threads/search", json=body)).json()

    thread = (await eventually(kept))[0]
    assert thread["values"]["total"] == 12


async def test_a_stateless_cron_deletes_its_threads_by_default(api, make_cron, tag):
    cron = await make_cron(schedule=EVERY_SECOND, metadata={"tag": tag}, assistant_id="fragile", input={"sleep": 1})

    async def threads():
        return (await api.post("/threads/search", json={"metadata": {"tag": tag}})).json()

    await eventually(threads, every=0.1)
    await api.delete(f"/runs/crons/{cron['cron_id']}")

    async def gone():
        return not await threads()

    await eventually(gone)


async def test_sdk_round_trip(sdk, tag):
    cron = await sdk.crons.create("counter", schedule=YEARLY, input={"total": 1}, metadata={"tag": tag})
    try:
        found = await sdk.crons.search(metadata={"tag": tag})
        assert [row["cron_id"] for row in found] == [cron["cron_id"]]
        assert await sdk.crons.count(metadata={"tag": tag}) == 1
        assert (await sdk.crons.update(cron["cron_id"], enabled=False))["enabled"] is False
    finally:
        await sdk.crons.delete(cron["cron_id"])
    assert await sdk.crons.count(metadata={"tag": tag}) == 0
