"""A reader that must catch up while Redis is away."""

from pathlib import Path

import pytest

from lineshaft.config.settings import Settings
from lineshaft.errors import Unavailable
from lineshaft.events.log import EventLog
from lineshaft.redis.client import Client
from lineshaft_api.hub import Watcher
from tests.shared.runs import Desk
from tests.shared.until import until
from tests.system.installation import RedisServer


async def test_what_could_not_be_read_is_read_when_redis_is_back(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--appendfsync", "always") as redis:
        client = Client(Settings(redis_uri=redis.uri), patience=0)
        desk = Desk(client)
        thread = await desk.open()
        await desk.create(thread)
        ((run, _),) = await desk.claim()
        watcher = Watcher(EventLog(client), thread, "0-0", behind=True)
        redis.kill()
        for _ in range(2):
            with pytest.raises(Unavailable):
                await watcher.next(0.1)
        redis.start()
        await until(redis.answers, "Redis is back")
        assert [entry.run_id for entry in await watcher.next(0.1)] == [run]
        await client.close()
