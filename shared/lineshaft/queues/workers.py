"""Workers as operators see them: who is there, what they hold; and draining one."""

from msgspec import Struct

from lineshaft.clock import iso
from lineshaft.errors import NotFound
from lineshaft.redis.client import Client
from lineshaft.runs.index import redis_time

from .weights import parse_weights

_LISTED = 1_000  # workers; each is a hash of some ten fields and one per graph


class WorkerInfo(Struct, kw_only=True):
    """One worker: a process that executes runs. It gets a new id when its process is replaced."""

    worker: str
    host: str
    pid: int
    version: str
    slots: int
    running: int
    queues: dict[str, int]  # it takes runs of, and the weight of each; empty: of all alike
    graphs: dict[str, str]  # it has, and the revision of each
    is_drained: bool  # it takes no new runs
    started_at: str
    lease_seconds_left: float  # below 0: it has shown no life for too long
    runs: list[str]  # it holds, some of them


async def list_workers(client: Client) -> list[WorkerInfo]:
    """All that have a lease, the oldest first."""
    keys = client.keys
    flat = await client.command("ZRANGE", keys.workers(), 0, _LISTED - 1, "WITHSCORES")
    names = [name.decode() for name in flat[::2]]
    if not names:
        return []
    now = await redis_time(client)
    answers = await client.commands(
        *(("HGETALL", keys.worker(name)) for name in names),
        *(("SCARD", keys.worker_runs(name)) for name in names),
        *(("SRANDMEMBER", keys.worker_runs(name), 20) for name in names),
    )
    count = len(names)
    found = [
        _info(name, float(until) - now, _fields(hash_), held, runs)
        for name, until, hash_, held, runs in zip(
            names, flat[1::2], answers[:count], answers[count : 2 * count], answers[2 * count :], strict=True
        )
    ]
    return sorted(found, key=lambda info: (info.started_at, info.worker))


async def drain_worker(client: Client, worker: str) -> bool:
    """Let a worker claim no more; what it has it brings to its end. False: it was drained already. Raises NotFound."""
    return bool(await client.script("worker_drain", worker=worker, drained=True))


async def resume_worker(client: Client, worker: str) -> bool:
    """Let it claim again, which it does at once. False: it was not drained. Raises NotFound."""
    return bool(await client.script("worker_drain", worker=worker, drained=False))


async def named_worker(client: Client, text: str) -> str:
    """The id that begins with `text`, if it is the only one. Raises NotFound."""
    names = [name.decode() for name in await client.command("ZRANGE", client.keys.workers(), 0, -1)]
    found = [name for name in names if name == text] or [name for name in names if text and name.startswith(text)]
    if len(found) != 1:
        raise NotFound(
            f"{len(found)} workers have an id that begins with {text!r}" if found else f"There is no worker {text!r}"
        )
    (worker,) = found
    return str(worker)


def _fields(flat: list[bytes]) -> dict[str, str]:
    return {k.decode(): v.decode(errors="replace") for k, v in zip(flat[::2], flat[1::2], strict=True)}


def _info(name: str, left: float, fields: dict[str, str], held: int, runs: list[bytes]) -> WorkerInfo:
    return WorkerInfo(
        worker=name,
        host=fields.get("host", ""),
        pid=int(fields.get("pid", 0)),
        version=fields.get("version", ""),
        slots=int(fields.get("slots", 0)),
        running=held,
        queues=parse_weights(fields.get("queues", "")),
        graphs={key.removeprefix("graph:"): value for key, value in fields.items() if key.startswith("graph:")},
        is_drained=fields.get("drained") == "1",
        started_at=iso(int(float(fields.get("started", 0)))),
        lease_seconds_left=round(left / 1000, 1),
        runs=sorted(run.decode() for run in runs),
    )
