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
from collections.abc import Callable, Iterable
from typing import Any

from arq.connections import ArqRedis
from arq.worker import Worker, func

from lineshaft.errors import Fenced
from lineshaft.queues.queue import DEFAULT_QUEUE, FUNCTION, OVERFLOW_QUEUE
from lineshaft.redis.client import Client
from lineshaft.runs.cancellation import notifications
from lineshaft.telemetry import log

from .blocking import BlockingWatch
from .claim import Claim, claim
from .execution import Execution
from .executor import Executor
from .run_metrics import ABANDONED, DRAINING, watch_slots
from .shares import Shares
from .waker import Waker

logger = log.get("worker")

_IDLE_SECONDS = 5.0  # how long a lost wake-up can delay a run; +-20 % so that workers do not look in step
_HAND_BACK = 5.0  # seconds; a hand-back is one script, and if Redis is away the end of our lease does the same
_LEAKED_TASKS = 3  # runs that swallowed their cancel; beyond it this process is not to be trusted any more


class RunWorker(Worker):
    """One process's share of the queue: claims runs while it has room, executes them, obeys what it hears of them."""

    def __init__(
        self,
        client: Client,
        executor: Executor,
        worker_id: str,
        *,
        max_jobs: int,
        grace: float,
        queues: dict[str, int] | None = None,
    ) -> None:
        """`queues` are those that it serves beside the overflow queue, with their weights; without any, `runs`."""
        self._client = client
        self._executor = executor
        self._worker_id = worker_id
        self._grace = grace
        queues = queues or {DEFAULT_QUEUE: 1}
        self._shares = Shares(queues, max_jobs)
        self._executions: dict[str, Execution] = {}
        self._draining = asyncio.Event()
        self._woken = asyncio.Event()
        # Two, since either group may be full while the other has room.
        self._wakers = [Waker(client, group, self._woken.set) for group in ((OVERFLOW_QUEUE,), tuple(queues))]
        self._claiming = False  # a claim is asked for and not answered yet
        self._awaited: set[str] = set()  # queues with due runs that may be ours when one of our runs has ended
        self._deaf = asyncio.Event()  # set when we listen again: cancels may have been published to nobody
        self._leaked = 0
        self._strays: set[str] = set()  # runs that Redis said we hold, and we did not execute
        self._early_cancels: set[str] = set()  # of runs that we do not know yet: their claim's answer is on the way
        watch_slots(self._shares.queues, self._shares.taken, self._shares.free_part)
        DRAINING.set_function(self._draining.is_set)
        self.replace = False  # the parent should start another process
        super().__init__(
            functions=[func(self._run_by_arq, name=FUNCTION)],
            redis_pool=ArqRedis(pool_or_conn=client.redis.connection_pool),
            queue_name=client.keys.queue(DEFAULT_QUEUE),
            max_jobs=max_jobs,
            handle_signals=False,  # arq would cancel every job at once; `stop` drains
        )

    async def _run_by_arq(self, ctx: dict[Any, Any], run_id: str) -> None:
        raise NotImplementedError("runs are started by the claim loop, never by arq's run_job")

    # life

    async def main(self) -> None:
        """Work until `stop`, then drain."""
        wakers = [asyncio.create_task(waker.run()) for waker in self._wakers]
        tasks: list[Callable[[], Any]] = [self._watch_holdings, self._hear_cancels]
        background = [*wakers, *(asyncio.create_task(task()) for task in tasks)]
        claiming = asyncio.create_task(self._claim_runs(wakers))
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

    def _want(self) -> None:
        for waker in self._wakers:
            waker.want({queue for queue in waker.queues if self._shares.free(queue) > 0} - self._awaited)

    async def _claim_runs(self, wakers: list[asyncio.Task[None]]) -> None:
        request = uuid.uuid4().hex
        while not self._draining.is_set():
            self._woken.clear()
            rooms = self._shares.rooms()
            self._want()
            for waker in self._wakers:
                await waker.use_token()
            next_due = -1
            if rooms:
                self._claiming = True
                try:
                    next_due, self._awaited, claims = await claim(
                        self._client, self._worker_id, request, rooms, self._shares.lines()
                    )
                except Fenced:
                    self._early_cancels.clear()
                    await self._leave_to_others()
                    # The parent hears the same from its next renewal and replaces us; until then we get nothing.
                    await self._idle(1.0)
                    continue
                finally:
                    self._claiming = False
                request = uuid.uuid4().hex
                for claimed in claims:
                    self._start(claimed)
                # Heard while this answer was on the way, or of runs that had just ended.
                self._early_cancels.clear()
                if self._shares.full([claimed.queue for claimed in claims], rooms):
                    continue  # there may be more of them
            self._want()
            idle = _IDLE_SECONDS * (0.8 + 0.4 * random.random())
            await self._idle(min(idle, next_due / 1000) if next_due >= 0 else idle)
        # A token that arrived while we stopped, perhaps for the very runs that we hand back, belongs to another worker.
        for task in wakers:
            task.cancel()
        await asyncio.wait(wakers)
        for waker in self._wakers:
            await waker.pass_on()

    async def _leave_to_others(self) -> None:
        """We cannot claim: no more tokens for us, and one that has woken us is for somebody who can."""
        if self._awaited != {*self._shares.queues}:
            self._awaited = {*self._shares.queues}
            for waker in self._wakers:
                waker.want(set())
                await waker.pass_on()

    async def _idle(self, seconds: float) -> None:
        # Not wait_for, see _listens_again_before.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    # runs in our hands

    def _start(self, claimed: Claim) -> None:
        execution = Execution(claimed)
        self._executions[claimed.run_id] = execution
        self._shares.take(claimed.queue)
        if self._draining.is_set():
            execution.stop("drain")
        task = asyncio.get_running_loop().create_task(self._guard(execution), name=f"run {claimed.run_id}")
        self.tasks[claimed.run_id] = task
        task.add_done_callback(lambda _: self._ended(claimed.run_id, execution))
        if claimed.run_id in self._early_cancels:
            execution.stop("cancel")

    def _ended(self, run_id: str, execution: Execution) -> None:
        queue = execution.claim.queue
        if self._shares.free(queue) <= 0 or queue in self._awaited:
            self._woken.set()
        self._shares.give_back(queue)
        if self._executions.get(run_id) is execution:
            del self._executions[run_id]
            self.tasks.pop(run_id, None)
        self.jobs_complete += 1
        if execution.leaked:
            self._leaked += 1
            ABANDONED.inc()
            if self._leaked >= _LEAKED_TASKS:
                logger.error("too many runs ignored their cancel, replacing this worker", leaked=self._leaked)
                self.replace = True
                self.stop()

    async def _guard(self, execution: Execution) -> None:
        try:
            with execution.claim.span() as span, log.bound(**execution.claim.about(), trace_id=span.trace_id):
                execution.span = span
                await self._executor.run(execution)
                span.note(outcome=execution.measure.outcome)
        except Exception:  # one run's trouble must not end the worker; it stays ours until the holdings are compared
            execution.measure.over("failed")
            logger.exception("a run could not be brought to its end", run_id=execution.claim.run_id)

    async def _watch_holdings(self) -> None:
        """Stop runs that are not ours any more, and cancel those whose notification got lost."""
        beat = self._client.settings.lineshaft_lease_seconds * 0.3
        due = 0.0
        while True:
            if not (extra := await self._listens_again_before(due)):
                due = asyncio.get_running_loop().time() + beat * (0.85 + 0.3 * random.random())
            count = len(self._executions)
            held = await self._client.script("worker_holdings", worker=self._worker_id, count=count)
            if held == b"ok":
                self._strays.clear()
                for execution in self._executions.values():
                    execution.missed = 0
                continue
            actions = {held[i].decode(): held[i + 1].decode() for i in range(0, len(held), 2)}
            self._obey(run_id for run_id, action in actions.items() if action)
            if extra:
                continue  # too soon after the last look to tell what is lost
            for run_id, execution in list(self._executions.items()):
                if run_id not in actions:
                    # Its end may be between Redis and us: only a second look in a row is a loss.
                    execution.missed += 1
                    if execution.missed >= 2:
                        execution.stop("lost")
                    continue
                execution.missed = 0
            # Their claim may be on the way to us, or be asked for again since its answer was lost. And here, too, only
            # a second look in a row tells.
            strays = set() if self._claiming else actions.keys() - self._executions.keys()
            before, self._strays = self._strays, strays
            for run_id in self._strays.copy():
                if run_id in before and run_id not in self._executions:
                    await self._return_stray(run_id)

    async def _listens_again_before(self, due: float) -> bool:
        """Wait for that time of the loop, or until we listen again after having been deaf."""
        # Not wait_for, which before Python 3.12 loses a cancellation that comes together with the event.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await self._deaf.wait()
        self._deaf.clear()
        return asyncio.get_running_loop().time() < due

    async def _return_stray(self, run_id: str) -> None:
        """A run that Redis says we hold and we do not execute: its claim's answer was lost, or its end failed."""
        token = await self._client.command("HGET", self._client.keys.run(run_id), "token")
        if token and token.decode().partition(".")[2] == self._worker_id:
            logger.warning("returning a run that this worker holds but does not execute", run_id=run_id)
            with contextlib.suppress(Fenced):
                limit = self._client.settings.bg_job_max_retries
                await self._client.script("run_take_back", run_id=run_id, token=token, max_crashes=limit)

    async def _hear_cancels(self) -> None:
        async for run_id in notifications(self._client, self._worker_id):
            if run_id:
                self._obey([run_id])
            else:
                self._deaf.set()
                self._woken.set()  # an operator may have resumed us (worker_drain.lua)

    def _obey(self, cancelled: Iterable[str]) -> None:
        for run_id in cancelled:
            if execution := self._executions.get(run_id):
                execution.stop("cancel")
            else:
                self._early_cancels.add(run_id)
