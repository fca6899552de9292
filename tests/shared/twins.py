"""Takes every step twice, on the scripts in Redis and on the model, and compares the answers and what they hold."""

import time
from typing import Any

import msgspec

from lineshaft.config.executor import ExecutorConfig, QueueConfig
from lineshaft.errors import Conflict, Fenced, NotFound
from lineshaft.queues.control import pause, resume
from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import cancel
from lineshaft.runs.request import RunUser

from . import redis_state
from .line_model import QUEUES
from .model_records import MAX_CRASHES, TERMINAL, Choice, Refused, Token
from .queue_model import QueueModel
from .runs import Desk

HOUR = 3_600_000  # ms
EXECUTOR = ExecutorConfig(queues={"batch": QueueConfig()})
CAUSE = "graph g"
# An hour passes for all that waits: everything that is due is due an hour earlier.
_PASS_AN_HOUR = """#!lua
local hour, far = tonumber(ARGV[1]), tonumber(ARGV[2])
local function earlier(value) return string.format('%.3f', tonumber(value) - hour) end
for _, run in ipairs(redis.call('KEYS', 'ls:run:*')) do
  if redis.call('TYPE', run).ok == 'hash' and redis.call('HEXISTS', run, 'score') == 1 then
    redis.call('HSET', run, 'score', earlier(redis.call('HGET', run, 'score')))
    local later = redis.call('HGET', run, 'not_before')
    if later and later ~= '0' then redis.call('HSET', run, 'not_before', earlier(later)) end
  end
end
local sets = redis.call('KEYS', 'ls:thread:*:waiting')
for _, queue in ipairs({ 'runs', 'batch', 'overflow' }) do
  sets[#sets + 1] = 'arq:queue:' .. queue
  sets[#sets + 1] = 'ls:line:' .. queue
end
for _, set in ipairs(sets) do
  local entries = redis.call('ZRANGE', set, 0, -1, 'WITHSCORES')
  for i = 1, #entries, 2 do
    local at = tonumber(entries[i + 1])
    if at >= 0 and at < far then redis.call('ZADD', set, earlier(entries[i + 1]), entries[i]) end
  end
end
for _, queue in ipairs({ 'runs', 'batch', 'overflow' }) do
  redis.call('DEL', 'ls:timer:' .. queue)
  -- The worker that has the timer.
  if redis.call('LLEN', 'ls:wake:' .. queue) == 0 then redis.call('RPUSH', 'ls:wake:' .. queue, '1') end
end
"""


