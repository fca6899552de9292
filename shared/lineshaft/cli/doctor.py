"""`lineshaft doctor`: looks at a Redis and at what serves it, a line for each thing, with what to do about it."""

import asyncio
import fnmatch
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import click

from lineshaft.access.api_keys import ApiKeys
from lineshaft.assistants.graphs import GraphRegistry
from lineshaft.config import langgraph_json, settings
from lineshaft.queues.load import measure
from lineshaft.redis.client import Client
from lineshaft.redis.lasting_keys import LASTING, LIVING

from .connection import connected, redis_options

_SAMPLE = 10_000  # keys that are looked at; enough to see what has gone wrong often, and done in a second or two
_ROUND_TRIPS = 20
_SLOW_MS = 5.0  # a run takes about ten round trips
_SKEW_SECONDS = 2.0  # leases go by Redis' own clock; what people compare are the times in logs and records
_FULL = 0.8  # of maxmemory; at 0.9 new runs are refused


class Finding(NamedTuple):
    """One line."""

    how: Literal["ok", "warn", "wrong"]
    what: str


@click.command()
@redis_options
def doctor(redis_uri: str | None, config: Path | None, data_dir: Path) -> None:
    """Look at Redis, workers, graphs and authentication. Exit code 1 if something is wrong."""
    env = {**langgraph_json.load(config).env, **os.environ}

    async def look() -> bool:
        healthy = True
        # A version that is too old, eviction and unreadable data are refused here, with what to do.
        async with connected(redis_uri, config, data_dir) as client:
            async for how, what in findings(client, env):
                click.echo(f"{how:6} {what}")
                healthy = healthy and how != "wrong"
        return healthy

    sys.exit(0 if asyncio.run(look()) else 1)


async def findings(client: Client, env: Mapping[str, str]) -> AsyncIterator[Finding]:
    """All that there is to say."""
    info: dict[str, Any] = await client.redis.info()
    yield _version(info)
    yield persistence(info)
    yield Finding("ok", "eviction: off (maxmemory-policy noeviction)")
    yield _memory(info)
    yield await _clock(client)
    yield await _latency(client)
    yield await _lasting(client)
    yield await _workers(client)
    for graph in await GraphRegistry(client).list():
        yield (
            Finding("wrong", f"graph {graph.graph_id}: {graph.error}")
            if graph.error
            else Finding("ok", f"graph {graph.graph_id}: revision {graph.revision[:12]}")
        )
    yield await _authentication(client, settings.from_environment(env))


def _version(info: Mapping[str, Any]) -> Finding:
    is_valkey = info.get("server_name") == "valkey"
    version = info["valkey_version"] if is_valkey else info["redis_version"]
    return Finding("ok", f"version: {'Valkey' if is_valkey else 'Redis'} {version}")


def persistence(info: Mapping[str, Any]) -> Finding:
    """Whether what Redis holds would be there after it died; `info` is as INFO gives it."""
    if not info.get("aof_enabled"):
        return Finding(
            "warn", "persistence: appendonly is off, so what Redis holds may die with it: CONFIG SET appendonly yes"
        )
    if info.get("aof_last_write_status") != "ok":
        return Finding(
            "wrong", "persistence: the last write of the append-only file failed: look at the disk and Redis' log"
        )
    return Finding("ok", "persistence: append-only file")


def _memory(info: Mapping[str, Any]) -> Finding:
    used, limit = int(info["used_memory"]), int(info.get("maxmemory") or 0)
    shown = f"memory: {used >> 20} MiB"
    if not limit:
        return Finding(
            "warn", f"{shown}, without a limit: set maxmemory below what the machine has, or the system ends Redis"
        )
    shown += f" of {limit >> 20} MiB"
    if used < _FULL * limit:
        return Finding("ok", shown)
    return Finding("warn", f"{shown}: at 90 % new runs are refused. Delete threads, or raise maxmemory")


async def _clock(client: Client) -> Finding:
    before = time.time()
    seconds, micros = await client.command("TIME")
    skew = int(seconds) + int(micros) / 1e6 - (before + time.time()) / 2
    if abs(skew) < _SKEW_SECONDS:
        return Finding("ok", f"clock: Redis and this machine differ by {abs(skew):.2f} s")
    return Finding(
        "warn", f"clock: Redis is {skew:+.1f} s off this machine: keep both by NTP, or logs and records disagree"
    )


async def _latency(client: Client) -> Finding:
    times = []
    for _ in range(_ROUND_TRIPS):
        began = time.perf_counter()
        await client.command("PING")
        times.append((time.perf_counter() - began) * 1000)
    median = sorted(times)[len(times) // 2]
    said = f"latency: {median:.2f} ms for a round trip (the longest of {_ROUND_TRIPS}: {max(times):.2f} ms)"
    return (
        Finding("ok", said)
        if median < _SLOW_MS
        else Finding("warn", f"{said}: run Redis nearer, a run takes about ten")
    )


async def _lasting(client: Client) -> Finding:
    """Keys that nobody will ever remove, among a sample."""
    prefix, seen, odd = client.keys.prefix, 0, []
    async for key in client.redis.scan_iter(count=1000):
        seen += 1
        if seen > _SAMPLE:
            break
        name = key.decode(errors="replace")
        ours = name.removeprefix(prefix)
        is_known = name.startswith(prefix) and any(fnmatch.fnmatchcase(ours, pattern) for pattern in LASTING + LIVING)
        if not is_known and await client.command("TTL", key) == -1:
            odd.append(name)
    said = f"keys: {min(seen, _SAMPLE)} looked at"
    if not odd:
        return Finding("ok", f"{said}, none that nobody will remove")
    shown = ", ".join(odd[:3])
    return Finding("warn", f"{said}, {len(odd)} without a time to live that are not ours, or left by mistake: {shown}")


async def _workers(client: Client) -> Finding:
    load = await measure(client)
    said = f"workers: {load.workers} with {load.slots} slots, {load.running} runs under way, {load.pending} waiting"
    if not load.workers:
        return Finding("wrong", f"{said}: start one with `lineshaft worker`")
    if load.dead_letters:
        return Finding("warn", f"{said}, {load.dead_letters} given up: their records say why")
    return Finding("ok", said)


async def _authentication(client: Client, chosen: settings.Settings) -> Finding:
    if chosen.langgraph_auth.path:
        return Finding("ok", f"auth: {chosen.langgraph_auth.path} says who calls")
    if not chosen.asks_who:
        return Finding("warn", "auth: nobody is asked who they are. LINESHAFT_AUTH=keys asks for API keys")
    good = [key for key in await ApiKeys(client).list() if not key.is_expired]
    if not good:
        return Finding("wrong", "auth: keys are asked for, and there is none: lineshaft keys create --name NAME")
    return Finding("ok", f"auth: {len(good)} API keys")
