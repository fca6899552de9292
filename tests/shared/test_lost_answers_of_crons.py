"""As `test_lost_answers.py`: what is done with crons has one effect, whichever call fails in between."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from lineshaft.config.settings import Settings
from lineshaft.crons.cron import CronFilter, CronStore
from lineshaft.crons.due import DueCrons
from lineshaft.crons.request import CronCreate, CronPatch
from lineshaft.redis.client import Client
from lineshaft.runs.run import RunStore

from .lossy_line import Line, lossy_line


@pytest.fixture
async def line(client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    async with lossy_line(client, settings, monkeypatch) as line:
        yield line
    await client.redis.flushall()  # runs that nobody has taken


async def test_a_cron_is_created_changed_and_deleted_once(line: Line, client: Client) -> None:
    async def scene(thread: str) -> Any:
        document = {"assistant_id": "g", "schedule": "0 0 1 1 *"}
        request = CronCreate(assistant_id="g", schedule="0 0 1 1 *")

        async def act(failing: Client) -> str:
            store = CronStore(failing)
            cron = await store.create(thread, request, document)
            changed = await store.patch(cron.cron_id, CronPatch(metadata={"a": 1}), {"metadata": {"a": 1}})
            assert changed.metadata == {"a": 1}
            await store.delete((await store.create(thread, request, document)).cron_id)
            return cron.cron_id

        async def check(cron_id: str) -> None:
            left = (await CronStore(client).search(CronFilter(thread_id=thread))).rows
            assert [(cron.cron_id, cron.metadata) for cron in left] == [(cron_id, {"a": 1})]

        return act, check

    await line.at_every_call(scene)


async def test_a_cron_fires_once_though_its_scheduler_hears_nothing_of_it(line: Line, client: Client) -> None:
    async def scene(thread: str) -> Any:
        request = CronCreate(assistant_id="g", schedule="0 0 1 1 *")
        cron = await CronStore(client).create(thread, request, {"assistant_id": "g", "schedule": "0 0 1 1 *"})
        await client.command("ZADD", client.keys.crons_due(), 1, cron.cron_id)

        async def check(_: float) -> None:
            assert len(await RunStore(client).page(thread, limit=10, offset=0)) == 1

        return lambda failing: DueCrons(failing, "s").fire(), check

    await line.at_every_call(scene)
