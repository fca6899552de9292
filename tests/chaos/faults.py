"""The faults, chosen by a seed: what is killed, stopped, cut off, and for how long."""

import asyncio
import contextlib
import random
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import redis.exceptions as rx

from lineshaft.config.executor import ExecutorConfig
from lineshaft.config.settings import Settings
from lineshaft.queues.control import pause, resume
from lineshaft.redis.client import Client
from tests.chaos.cell import EXECUTOR, LEASE, STOP_PATIENCE, Cell, until
from tests.chaos.ledger import Ledger
from tests.chaos.process import Slot

EVERY = 1.6  # seconds between two faults, on average: several go on at a time, and there is calm in between
CALM = (0.5, 2.5)  # seconds that a process is left in peace after a fault
SHORT, LONG = (0.1, LEASE * 0.5), (LEASE * 1.2, LEASE * 2.5)  # seconds, beside the lease

Kind = Callable[[Slot], Coroutine[Any, Any, None]]


class Faults:
    """Strikes until stopped; every fault mends what it broke."""

    def __init__(self, cell: Cell, ledger: Ledger, seed: int, only: str) -> None:
        self._cell = cell
        self._ledger = ledger
        self._random = random.Random(f"faults {seed}")
        self._tasks: list[asyncio.Future[None]] = []
        workers, gateways, redis = cell.workers, cell.gateways, [cell.redis]
        kinds: list[tuple[int, Kind, list[Slot]]] = [
            (3, self._kill_child, workers),
            (3, self._kill_worker, workers),
            (6, self._stop_worker, workers),
            (4, self._drain_worker, workers),
            (3, self._cut_worker, workers[-1:]),
            (3, self._cut_gateway, gateways[-1:]),
            (3, self._kill_gateway, gateways),
            (2, self._drain_gateway, gateways),
            (2, self._stop_gateway, gateways),
            (3, self._kill_redis, redis),
            (2, self._stop_redis, redis),
            (2, self._kill_connections, redis),
            (1, self._flush_scripts, redis),
            (2, self._pause_queue, redis),
        ]
        self._kinds = [entry for entry in kinds if only in entry[1].__name__]
        if not self._kinds:
            raise ValueError(f"no fault's name contains {only!r}: {', '.join(kind.__name__ for _, kind, _ in kinds)}")

    async def strike(self) -> None:
        """Begin one fault after another until cancelled."""
        weights = [weight for weight, _, _ in self._kinds]
        while True:
            await asyncio.sleep(self._random.expovariate(1 / EVERY))
            [(_, kind, slots)] = self._random.choices(self._kinds, weights)
            slot = self._random.choice(slots)
            # Not after the one that goes on: the faults of one process would never end.
            if not slot.lock.locked():
                await slot.lock.acquire()
                self._tasks.append(asyncio.ensure_future(self._do(kind, slot)))

    async def mended(self) -> None:
        """Wait until every fault that has begun is over. Raises what one of them raised."""
        await asyncio.gather(*self._tasks)

    async def _do(self, kind: Kind, slot: Slot) -> None:
        try:
            await kind(slot)
            await asyncio.sleep(self._some(CALM))
        finally:
            slot.lock.release()

    def _some(self, span: tuple[float, float]) -> float:
        return self._random.uniform(*span)

    def _span(self) -> tuple[str, float]:
        name, span = self._random.choice((("short", SHORT), ("long", LONG)))
        return name, self._some(span)

    # workers

    async def _kill_child(self, slot: Slot) -> None:
        children = slot.children()
        if not children:
            return  # between two children
        with self._ledger.fault("kill child", slot.name, children):
            for pid in children:
                slot.signal(pid, signal.SIGKILL)

    async def _kill_worker(self, slot: Slot) -> None:
        with self._ledger.fault("kill worker", slot.name, slot.pids()):
            await slot.kill()
        await self._start_again(slot)

    async def _stop_worker(self, slot: Slot) -> None:
        length, seconds = self._span()
        who = self._random.choice(("child", "parent", "both"))
        if not slot.running:
            return
        children = slot.children()
        chosen = {"child": children, "parent": {slot.pid}, "both": {slot.pid, *children}}[who]
        # A parent that does not renew loses the child's lease: the child felt it too.
        with self._ledger.fault(f"stop {who} {length}", slot.name, {slot.pid, *children}):
            await self._pause(slot, chosen, seconds)

    async def _drain_worker(self, slot: Slot) -> None:
        with self._ledger.fault("drain worker", slot.name, slot.pids()):
            await slot.stop(STOP_PATIENCE)
        await self._start_again(slot)

    async def _cut_worker(self, slot: Slot) -> None:
        await self._cut(slot, "cut")

    # gateways

    async def _cut_gateway(self, slot: Slot) -> None:
        await self._cut(slot, "gateway cut")

    async def _kill_gateway(self, slot: Slot) -> None:
        with self._ledger.fault("gateway killed", slot.name, set()):
            await slot.kill()
        await self._start_again(slot)

    async def _drain_gateway(self, slot: Slot) -> None:
        with self._ledger.fault("gateway drained", slot.name, set()):
            await slot.stop(STOP_PATIENCE)
        await self._start_again(slot)

    async def _stop_gateway(self, slot: Slot) -> None:
        length, seconds = self._span()
        with self._ledger.fault(f"gateway stopped {length}", slot.name, set()):
            await self._pause(slot, slot.pids(), seconds)

    # Redis

    async def _kill_redis(self, slot: Slot) -> None:
        pause = self._some((0.0, LEASE * 1.5))
        with self._ledger.fault("redis killed", slot.name, set()):
            await slot.kill()
            await asyncio.sleep(pause)
            slot.start()
            await until(self._cell.redis_answers, "Redis answers again")

    async def _stop_redis(self, slot: Slot) -> None:
        length, seconds = self._span()
        with self._ledger.fault(f"redis stopped {length}", slot.name, set()):
            await self._pause(slot, slot.pids(), seconds)

    async def _kill_connections(self, slot: Slot) -> None:
        kind = self._random.choice(("normal", "pubsub"))
        with contextlib.suppress(rx.RedisError, OSError):  # it may be starting
            await self._cell.client.execute_command("CLIENT", "KILL", "TYPE", kind)
            self._ledger.note(f"connections killed ({kind})", slot.name)

    async def _flush_scripts(self, slot: Slot) -> None:
        with contextlib.suppress(rx.RedisError, OSError):  # it may be starting
            await self._cell.client.execute_command("SCRIPT", "FLUSH")
            self._ledger.note("scripts flushed", slot.name)

    async def _pause_queue(self, slot: Slot) -> None:
        """As an operator does."""
        queue, seconds = self._random.choice(("runs", "batch")), self._some(LONG)
        executor = msgspec.convert(EXECUTOR, ExecutorConfig)
        client = Client(Settings(redis_uri=f"unix://{self._cell.socket}", lineshaft_executor=executor), patience=60)
        with self._ledger.fault("queue paused", slot.name, set()):
            await pause(client, queue)
            try:
                await asyncio.sleep(seconds)
            finally:
                await resume(client, queue)
                await client.close()

    # what faults are made of

    async def _start_again(self, slot: Slot) -> None:
        await asyncio.sleep(self._some((0.0, 2.0)))
        slot.start()

    async def _cut(self, slot: Slot, name: str) -> None:
        how, (length, seconds) = self._random.choice(("silently", "loudly", "answers", "answers")), self._span()
        proxy = self._cell.proxies[slot.name]
        with self._ledger.fault(f"{name} {how} {length}", slot.name, slot.pids()) as fault:
            {"silently": proxy.hold, "loudly": proxy.hang_up, "answers": proxy.lose_answers}[how]()
            await asyncio.sleep(seconds)
            proxy.heal()
            fault.pids |= slot.pids()  # one that was started meanwhile

    async def _pause(self, slot: Slot, pids: set[int], seconds: float) -> None:
        for pid in pids:
            slot.signal(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            for pid in pids:
                slot.signal(pid, signal.SIGCONT)
