"""Which Redis a command works on: the one that is named, else the one of the `lineshaft dev` that runs here."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click

from lineshaft.config import langgraph_json, settings
from lineshaft.errors import ConfigError
from lineshaft.redis import client as redis
from lineshaft.redis.stored_format import check_format

from .data_directory import socket_in_use


def redis_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name a Redis: give their values to `connected`."""
    for option in (
        click.option("--data-dir", default=".lineshaft", show_default=True, type=click.Path(path_type=Path),
                     help="Of the `lineshaft dev` to work on, if no Redis is named."),
        click.option("--config", type=click.Path(path_type=Path), help="langgraph.json whose `env` may name a Redis."),
        click.option("--redis-uri", help="The Redis to work on. Also REDIS_URI."),
    ):  # fmt: skip
        command = option(command)
    return command


@asynccontextmanager
async def connected(redis_uri: str | None, config: Path | None, data_dir: Path) -> AsyncIterator[redis.Client]:
    """A client, once it is sure that this version can read what is there. Raises ConfigError."""
    env = {**langgraph_json.load(config).env, **os.environ}
    uri = redis_uri or env.get("REDIS_URI")
    if not uri:
        socket = socket_in_use(data_dir)
        if socket is None:
            raise ConfigError(f"no Redis is named (--redis-uri, REDIS_URI), and no `lineshaft dev` uses {data_dir}")
        uri = f"unix://{socket}"
    client = redis.Client(settings.from_environment({**env, "REDIS_URI": uri}))
    try:
        await redis.check(client)
        await check_format(client)
        yield client
    finally:
        await client.close()
