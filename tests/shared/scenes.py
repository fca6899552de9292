"""For each script the scene in which it has something to do, and the arguments to call it with."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from lineshaft.errors import Fenced
from lineshaft.redis.client import Client

from .runs import Desk

Args = dict[str, Any]
EVENT: Args = {"event": ["state_update", "d", b"1"]}
SNAPSHOT: Args = {"rev": 1, "thread_status": "idle", "state": b"{}", "interrupts": b"{}"}


class Stage(Desk):
    """A thread with a run on it, in the state that a script needs."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.thread = ""
        self.run = ""
        self.token = ""

    async def script(self, name: str, **args: Any) -> Any:
        return await self.client.script(name, **args)

    async def enter(self) -> None:
        self.thread = await self.open()

    async def running(self, **fields: Any) -> Args:
        self.run = await self.create(self.thread, **fields)
        ((_, self.token),) = await self.claim()
        return {"run_id": self.run, "token": self.token}

    async def wrote(self, checkpoint: str = "c1", **changes: Any) -> Args:
        """A running run, and the arguments of its first checkpoint."""
        run = await self.running()
        args = {
            **run, "owner": self.run, "thread_id": self.thread, "ns": "", "checkpoint_id": checkpoint,
            "header": b"h", "anatomy_text": "\1\1a\0" + "1", "values": ["a\0" + "1", b"v"], **changes,
        }  # fmt: skip
        await self.script("checkpoint_put", **args)
        return args

    async def ended(self) -> Args:
        await self.running()
        await self.finish(self.run, self.token)
        return {"run_id": self.run, "thread_id": self.thread, "request": "q"}

    async def locked(self) -> Args:
        """A change of the thread's state under way."""
        await self.client.command("SET", self.client.keys.query("q"), "?", "EX", 60)
        args = {"lock_id": "q", "thread_id": self.thread, "worker": self.worker, "query_id": "q"}
        self.token = (await self.script("state_lock", **args)).decode()
        return args


SAME = object()


class Scene(NamedTuple):
    """How to come to the arguments of a call; and what its repetition is told, if not the same."""

    args: Callable[[Stage], Awaitable[Args]]
    again: Any = SAME
    used: Callable[[Any], Any] = lambda answer: answer  # the part of an answer that its callers look at


async def enqueue(stage: Stage) -> Args:
    return {
        "run_id": "r", "thread_id": stage.thread, "assistant_id": await assistant(stage), "queue": "", "job": b"j",
        "priority": "", "tenant": "", "queues": "\nruns\n", "graph_queues": "\n",
        "doc": b"{}", "multitask": "rollback", "creates": 0, "temporary": 0, "takes_inbox": 0, "delay": 0,
        "metadata": "", "leaves": "", "parent": "", "nested_thread": "", "run_config": b"{}", "webhook": "",
        "protocol": "", "trace": "", "events_ttl": 1000, "input_ttl": 1000, "runs_kept": 10,
        "max_waiting": 10, "checkpoint": "", "rev": "", "ttl_minutes": "", "ttl_strategy": "", "input": [b"{}"],
    }  # fmt: skip


async def enqueue_two(stage: Stage) -> Args:
    args = {**(await enqueue(stage)), "creates": 1}
    script = stage.client.scripts["run_enqueue"]
    rows = [script.encode({**args, "run_id": run, "thread_id": f"t{run}"}) for run in ("r", "s")]
    return {"assistants": await assistant(stage), "width": len(rows[0]), "orders": [*rows[0], *rows[1]]}


async def assistant(stage: Stage) -> str:
    (found,) = await stage.client.command("ZRANGE", stage.client.keys.assistants(), 0, 0)
    return str(found.decode())


async def claim(stage: Stage) -> Args:
    await stage.create(stage.thread)
    await stage.create(await stage.open())  # a second one, which the repetition must leave to others
    return {
        "worker": stage.worker, "request": "q", "lease": 10_000, "max_crashes": 3, "limits": "graph g\t1",
        "shares": "", "rooms": ["runs", 1],
    }  # fmt: skip


def claimed(answer: Any) -> list[Any]:
    """Of each claimed run all but what only the script itself looks at: the last fields of its record."""
    return [(run_id, fields[:15], *rest) for run_id, fields, *rest in answer[1:]]


async def cancel(stage: Stage) -> Args:
    return {
        "run_id": await stage.create(stage.thread), "thread_id": stage.thread, "action": "rollback", "reason": "test",
        "only": "pending", "request": "q",
    }  # fmt: skip


async def cancel_running(stage: Stage) -> Args:
    await stage.running()
    return {**(await cancel(stage)), "run_id": stage.run, "only": "running"}


async def roll_back(stage: Stage) -> Args:
    await stage.running()
    await stage.script("run_cancel", **{**(await cancel(stage)), "run_id": stage.run, "only": ""})
    return {
        "run_id": stage.run, "token": stage.token, "status": "interrupted", "error": b"", "failure": b"",
        "error_class": "", "handled": "rollback", **SNAPSHOT, "content": b"", "entries": [],
    }  # fmt: skip


async def finish(stage: Stage) -> Args:
    return {
        **(await stage.running()),
        "status": "success",
        "error": b"",
        "failure": b"",
        "error_class": "",
        "handled": "",
        **SNAPSHOT,
        "content": b"{}",
        "entries": [],
    }


async def append(stage: Stage) -> Args:
    return {**(await stage.running()), "batch": 1, "entries": ["values", "d", b"1"]}


