"""RunWorker: arq's worker with our scheduler. It claims runs, keeps them executing, and gives them back when it stops.

What stays arq's: the queue's formats, the registered function, the life cycle (`run`, `main`, `close`). What is ours:
everything between the queue and a run, since arq polls, cannot see past its first hundred running jobs, and knows no
fencing (see shared/DECISIONS.md).
"""

import asyncio
import contextlib
import random
import signal
import uuid
from collections.abc import Callable
from typing import Any

import redis.exceptions as rx
from arq.connections import ArqRedis
from arq.worker import Worker, func

from lineshaft import log
from lineshaft.cancellation import notifications
from lineshaft.errors import Fenced
from lineshaft.queue import DEFAULT_QUEUE, FUNCTION
from lineshaft.redis import Client, is_transient

from .blocking import BlockingWatch
from .claim import Claim, claim
from .execution import Execution
from .executor import Executor

logger = log.get("worker")

_IDLE_SECONDS = 5.0  # how long a lost wake-up can delay a run; +-20 % so that workers do not look in step
_BATCH = 16  # runs per claim: keeps the script under a millisecond
_HAND_BACK = 5.0  # seconds; a hand-back is one script, and if Redis is away the end of our lease does the same
_LEAKED_TASKS = 3  # runs that swallowed their cancel; beyond it this process is not to be trusted any more


