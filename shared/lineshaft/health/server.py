"""How Redis and the installation on it do: what an operator looks at first when something is odd."""

import importlib.metadata
import time

from msgspec import Struct

from lineshaft.clock import iso
from lineshaft.queues.workers import list_workers
from lineshaft.redis.client import Client
from lineshaft.runs.index import redis_time

_SKEW = 1.0  # seconds between clocks, above which times of one host's logs and of the records do not fit any more
_FULL = 0.8  # of maxmemory; new runs are refused at 0.9


class RedisHealth(Struct, kw_only=True):
    """What Redis says of itself."""

    name: str
    version: str
    role: str
    uptime_seconds: int
    connected_clients: int
    connected_replicas: int
    used_memory: int  # bytes
    maxmemory: int  # bytes; 0: no limit
    maxmemory_policy: str
    fragmentation: float
    evicted_keys: int
    appendonly: bool
    appendfsync_delayed: int
    last_aof_write: str
    last_save: str
    last_save_at: str
    commands_per_second: int
    keys: int


class ServerHealth(Struct, kw_only=True):
    """The whole; `problems` are sentences, and none is good."""

    ok: bool
    problems: list[str]
    redis: RedisHealth
    clock_skew_seconds: float  # this process's clock before Redis'
    version: str  # of Lineshaft here
    worker_versions: dict[str, int]  # and how many workers have each
    stored_format: str
    repairs: dict[str, int]  # by the reconciler, ever
    reconciler: str  # the worker that has the office, or ''


async def read_health(client: Client) -> ServerHealth:
    """Raises Unavailable when Redis is away."""
    info = await client.patiently(client.redis.info, "info")
    before = time.time()
    now = await redis_time(client) / 1000
    skew = (before + time.time()) / 2 - now
    keys = client.keys
    format_, repairs, reconciler, size = await client.commands(
        ("GET", keys.format()), ("HGETALL", keys.repairs()), ("GET", keys.reconciler()), ("DBSIZE",)
    )
    workers = await list_workers(client)
    versions: dict[str, int] = {}
    for worker in workers:
        versions[worker.version or "unknown"] = versions.get(worker.version or "unknown", 0) + 1
    is_valkey = info.get("server_name") == "valkey"
    redis = RedisHealth(
        name="Valkey" if is_valkey else "Redis",
        version=str(info["valkey_version"] if is_valkey else info["redis_version"]),
        role=str(info.get("role", "")),
        uptime_seconds=int(info.get("uptime_in_seconds", 0)),
        connected_clients=int(info.get("connected_clients", 0)),
        connected_replicas=int(info.get("connected_slaves", 0)),
        used_memory=int(info.get("used_memory", 0)),
        maxmemory=int(info.get("maxmemory", 0)),
        maxmemory_policy=str(info.get("maxmemory_policy", "")),
        fragmentation=float(info.get("mem_fragmentation_ratio", 0)),
        evicted_keys=int(info.get("evicted_keys", 0)),
        appendonly=bool(info.get("aof_enabled", 0)),
        appendfsync_delayed=int(info.get("aof_delayed_fsync", 0)),
        last_aof_write=str(info.get("aof_last_write_status", "")),
        last_save=str(info.get("rdb_last_bgsave_status", "")),
        last_save_at=iso(int(info.get("rdb_last_save_time", 0)) * 1000),
        commands_per_second=int(info.get("instantaneous_ops_per_sec", 0)),
        keys=int(size),
    )
    problems = [*_of_redis(redis), *_of_fleet(skew, versions)]
    counts = {k.decode(): int(v) for k, v in zip(repairs[::2], repairs[1::2], strict=True)}
    return ServerHealth(
        ok=not problems,
        problems=problems,
        redis=redis,
        clock_skew_seconds=round(skew, 3),
        version=importlib.metadata.version("lineshaft"),
        worker_versions=versions,
        stored_format=(format_ or b"").decode(),
        repairs=counts,
        reconciler=(reconciler or b"").decode(),
    )


def _of_redis(redis: RedisHealth) -> list[str]:
    found = []
    if redis.maxmemory and redis.used_memory > _FULL * redis.maxmemory:
        found.append(
            f"Redis has {redis.used_memory / redis.maxmemory:.0%} of its maxmemory in use: new runs are refused at 90 %"
        )
    if redis.maxmemory_policy not in {"", "noeviction"}:
        found.append(f"maxmemory-policy is {redis.maxmemory_policy}: keys, and runs with them, may be evicted")
    if redis.evicted_keys:
        found.append(f"Redis has evicted {redis.evicted_keys} keys since it started: runs and states may be lost")
    if not redis.appendonly:
        found.append("appendonly is off: what Redis holds may die with it")
    if redis.last_aof_write not in {"", "ok"}:
        found.append("the last write to the append-only file failed: look at the disk")
    if redis.last_save not in {"", "ok"}:
        found.append("the last background save failed: look at disk and memory")
    return found


def _of_fleet(skew: float, versions: dict[str, int]) -> list[str]:
    found = []
    if abs(skew) > _SKEW:
        found.append(f"this process's clock is {skew:+.1f} s off Redis': synchronise the hosts' clocks")
    if not versions:
        found.append("no worker is there: runs wait")
    if len(versions) > 1:
        found.append(f"workers of {len(versions)} versions are there ({', '.join(sorted(versions))})")
    return found
