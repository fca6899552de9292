"""`python -m tests.chaos`: clients use a cell whose processes are killed, stopped, cut off; then all must be right."""

import argparse
import asyncio
import random
import sys
import time
from typing import Any

from tests.chaos.archive import Archive
from tests.chaos.book import Book
from tests.chaos.caller import Caller
from tests.chaos.cell import Cell, until
from tests.chaos.descriptors import Descriptors
from tests.chaos.faults import Faults
from tests.chaos.figures import table
from tests.chaos.history import History
from tests.chaos.journal import read
from tests.chaos.keeper import Keeper
from tests.chaos.keyspace import is_quiet, leaks
from tests.chaos.ledger import Ledger
from tests.chaos.verdict import broken_invariants
from tests.chaos.visitor import Visitor

VISITORS = 12
SETTLE = 60.0  # seconds until a cell without faults must be quiet: losing a lease, and all runs, takes a few
FINISH = 120.0  # seconds until clients have what they wait for: what each of their waits may take, and more


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long there are faults (default 60)")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="what is done to whom")
    parser.add_argument("--rate", type=float, default=8, help="stories that clients begin a second (default 8)")
    parser.add_argument("--only", default="", help="faults whose name in faults.py contains this: redis, worker, cut")
    return parser.parse_args()


class Chaos:
    """One run of the driver."""

    def __init__(self, cell: Cell, chosen: argparse.Namespace) -> None:
        self._cell = cell
        self._seconds: float = chosen.seconds
        self._pause = VISITORS / chosen.rate
        self.book = Book()
        self.ledger = Ledger()
        self._seed, self._only = chosen.seed, chosen.only
        self._visitors = [Visitor(number, cell.urls, self.book, chosen.seed) for number in range(VISITORS)]
        self._archive = Archive(cell.client, self.book)
        self._descriptors = Descriptors(cell)
        self._keeper = Keeper(cell, self.ledger)
        self._started = self._settled = 0.0

    async def run(self) -> tuple[str, list[str]]:
        """The figures, and every invariant that is broken."""
        await self._cell.start()
        await self._descriptors.measure()
        self._started = time.monotonic()
        background = [
            asyncio.create_task(work) for work in (self._archive.keep_temporary(), self._keeper.watch(), self._tell())
        ]
        broken = await self._strike()
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        history = await self._history()
        broken += self._keeper.surprises
        broken += await leaks(self._cell.client, self.book.deleted)
        for visitor in self._visitors:
            broken += visitor.caller.broken
            await visitor.caller.close()
        broken += await self._descriptors.grown()
        broken += broken_invariants(history)
        self.ledger.write(self._cell.folder / "ledger")
        figures = table(history, self._cell, seconds=self._seconds, settled=self._settled)
        broken += [f"{name} had to be killed to stop" for name in await self._cell.stop()]
        broken += self._cell.leftovers()
        return figures, broken

    async def _strike(self) -> list[str]:
        """Clients and faults, for the time that was asked for; then wait until all of it has settled."""
        over = asyncio.Event()
        visits = asyncio.gather(*(visitor.visit(self._pause, over) for visitor in self._visitors))
        faults = Faults(self._cell, self.ledger, self._seed, self._only)
        striking = asyncio.create_task(faults.strike())
        works: list[asyncio.Future[Any]] = [striking, visits]
        await asyncio.wait(works, timeout=self._seconds, return_when=asyncio.FIRST_EXCEPTION)
        striking.cancel()
        over.set()
        await asyncio.gather(striking, return_exceptions=True)
        await faults.mended()
        mended = time.monotonic()
        try:
            await asyncio.wait_for(visits, FINISH)
            await until(lambda: is_quiet(self._cell.client), "nothing waits or runs any more", SETTLE)
            await self._cell.ready()
        except TimeoutError as error:
            return [str(error) or f"clients still wait {FINISH} s after the last fault"]
        self._settled = time.monotonic() - mended
        return []

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(10)  # seconds: a person who watches wants to see that it goes on
            seconds = time.monotonic() - self._started
            streams = sum(not stream.ended for stream in self.book.streams)
            runs, faults = len(self.book.runs), len(self.ledger.faults)
            print(f"{seconds:4.0f} s: {runs} runs, {faults} faults, {streams} open streams", flush=True)

    async def _history(self) -> History:
        await self._archive.read()
        history = History(
            self.book, self.ledger, read(self._cell.journal), self._archive.logs, self._archive.records
        )  # fmt: skip
        caller = Caller(self._cell.urls, "in the end")
        for run in self.book.runs.values():
            if run.thread_id in self.book.deleted or (run.temporary and run.status):
                continue
            run.status = await caller.status(run.thread_id, run.run_id)
        for thread_id in self.book.threads - self.book.deleted:
            history.trails[thread_id] = await _trail(caller, thread_id)
        for thread_id in self.book.messages:
            shown: Any = (await caller.repeat("GET", f"/threads/{thread_id}/messages")).json()
            history.messages[thread_id] = [message["id"] for message in shown]
        self._visitors[0].caller.broken += caller.broken
        await caller.close()
        return history


async def _trail(caller: Caller, thread_id: str) -> list[str]:
    shown: Any = (await caller.repeat("GET", f"/threads/{thread_id}")).json()
    state: Any = (await caller.repeat("GET", f"/threads/{thread_id}/state")).json()
    values = shown["values"] or {}
    if values != (state["values"] or {}):
        caller.broken.append(f"thread {thread_id} shows {values}, its state is {state['values']}")
    return list(values.get("trail", []))


async def main(chosen: argparse.Namespace) -> int:
    """The exit code."""
    print(f'make chaos ARGS="--seconds {chosen.seconds:g} --seed {chosen.seed}"', flush=True)
    cell = Cell()
    try:
        figures, broken = await Chaos(cell, chosen).run()
    except BaseException:
        print(f"logs: {cell.folder}", flush=True)
        raise
    finally:
        for slot in reversed(cell.slots()):
            if slot.running:
                await slot.kill()
    print(figures)
    for line in broken:
        print(f"BROKEN: {line}")
    if broken:
        print(f"{len(broken)} broken; logs: {cell.folder}")
        return 1
    print("all invariants hold")
    cell.remove()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(options())))