class Twins:
    """The queue in Redis and its model, under the model's names."""

    def __init__(self, client: Client, model: QueueModel, threads: dict[str, str]) -> None:
        client.settings = msgspec.structs.replace(client.settings, lineshaft_executor=EXECUTOR)
        self.client = client
        self.model = model
        self.threads = threads
        self.ids: dict[str, str] = {}
        self.tokens: dict[Token, str] = {}  # all that were ever given out
        self.desk = Desk(client)
        self.desk.max_crashes = MAX_CRASHES
        self.desk.queues = QUEUES
        self.desk.limits = f"{CAUSE}\t{model.line.limit}" if model.line.limit else ""
        self.clock = 0

    async def step(self, name: str, *args: Any) -> Any:
        """Take one step; the answer of both, or the name of the error that both refuse it with."""
        try:
            expected = getattr(self.model, name)(*args)
        except Refused as refused:
            expected = str(refused)
        try:
            answer = await getattr(self, f"_{name}")(*args)
        except (Conflict, Fenced, NotFound) as error:
            answer = type(error).__name__
        assert answer == expected, f"{name}{args} was answered {answer}, not {expected}"
        return answer

    def _tick(self) -> None:
        """No two moments fall into one millisecond, nor is anything claimed in the one in which it is due."""
        while (now := time.time_ns() // 1_000_000) <= self.clock:
            pass
        self.clock = now

    # the steps, as the model names them
    async def _create(self, name: str, thread: str, strategy: str, choice: Choice | None = None) -> None:
        self._tick()
        wish: Choice = choice or {}
        fields: dict[str, Any] = {"after_seconds": HOUR // 1000} if wish.get("later") else {}
        if tenant := wish.get("tenant"):
            fields["user"] = RunUser(tenant)
        configurable = {"lineshaft_queue": wish.get("queue", "runs"), "lineshaft_priority": wish.get("priority", 0)}
        self.ids[name] = await self.desk.create(
            self.threads[thread],
            multitask_strategy=strategy,
            config={"configurable": configurable},
            stream_resumable=True,  # its events live longer than a test: states made anew have events that are old
            **fields,
        )
        self._tick()

    async def _pause(self, queue: str) -> None:
        await pause(self.client, queue)

    async def _resume(self, queue: str) -> None:
        await resume(self.client, queue)

    async def _cancel(self, name: str, action: Any) -> str:
        run = self.ids[name]
        thread = self.threads[self.model.runs[name].thread]
        return "ended" if await cancel(self.client, thread, run, action, "test") else "signalled"

    async def _claim(self, worker: str, room: int) -> list[Token]:
        # A worker that looks has been woken, or comes by itself: it has the token then.
        for queue in QUEUES:
            await self.client.command("LPOP", self.client.keys.wake(queue))
        await self._beat()
        names = {run: name for name, run in self.ids.items()}
        try:
            claimed = await self.desk.claim(room, worker=worker)
        except Fenced:
            for queue in QUEUES:
                await self.client.script("wake", queue=queue)  # passed on, as a worker does
            raise
        given = {(names[run], int(token.partition(".")[0])): token for run, token in claimed}
        self.tokens |= given
        return list(given)

    async def _finish(self, token: Token, status: str, handled: str) -> str:
        return await self.desk.finish(self.ids[token[0]], self.tokens[token], status, handled=handled)

    async def _write(self, token: Token) -> None:
        run, thread = self.ids[token[0]], self.threads[self.model.runs[token[0]].thread]
        await self.client.script(
            "checkpoint_put", run_id=run, token=self.tokens[token], owner=run, thread_id=thread, ns="",
            checkpoint_id="c", header=b"h", anatomy_text="\1\1", values=[],
        )  # fmt: skip

    async def _hand_back(self, token: Token, put_off: bool = False) -> None:
        self._tick()
        args = {"run_id": self.ids[token[0]], "token": self.tokens[token]}
        if put_off:
            await self.client.script("run_lack", **args, graph_id="g", patience=1000 * HOUR, delay=HOUR)
        else:
            await self.client.script("run_hand_back", **args)
        self._tick()

    async def _release(self, worker: str, crashed: bool) -> None:
        await self.client.script("worker_release", worker=worker, crashed=crashed, max_crashes=MAX_CRASHES)
        await self._beat()
        await self.desk.lease(worker, HOUR)

    async def _expire(self, worker: str) -> None:
        await self.client.command("ZADD", self.client.keys.workers(), "XX", 0, worker)

    async def _renew(self, worker: str) -> int:
        await self._beat()
        return await self.desk.lease(worker, HOUR, begin=False)

    async def _beat(self) -> None:
        """The fleet has never been silent, however slow the test is: after a silence nobody is reaped."""
        await self.client.command("SET", self.client.keys.beat(), time.time_ns() // 1_000_000, "PX", HOUR)
        await self.client.command("DEL", self.client.keys.grace())

    async def _pass_an_hour(self) -> None:
        far = time.time() * 1000 + 1000 * HOUR  # the hidden entries of claimed runs are behind it
        await self.client.command("EVAL", _PASS_AN_HOUR, 0, HOUR, far)

    async def _lock(self, name: str, thread: str, worker: str) -> None:
        await self.client.command("SET", self.client.keys.query(name), "?", "EX", 60)
        args = {"lock_id": name, "thread_id": self.threads[thread], "worker": worker, "query_id": name}
        self.tokens[name, 1] = (await self.client.script("state_lock", **args)).decode()

    async def _unlock(self, name: str) -> None:
        await self.client.script(
            "state_unlock", lock_id=name, token=self.tokens[name, 1], rev=1, thread_status="", state=b"",
            interrupts=b"", forget="", events_ttl=0, event=[],
        )  # fmt: skip

    async def give_up(self, name: str) -> None:
        """An asker's patience ends; what that answers is no matter of the queue."""
        self.model.open(name)
        await self.client.script("query_give_up", query_id=name)

    # comparing
    async def compare(self) -> redis_state.State:
        """What is in Redis, after it was found to be what the model holds."""
        state = await redis_state.read(self.client)
        keys = self.client.keys
        held: dict[str, str] = {}
        for name, worker in self.model.workers.items():
            mine = state.get(keys.worker_runs(name), [])
            assert mine == sorted(self.ids.get(run, run) for run in worker.held), f"held by {name}"
            held |= dict.fromkeys(mine, name)
        queues = {name: set(state.get(keys.queue(name), {})) for name in QUEUES}
        assert not set.intersection(*queues.values())
        queue = set.union(*queues.values())
        for name, thread_id in self.threads.items():
            thread, record = self.model.threads[name], state[keys.thread(thread_id)]
            active = self.ids.get(thread.active, thread.active)
            waiting = [self.ids[run] for run in thread.waiting]
            assert record.get("active", "") == active
            assert record["shown"] == self.model.shown(name)
            assert list(state.get(keys.thread_waiting(thread_id), {})) == waiting
            assert record.get("queued", "") == ("" if active or not waiting else waiting[0])
            # One of its runs is in the queue at most: the active one, or the first that waits.
            here = [active] if active else waiting[:1]
            assert queue & {self.ids[run] for run in self.model.runs if self.model.runs[run].thread == name} == {
                run for run in here if run in self.ids.values()
            }
        for name in self.model.runs:
            self._compare_run(name, state, held)
            if self.ids[name] in queue:
                assert self.ids[name] in queues[self.model.line.standing[name].queue]
        assert queue <= set(self.ids.values())
        self._compare_lines(state)
        self._compare_index(state)
        return state

    def _compare_lines(self, state: redis_state.State) -> None:
        keys, line = self.client.keys, self.model.line
        heads = self.model.heads()
        for queue in QUEUES:
            here = {name for name in heads if line.standing[name].queue == queue}
            parked = {name for name in here if line.standing[name].parked}
            assert set(state.get(keys.line(queue), {})) == {self.ids[name] for name in here - parked}
            assert set(state.get(keys.parked(queue, CAUSE), {})) == {self.ids[name] for name in parked}
            assert state.get(keys.share(queue), {}) == line.share(queue)
        slots = sorted(self.ids[name] for name, run in line.standing.items() if run.slot)
        assert state.get(keys.holders(CAUSE), []) == slots
        if line.limit:
            assert len(slots) <= line.limit
        for name, standing in line.standing.items():
            record = state.get(keys.run(self.ids[name]), {})
            if self.model.runs[name].status in TERMINAL:
                assert not {"counted", "parked", "bearer", "slots"} & record.keys()
                continue
            assert record["queue"] == standing.queue
            assert ("counted" in record) == standing.counted
            assert record.get("parked", "") == (CAUSE if standing.parked else "")
            assert record.get("bearer", "") == (CAUSE if standing.bearer else "")
            assert record.get("slots", "") == (CAUSE if standing.slot else "")
            assert ("place" in record) == (standing.round >= 0)
        # A slot that is free has somebody who comes for it, in each queue where some wait for one.
        for queue in QUEUES:
            waiting = [name for name in heads if line.standing[name].queue == queue and line.standing[name].parked]
            called = [run for run in line.standing.values() if run.bearer and run.queue == queue]
            assert not waiting or called or len(slots) >= line.limit

    def _compare_index(self, state: redis_state.State) -> None:
        """Operators find each run that has not ended, by its queue too, and each that has."""
        keys, runs = self.client.keys, self.model.runs
        there = {self.ids[name]: run for name, run in runs.items() if not run.gone}
        open_ = {run_id for run_id, run in there.items() if run.status not in TERMINAL}
        assert set(state.get(keys.runs_open(), {})) == open_
        assert set(state.get(keys.runs_ended(), {})) == there.keys() - open_
        for queue in QUEUES:
            of_queue = {run_id for run_id in open_ if state[keys.run(run_id)]["queue"] == queue}
            assert set(state.get(keys.runs_open_in(queue), [])) == of_queue
        for run_id, run in there.items():
            assert bool(state[keys.run(run_id)].get("began")) == (run.status == "running")

    def _compare_run(self, name: str, state: redis_state.State, held: dict[str, str]) -> None:
        keys, run, run_id = self.client.keys, self.model.runs[name], self.ids[name]
        record = state.get(keys.run(run_id), {})
        log = state.get(keys.thread_events(self.threads[run.thread]), []) or state.get(
            keys.thread_events(self.threads[run.thread]) + " (expires)", []
        )
        ends = [fields for fields in log if fields[1] == run_id and fields[5] == "end"]
        ended = run.status in TERMINAL
        assert len(ends) == int(ended), f"ends of {name} in the log"
        assert (keys.job(run_id) in state) == (not ended)
        assert (keys.in_progress(run_id) in state) == (run.status == "running")
        assert held.get(run_id, "") == run.worker
        if run.gone:
            assert record == {}
            return
        for field, value in {
            "status": run.status, "epoch": str(run.epoch), "worker": run.worker, "cancel": run.cancel,
            "wrote": "1" if run.wrote else "", "dead": "1" if run.dead else "",
            "token": self.tokens[name, run.epoch] if run.worker else "",
        }.items():  # fmt: skip
            assert record.get(field, "") == value, f"{field} of {name}"
        assert int(record.get("crashes", 0)) == run.crashes
        assert int(record.get("attempt", 0)) == run.attempt
