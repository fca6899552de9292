"""A look into the embedded Redis of a `lineshaft dev`: what no client of the API can see."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from lineshaft.redis.keys import Keys
from tests.system.journal import until
from tests.system.server import DevServer

KEYS = Keys()


@contextmanager
def connected(server: DevServer) -> Iterator[Any]:  # redis.Redis: its annotations are those of both its clients
    runtime = json.loads((server.folder / ".lineshaft" / "lock").read_text())["runtime"]
    with redis.Redis(unix_socket_path=str(Path(runtime) / "redis.sock")) as client:
        yield client


async def wait_for_workers(server: DevServer, count: int) -> None:
    """Wait until exactly so many workers live, and each of them has looked for work: it will hear of the next run."""
    with connected(server) as client:

        def looked() -> list[int]:
            workers = client.zrange(KEYS.workers(), 0, -1)
            return [client.hexists(KEYS.worker(worker.decode()), "request") for worker in workers]

        await until(lambda: looked() == [1] * count, f"{count} workers are ready")
