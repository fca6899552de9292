"""Walks through all orders of steps on the scripts, breadth first, each state once.

A state is kept as the serialized values of its keys (DUMP) and put back before each step: an eighteenth of what taking
the six steps to it again costs.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from lineshaft.redis.client import Client

from . import redis_state
from .model_records import TERMINAL, Choice, Token
from .queue_model import QueueModel
from .twins import HOUR, Twins

WORKERS = ("wa", "wb")
RUNS = 3


@dataclass(frozen=True)
class Scope:
    """What is walked through."""

    threads: tuple[str, ...] = ("t",)
    strategies: tuple[str, ...] = ("enqueue", "reject", "interrupt", "rollback")
    choices: tuple[Choice, ...] = ({},)  # of new runs, with the first strategy other ones than the first, too
    actions: tuple[str, ...] = ("interrupt", "rollback")
    limit: int = 0  # of runs at once
    pauses: bool = False
    before: tuple[tuple[Any, ...], ...] = ()  # steps that lead to where it begins


ONE_THREAD = Scope(choices=({}, {"later": True}))
# Three threads that come into each other's way by a limit, from two queues that may be paused, with two priorities.
CROWD = Scope(
    threads=("t", "u", "v"),
    strategies=("enqueue",),
    choices=({}, {"queue": "batch", "priority": 5}),
    actions=("interrupt",),
    limit=1,
    pauses=True,
)
# One of them runs, and two are parked.
PARKED = replace(
    CROWD,
    before=(
        ("create", "r0", "t", "enqueue"),
        ("create", "r1", "u", "enqueue"),
        ("create", "r2", "v", "enqueue", {"priority": 5}),
        ("claim", "wa", 1),
        ("claim", "wb", 1),
    ),
)

# No script decides by these: times and counters that only grow, what a client sent, and what was answered. Of tokens it
# matters whether there is one; of times, their order, which the sorted sets keep.
_IDLE_FIELDS = {
    "created", "updated", "state_updated", "started", "ended", "score", "metadata", "doc", "amd", "tmd", "epoch",
    "attempt", "batch", "seq", "log_ms", "log_n", "log_bytes", "log_until", "log_ttl", "first", "position", "made_ms",
    "made_n", "rev", "cancel_reason", "request", "claimed", "run_config", "events_ttl", "input_ttl", "interrupts",
    "state", "error", "place", "counted", "lacked", "assistant", "graph", "config", "id", "nonce", "leaves", "thread",
    "made", "began", "attempts", "first_event", "cancelled", "error_class", "ended_rev", "home", "ready",
}  # fmt: skip
_PRESENT_FIELDS = {"token", "ended_by"}
_IDLE_KEYS = (
    "ls:answered", "ls:beat", "ls:grace", "ls:memory", "ls:timer", "ls:assistant", "ls:graph", "ls:threads:", "ls:dead",
    "ls:counts", "ls:share:", "ls:limited", "ls:runs:", "arq:job:",
)  # fmt: skip
_IDLE_KEYS_OF_A_THREAD = re.compile(r"ls:thread:.*:(events|runs|snapshot)\b|ls:run:.*:input\b")
_SAVE = """#!lua flags=no-writes
local out = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  out[#out + 1] = key
  out[#out + 1] = redis.call('DUMP', key)
end
return out
"""
# Times to live are left out: none ends within a test.
_RESTORE = """#!lua
redis.call('FLUSHALL')
for i = 1, #ARGV, 2 do
  redis.call('RESTORE', ARGV[i], 0, ARGV[i + 1])
end
"""


@dataclass
class Node:
    """A state: its keys, and what the twins knew in it."""

    saved: list[bytes]
    model: QueueModel
    ids: dict[str, str]
    tokens: dict[Token, str]
    path: tuple[Any, ...] = ()


def new_runs(model: QueueModel, scope: Scope) -> Iterator[tuple[Any, ...]]:
    """All runs that may be made next."""
    if len(model.runs) == RUNS:
        return
    name = f"r{len(model.runs)}"
    # Threads are alike: of those without a run, one is enough.
    used = [thread for thread in scope.threads if any(run.thread == thread for run in model.runs.values())]
    for thread in scope.threads[: len(used) + 1]:
        for strategy in scope.strategies:
            yield ("create", name, thread, strategy)
        for choice in scope.choices[1:]:
            yield ("create", name, thread, scope.strategies[0], choice)


def steps(model: QueueModel, scope: Scope) -> Iterator[tuple[Any, ...]]:
    """All steps that can change this state."""
    yield from new_runs(model, scope)
    for queue in ("runs", "batch") if scope.pauses else ():
        yield ("resume" if queue in model.line.paused else "pause", queue)
    for name, worker in model.workers.items():
        yield ("claim", name, 1)
        if worker.held or worker.lease != "held":
            yield ("release", name, True)
        if worker.held and worker.lease == "held":
            yield ("expire", name)
        if any(other.lease == "expired" for other in model.workers.values()):
            yield ("renew", name)
    for name, run in model.runs.items():
        if token := model.token(name):
            yield ("finish", token, "success", run.cancel)
            yield ("hand_back", token)
            if not run.wrote:
                yield ("write", token)
        if run.status not in TERMINAL and not run.cancel:
            for action in scope.actions:
                yield ("cancel", name, action)
    if any(run.due[0] > 0 and run.status == "pending" for run in model.runs.values()):
        yield ("pass_an_hour",)


class Exploration:
    """All states within some number of steps."""

    def __init__(self, client: Client, twins: Twins, scope: Scope) -> None:
        self.scope = scope
        self.client = client
        self.twins = twins
        self.transitions = 0
        self.seen: set[str] = set()
        self.good: set[str] = set()  # from here all runs come to an end
        self._sha: dict[str, bytes] = {}

    async def run(self, depth: int) -> None:
        for source in (_SAVE, _RESTORE):
            self._sha[source] = await self.client.command("SCRIPT", "LOAD", source)
        root = await self._node(())
        self.seen.add(self._key(await self.twins.compare()))
        level = [root]
        for _ in range(depth):
            following = []
            for node in level:
                found = [await self._take(node, step) for step in steps(node.model, self.scope)]
                following += [new for new in found if new]
            level = following

    async def _take(self, node: Node, step: tuple[Any, ...]) -> Node | None:
        """The state behind the step, if it is new. Fails with the path to it where something is wrong."""
        path = (*node.path, step)
        try:
            await self._restore(node)
            before = self.twins.model.copy()
            await self.twins.step(*step)
            self.transitions += 1
            state = await self.twins.compare()
            self._check(before)
            key = self._key(state)
            if key in self.seen:
                return None
            self.seen.add(key)
            found = await self._node(path)
            await self._stale_tokens_do_nothing(state)
            await self._all_runs_end(key)
        except BaseException as error:
            error.add_note("after " + " ".join(map(str, path)))
            raise
        return found

    # states
    async def _node(self, path: tuple[Any, ...]) -> Node:
        saved = await self.client.command("EVALSHA", self._sha[_SAVE], 0)
        twins = self.twins
        return Node(saved, twins.model.copy(), dict(twins.ids), dict(twins.tokens), path)

    async def _restore(self, node: Node) -> None:
        await self.client.command("EVALSHA", self._sha[_RESTORE], 0, *node.saved)
        self.twins.model, self.twins.ids, self.twins.tokens = node.model.copy(), dict(node.ids), dict(node.tokens)

    def _key(self, state: redis_state.State) -> str:
        """The state without what nothing depends on. Two workers that change places make no difference."""
        names = {run: name for name, run in (self.twins.ids | self.twins.threads).items()}
        kept = {key.removesuffix(" (expires)"): self._reduced(key, value, names) for key, value in state.items()}
        text = json.dumps({key: value for key, value in kept.items() if value is not None})
        for run, name in names.items():
            text = text.replace(run, name)
        swapped = text.replace("wa", "w?").replace("wb", "wa").replace("w?", "wb")
        return min(json.dumps(json.loads(one), sort_keys=True) for one in (text, swapped))

    def _reduced(self, key: str, value: Any, names: dict[str, str]) -> Any:
        """What of a key's value decides anything; None if nothing does."""
        if key.startswith(_IDLE_KEYS) or _IDLE_KEYS_OF_A_THREAD.match(key):
            return None
        if key.startswith("arq:queue:"):
            return {run: "later" if self.twins.model.runs[names[run]].due[0] > 0 else "" for run in value}
        if key.startswith(("ls:line:", "ls:parked:")):
            return list(value)  # their order
        if key == "ls:workers":
            return {worker: end > 0 for worker, end in value.items()}
        if key.endswith(":waiting"):
            return list(value)
        if not isinstance(value, dict):
            return value
        shown = {k: bool(v) if k in _PRESENT_FIELDS else v for k, v in value.items() if k not in _IDLE_FIELDS}
        return shown | {"not_before": value.get("not_before", "0") != "0"}

    # what must hold
    def _check(self, before: QueueModel) -> None:
        """Between two states; what must hold in each, the twins have compared."""
        for name, old in before.runs.items():
            new = self.twins.model.runs[name]
            assert new.epoch >= old.epoch
            assert old.status not in TERMINAL or (new.status, new.gone, new.epoch) == (old.status, old.gone, old.epoch)
            if new.status == "running" and old.status == "pending":
                others = [r for r in before.runs.values() if r.thread == old.thread and r.status == "pending"]
                earlier = [r for r in others if r.moment < old.moment]
                assert not earlier, f"{name} was claimed before one that came earlier"

    async def _stale_tokens_do_nothing(self, state: redis_state.State) -> None:
        twins = self.twins
        stale = [token for token in twins.tokens if twins.model.token(token[0]) != token]
        for token in stale:
            await twins.step("write", token)
            await twins.step("hand_back", token)
            await twins.step("finish", token, "success", "")
        if stale:
            assert await redis_state.read(self.client) == state

    async def _all_runs_end(self, key: str) -> None:
        """If both workers vanish, a healthy one brings every run to its end."""
        trail = [key]
        while trail[-1] not in self.good and await self._go_on():
            trail.append(self._key(await self.twins.compare()))
            assert len(trail) < 40, "the runs do not come to an end"
        self.good.update(trail)

    async def _go_on(self) -> bool:
        """The next fair step; False if all runs have ended, and then nothing is left of them."""
        model = self.twins.model
        for name, worker in model.workers.items():
            if worker.lease != "held":
                await self.twins.step("release", name, True)
                return True
        for name, run in model.runs.items():
            if token := model.token(name):
                await self.twins.step("finish", token, "interrupted" if run.cancel else "success", run.cancel)
                return True
        if model.line.paused:
            await self.twins.step("resume", min(model.line.paused))
            return True
        if model.due():
            # Somebody is awake to claim it, or the token rests that wakes one.
            for queue in {model.line.standing[name].queue for name in model.due()}:
                assert await self.client.command("LLEN", self.client.keys.wake(queue)) == 1
            await self.twins.step("claim", WORKERS[0], 1)
            return True
        if any(thread.waiting for thread in model.threads.values()):
            await self.twins.step("pass_an_hour")
            return True
        assert all(run.status in TERMINAL for run in model.runs.values())
        return False


async def explore(client: Client, depth: int, scope: Scope = ONE_THREAD) -> Exploration:
    """All states within `depth` steps of the beginning, which is empty threads if the scope has no other."""
    twins = Twins(client, QueueModel(list(scope.threads), list(WORKERS), scope.limit), {})
    for thread in scope.threads:
        twins.threads[thread] = await twins.desk.open()
    await client.script("worker_release", worker=twins.desk.worker, crashed=False, max_crashes=3)
    for worker in WORKERS:
        await twins.desk.lease(worker, HOUR)
    for step in scope.before:
        await twins.step(*step)
    exploration = Exploration(client, twins, scope)
    await exploration.run(depth)
    return exploration