async def hand_back(stage: Stage) -> Args:
    return await stage.running()


async def take_back(stage: Stage) -> Args:
    return {**(await stage.running()), "max_crashes": 3}


async def unlock(stage: Stage) -> Args:
    await stage.locked()
    return {"lock_id": "q", "token": stage.token, **SNAPSHOT, "forget": "", "events_ttl": 60_000, **EVENT}


async def give_up(stage: Stage) -> Args:
    await stage.locked()
    return {"query_id": "q"}


async def release(stage: Stage) -> Args:
    await stage.running()
    return {"worker": stage.worker, "crashed": 1, "max_crashes": 3}


async def holdings(stage: Stage) -> Args:
    await cancel_running(stage)
    await stage.script("run_cancel", **{**(await cancel(stage)), "run_id": stage.run, "only": ""})
    return {"worker": stage.worker, "count": 1}


async def checkpoint(stage: Stage) -> Args:
    return await stage.wrote(checkpoint="c0") | {"checkpoint_id": "c1"}


async def put_writes(stage: Stage) -> Args:
    args = await stage.wrote()
    writes = [0, "t\0" + "0", b"n\0v", 1, "t\0" + "1", b"n\0v"]
    return {name: args[name] for name in ("run_id", "token", "thread_id", "ns", "checkpoint_id")} | {"writes": writes}


async def take_back_checkpoints(stage: Stage) -> Args:
    await stage.wrote()
    return {"run_id": stage.run, "token": stage.token, "target": stage.run, "limit": 10, "members": []}


async def remove_own(stage: Stage) -> Args:
    args = await take_back_checkpoints(stage)
    return {**args, "members": [f"{stage.thread}\0\0c1"]}


async def prune(stage: Stage) -> Args:
    args = await stage.wrote()
    for number in (2, 3):
        await stage.script("checkpoint_put", **{**args, "checkpoint_id": f"c{number}"})
    return {"thread_id": stage.thread, "ns": "", "limit": 10}


async def store_get(stage: Stage) -> Args:
    await stage.script("store_put", run_id="", token="", puts=["n", "k", 60_000, b"{}", b""])
    return {"wanted": ["n", "k", 1]}


def a(scene: Callable[[Stage], Args]) -> Callable[[Stage], Awaitable[Args]]:
    """A scene that needs no preparation."""

    async def ready(stage: Stage) -> Args:
        return scene(stage)

    return ready


async def delete_checkpoints(stage: Stage) -> Args:
    await stage.wrote()
    return {"thread_id": stage.thread, "limit": 10}


async def publish(_: Stage) -> Args:
    return {"graph_id": "g", "descriptor": b"{}", "revision": "1", "error": "", "worker": "w"}


async def begin(_: Stage) -> Args:
    return {"worker": "w2", "begin": 1, "lease": 10_000, "max_crashes": 3, "info": ["host", "h"]}


async def answer_state(stage: Stage) -> Args:
    await stage.wrote()
    return {"thread_id": stage.thread, "rev": "1", "state": b"{}"}


async def lock(stage: Stage) -> Args:
    await stage.client.command("SET", stage.client.keys.query("q"), "?", "EX", 60)
    return {"lock_id": "q", "thread_id": stage.thread, "worker": stage.worker, "query_id": "q"}


SCENES: dict[str, Scene] = {
    "checkpoint_delete": Scene(delete_checkpoints),
    "checkpoint_prune": Scene(prune, again=0),  # how much there is left to do
    "checkpoint_put": Scene(checkpoint, again=[3, 1]),  # the thread's rev, whose last value counts
    "checkpoint_put_writes": Scene(put_writes, again=3),
    "checkpoint_rollback": Scene(take_back_checkpoints),
    "checkpoint_rollback (some)": Scene(remove_own),
    "checkpoint_slice": Scene(
        a(lambda stage: {"thread_id": stage.thread, "value_id": "v", "number": 0, "slice": b"s"})
    ),
    "graph_publish": Scene(publish),
    "message_post": Scene(a(lambda stage: {"thread_id": stage.thread, "message": b"{}", "most": 1000, "request": "q"})),
    "query_give_up": Scene(give_up),
    "queue_control": Scene(a(lambda _: {"queue": "runs", "state": "paused"})),
    "run_append": Scene(append),
    "run_batch": Scene(enqueue_two),
    "run_cancel": Scene(cancel),
    "run_cancel (running)": Scene(cancel_running),
    "run_claim": Scene(claim, used=claimed),
    "run_enqueue": Scene(enqueue),
    "run_finish": Scene(finish),
    "run_finish (rolled back)": Scene(roll_back),
    "run_forget": Scene(Stage.ended),
    # The run is back in the queue, perhaps with another worker by now. That is all that the caller wants to know.
    "run_hand_back": Scene(hand_back, again=Fenced),
    "run_take_back": Scene(take_back, again=Fenced),
    "state_answer": Scene(answer_state),
    "state_lock": Scene(lock),
    "state_unlock": Scene(unlock),
    "store_get": Scene(store_get),
    "store_namespaces": Scene(a(lambda _: {"prefix": "", "after": "", "limit": 10})),
    "store_search": Scene(a(lambda _: {"prefix": "", "namespace": "", "position": 0, "limit": 10, "with_vectors": 1})),
    "wake": Scene(a(lambda _: {"queue": "runs"})),
    "worker_holdings": Scene(holdings),
    "worker_release": Scene(release, again=0),  # how many runs it held
    "worker_renew": Scene(begin),
}