class RunWorker(Worker):
    """One process's share of the queue: claims runs while it has room, executes them, obeys what it hears of them."""

    def __init__(self, client: Client, executor: Executor, worker_id: str, *, max_jobs: int, grace: float) -> None:
        self._client = client
        self._executor = executor
        self._worker_id = worker_id
        self._grace = grace
        self._queue = DEFAULT_QUEUE
        self._executions: dict[str, Execution] = {}
        self._draining = asyncio.Event()
        self._wanted = asyncio.Event()  # we have room and nothing to do: the waker may pop a token
        self._woken = asyncio.Event()
        self._room = asyncio.Event()
        self._leaked = 0
        self._strays: set[str] = set()  # runs that Redis said we hold, and we did not execute
        self._early_cancels: set[str] = set()  # of runs that we do not know yet: their claim's answer is on the way
        self.replace = False  # the parent should start another process
        super().__init__(
            functions=[func(self._run_by_arq, name=FUNCTION)],
            redis_pool=ArqRedis(pool_or_conn=client.redis.connection_pool),
            queue_name=client.keys.queue(self._queue),
            max_jobs=max_jobs,
            handle_signals=False,  # arq would cancel every job at once; `stop` drains
        )

    async def _run_by_arq(self, ctx: dict[Any, Any], run_id: str) -> None:
        raise NotImplementedError("runs are started by the claim loop, never by arq's run_job")

    # life

    async def main(self) -> None:
        """Work until `stop`, then drain."""
        tasks: list[Callable[[], Any]] = [self._wake_up, self._watch_holdings, self._hear_cancels]
        background = [asyncio.create_task(task()) for task in tasks]
        claiming = asyncio.create_task(self._claim_runs(waker=background[0]))
        stopping = asyncio.create_task(self._draining.wait())
        watch = BlockingWatch(lambda: list(self._executions))
        watch.start()
        try:
            done, _ = await asyncio.wait([stopping, claiming, *background], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if not task.cancelled():
                    task.result()  # raises what ended a background task: then this process is of no use any more
            await self._drain(claiming)
        finally:
            watch.stop()
            for task in (stopping, claiming, *background):
                task.cancel()
            await asyncio.gather(stopping, claiming, *background, return_exceptions=True)

    def stop(self) -> None:
        """Claim no more; let runs go on for the grace period, then hand back what is left. Call it from the loop."""
        self._draining.set()
        self._woken.set()
        self._room.set()

    async def _drain(self, claiming: asyncio.Task[None]) -> None:
        logger.info("draining", runs=len(self._executions), grace=self._grace)
        for execution in self._executions.values():
            execution.drain()
        # A claim may be on its way; if Redis is away it is given up, and the end of our lease frees what it took.
        await asyncio.wait({claiming}, timeout=_HAND_BACK)
        if self.tasks:
            await asyncio.wait(list(self.tasks.values()), timeout=self._grace)
        for execution in list(self._executions.values()):
            execution.stop("drain")
        if self.tasks:
            await asyncio.wait(list(self.tasks.values()), timeout=_HAND_BACK)

    async def close(self) -> None:
        """The connections belong to the client, which is closed by whoever made it."""

    def handle_sig(self, signum: signal.Signals) -> None:  # noqa: ARG002 - arq's signature
        """What arq calls for a signal."""
        self.stop()

    # claiming

    async def _claim_runs(self, waker: asyncio.Task[None]) -> None:
        request = uuid.uuid4().hex
        while not self._draining.is_set():
            room = min(self.max_jobs - len(self.tasks), _BATCH)
            if room <= 0:
                if self._woken.is_set():  # by a token that came while the last of our room was taken
                    self._woken.clear()
                    await self._pass_token_on()
                self._room.clear()
                await self._room.wait()
                continue
            try:
                next_due, claims = await claim(self._client, self._worker_id, request, self._queue, room)
            except Fenced:
                self._early_cancels.clear()
                # The parent hears the same from its next renewal and replaces us; until then there is nothing to claim.
                await self._idle(1.0)
                continue
            request = uuid.uuid4().hex
            for claimed in claims:
                self._start(claimed)
            # Heard while this answer was on the way, or of runs that had just ended.
            self._early_cancels.clear()
            if len(claims) < room:
                idle = _IDLE_SECONDS * (0.8 + 0.4 * random.random())
                await self._idle(min(idle, next_due / 1000) if next_due >= 0 else idle)
        # A token that arrived while we stopped, perhaps for the very runs that we hand back, belongs to another worker.
        waker.cancel()
        await asyncio.wait({waker})
        await self._pass_token_on()

    async def _idle(self, seconds: float) -> None:
        self._wanted.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)
        self._woken.clear()

    async def _wake_up(self) -> None:
        """Keep one blocking pop outstanding while we want work.

        A pop is not cancelled while we work (the token it may have taken would be lost), and its own timeout is not our
        timer (Redis looks at those ten times a second only). A token that we cannot use goes to somebody who can.
        """
        blocking = self._client.blocking()
        key = self._client.keys.wake(self._queue)
        try:
            while True:
                await self._wanted.wait()
                try:
                    popped = await blocking.execute_command("BLPOP", key, 30)
                except (rx.RedisError, OSError) as error:
                    if not is_transient(error):
                        raise
                    await asyncio.sleep(0.1 + 0.3 * random.random())  # seconds: Redis is away; do not spin
                    continue
                if not popped:
                    continue
                if self._draining.is_set() or len(self.tasks) >= self.max_jobs:
                    await self._pass_token_on()
                    self._wanted.clear()
                else:
                    self._woken.set()
        finally:
            await blocking.aclose()

    async def _pass_token_on(self) -> None:
        await self._client.script("wake", queue=self._queue)

    # runs in our hands

    def _start(self, claimed: Claim) -> None:
        execution = Execution(claimed)
        self._executions[claimed.run_id] = execution
        if self._draining.is_set():
            execution.stop("drain")
        task = asyncio.get_running_loop().create_task(self._guard(execution), name=f"run {claimed.run_id}")
        self.tasks[claimed.run_id] = task
        task.add_done_callback(lambda _: self._ended(claimed.run_id, execution))
        if claimed.run_id in self._early_cancels:
            execution.stop("cancel")

    def _ended(self, run_id: str, execution: Execution) -> None:
        if self._executions.get(run_id) is execution:
            del self._executions[run_id]
            self.tasks.pop(run_id, None)
        self.jobs_complete += 1
        if execution.leaked:
            self._leaked += 1
            if self._leaked >= _LEAKED_TASKS:
                logger.error("too many runs ignored their cancel, replacing this worker", leaked=self._leaked)
                self.replace = True
                self.stop()
        self._room.set()

    async def _guard(self, execution: Execution) -> None:
        try:
            await self._executor.run(execution)
        except Exception:  # one run's trouble must not end the worker; it stays ours until the holdings are compared
            logger.exception("a run could not be brought to its end", run_id=execution.claim.run_id)

    async def _watch_holdings(self) -> None:
        """Stop runs that are not ours any more, and cancel those whose notification got lost."""
        beat = self._client.settings.lineshaft_lease_seconds * 0.3
        while True:
            await asyncio.sleep(beat * (0.85 + 0.3 * random.random()))
            count = len(self._executions)
            held = await self._client.script("worker_holdings", worker=self._worker_id, count=count)
            if held == b"ok":
                self._strays.clear()
                for execution in self._executions.values():
                    execution.missed = 0
                continue
            actions = {held[i].decode(): held[i + 1].decode() for i in range(0, len(held), 2)}
            for run_id, execution in list(self._executions.items()):
                if run_id not in actions:
                    # Its end may be between Redis and us: only a second look in a row is a loss.
                    execution.missed += 1
                    if execution.missed >= 2:
                        execution.stop("lost")
                    continue
                execution.missed = 0
                if actions[run_id]:
                    execution.stop("cancel")
            # Their claim may be on the way to us: here, too, only a second look in a row tells.
            before, self._strays = self._strays, actions.keys() - self._executions.keys()
            for run_id in self._strays.copy():
                if actions[run_id]:
                    self._early_cancels.add(run_id)
                if run_id in before and run_id not in self._executions:
                    await self._return_stray(run_id)

    async def _return_stray(self, run_id: str) -> None:
        """A run that Redis says we hold and we do not execute: its claim's answer was lost, or its end failed."""
        token = await self._client.command("HGET", self._client.keys.run(run_id), "token")
        if token and token.decode().partition(".")[2] == self._worker_id:
            logger.warning("returning a run that this worker holds but does not execute", run_id=run_id)
            with contextlib.suppress(Fenced):
                limit = self._client.settings.lineshaft_max_crashes
                await self._client.script("run_take_back", run_id=run_id, token=token, max_crashes=limit)

    async def _hear_cancels(self) -> None:
        async for run_id in notifications(self._client, self._worker_id):
            if execution := self._executions.get(run_id):
                execution.stop("cancel")
            else:
                self._early_cancels.add(run_id)
