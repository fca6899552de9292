"""Scenes (see `scenes.py`) of the scripts that look after what is stored, and of those that keep large values."""

from typing import Any

from lineshaft.errors import Fenced
from lineshaft.ids import system_assistant
from lineshaft.runs.order import order as run_order
from lineshaft.runs.request import RunCreate

from .resource_scenes import RESOURCES
from .scenes import SCENES, Args, Scene, Stage, a

DAMAGE = "q"  # a run that stands in the queue and is not there


async def lack(stage: Stage) -> Args:
    return {**(await stage.running()), "graph_id": "g", "patience": 1000, "delay": 1000}


async def lost_slot(stage: Stage) -> Args:
    await stage.client.command("SADD", stage.client.keys.holders("graph g"), "gone")
    await stage.client.command("SADD", stage.client.keys.limited(), "graph g")
    return {"limits": "graph g\t1", "causes": ["graph g"]}


async def damaged_queue(stage: Stage) -> Args:
    await stage.client.command("ZADD", stage.client.keys.queue("runs"), 9e14, DAMAGE)
    return {"queue": "runs", "max_crashes": 3, "run_ids": [DAMAGE]}


async def damaged_thread(stage: Stage) -> Args:
    await stage.client.command("HSET", stage.client.keys.thread(stage.thread), "active", "nobody")
    return {"max_crashes": 3, "thread_ids": [stage.thread]}


async def outlived(stage: Stage) -> Args:
    keys, command = stage.client.keys, stage.client.command
    await command("HSET", keys.thread(stage.thread), "ttl_minutes", 60_000_000, "ttl_strategy", "delete")
    await command("ZADD", keys.threads_by_expiry(), 1, stage.thread)
    return {"thread_id": stage.thread}


async def expired_item(stage: Stage) -> Args:
    await stage.script("store_put", run_id="", token="", puts=["n", "k", 0, b"{}", b""])
    return {"limit": 10}


async def unnamed_value(stage: Stage) -> Args:
    await stage.wrote(values=["a\0" + "1", b"v", "b\0" + "1", b"lost"])
    return {"thread_id": stage.thread, "ns": "", "names": ["b\0" + "1"]}


async def disposed(stage: Stage) -> Args:
    """A thread that is gone, but for what is left of it."""
    await stage.wrote()
    await stage.client.command("SADD", stage.client.keys.threads_disposed(), stage.thread)
    return {"thread_id": stage.thread, "limit": 10}


async def copied(stage: Stage) -> Args:
    await stage.wrote()
    return {"source": stage.thread, "target": await stage.open(), "ns": "", "after": "", "limit": 10}


async def copied_slice(stage: Stage) -> Args:
    await stage.script("checkpoint_slice", thread_id=stage.thread, value_id="large", number=0, slice=b"s")
    return {"source": stage.thread, "target": await stage.open(), "value_id": "large", "number": 0}


async def call(stage: Stage) -> Args:
    """A call that is due."""
    await stage.running(webhook="http://example.com/hook")
    await stage.finish(stage.run, stage.token, content=b"{}")
    return {"request": "q", "lease": 60_000, "busy": []}


async def called(stage: Stage) -> Args:
    await stage.script("webhook_claim", **(await call(stage)))
    return {
        "run_id": stage.run, "request": "q", "outcome": "failed", "said": "HTTP 404", "delay": 0, "failed_ttl": 60_000,
    }  # fmt: skip


async def put(_: Stage) -> Args:
    return {"run_id": "", "token": "", "puts": ["n", "k", "", b"{}", b"v", "n", "l", "delete", b"", b""]}


FAR = 9_000_000_000_000  # ms, in the year 2255
NEW_CRON: Args = {
    "cron_id": "c", "thread_id": "", "assistant_id": system_assistant("g"), "head": b"{}", "payload": b"{}",
    "next_at": FAR, "ends": "", "enabled": 1, "max_crons": 10,
}  # fmt: skip


async def cron(stage: Stage) -> Args:
    """A cron on the thread, which is not due."""
    args = {**NEW_CRON, "thread_id": stage.thread}
    await stage.script("cron_create", **args)
    return args


async def deleted_cron(stage: Stage) -> Args:
    await cron(stage)
    return {"cron_id": "c", "request": "q"}


async def changed_cron(stage: Stage) -> Args:
    await cron(stage)
    return {
        "cron_id": "c", "expected_version": 1, "head": b"[]", "payload": b"{}", "next_at": "", "ends": 1, "enabled": 1,
    }  # fmt: skip


async def due_cron(stage: Stage) -> Args:
    await stage.script("cron_create", **NEW_CRON)
    await stage.client.command("ZADD", stage.client.keys.crons_due(), 1, "c")
    enqueue = stage.client.scripts["run_enqueue"]
    order = run_order(stage.client, None, RunCreate(assistant_id="g"), "", cron_id="c")
    args = enqueue.encode({**order.args, "input": order.args["input"]})
    return {"cron_id": "c", "expected_version": 1, "expected": 1, "next_at": FAR, "order": args}


async def next_cron(stage: Stage) -> Args:
    await cron(stage)
    return {"scheduler": "s", "limit": 10}


def told(answer: list[Any]) -> int:
    """That there is a timer to set; until when is a matter of the moment."""
    return len(answer)


async def forgotten_call(stage: Stage) -> Args:
    await call(stage)
    return {"run_ids": [stage.run]}


NOTE = {
    "request": "q", "kept": 9, "who": "w", "action": "a", "target": "", "where": b"1", "count": 1, "outcome": "asked",
}  # fmt: skip
UPKEEP: dict[str, Scene] = {
    "checkpoint_copy": Scene(copied),
    "checkpoint_copy_slice": Scene(copied_slice),
    "checkpoint_sweep": Scene(unnamed_value),
    "audit_note": Scene(a(lambda _: NOTE)),
    "blob_slice": Scene(a(lambda _: {"blob_id": "b", "number": 0, "ttl": 60, "slice": b"s"})),
    "cron_create": Scene(a(lambda _: NEW_CRON)),
    "cron_delete": Scene(deleted_cron),
    "cron_due": Scene(next_cron, used=told),
    "cron_fire": Scene(due_cron, again=b""),  # somebody has
    "cron_update": Scene(changed_cron, again=0),  # as assistant_update
    "format_check": Scene(a(lambda _: {"known": 1})),
    "reconciler_elect": Scene(a(lambda _: {"candidate": "w", "term": 60_000})),
    "repair_limits": Scene(lost_slot, again=[]),  # what it has mended
    "repair_queue": Scene(damaged_queue, again=[]),  # what it has mended
    "repair_threads": Scene(damaged_thread, again=[]),
    "run_input": Scene(a(lambda _: {"run_id": "r", "number": 0, "slice": b"s"})),
    "run_lack": Scene(lack, again=Fenced),  # as run_hand_back
    "state_slice": Scene(a(lambda _: {"thread_id": "t", "state_id": "i", "number": 0, "slice": b"s"})),
    "store_put": Scene(put),
    "store_sweep": Scene(expired_item, again=0),  # how much there is left to do
    "thread_dispose": Scene(disposed),
    "thread_expire": Scene(outlived),
    "worker_drain": Scene(a(lambda stage: {"worker": stage.worker, "drained": 1}), again=0),  # it is so already
    "webhook_claim": Scene(call),
    "webhook_forget": Scene(forgotten_call),
    "webhook_note": Scene(called, again=0),  # it is noted
}
ALL_SCENES = {**SCENES, **RESOURCES, **UPKEEP}
