"""Starts again what has ended by itself, as an orchestrator does; and says when that should not have happened."""

import asyncio
import time

from tests.chaos.cell import Cell
from tests.chaos.ledger import Ledger

DELAY = 0.5  # seconds between an end and the next start


class Keeper:
    """Watches processes that no fault is being done to."""

    def __init__(self, cell: Cell, ledger: Ledger) -> None:
        self.surprises: list[str] = []
        self._cell = cell
        self._ledger = ledger

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(DELAY)
            for slot in self._cell.slots():
                if not slot.running and not slot.lock.locked():
                    # A gateway or worker that starts while Redis is away says so and ends: that is its promise.
                    if not self._ledger.happened(("redis", "cut", "gateway cut"), time.time()):
                        self.surprises.append(f"{slot.name} ended by itself (see {slot.log.name})")
                    self._ledger.note("ended by itself", slot.name)
                    slot.start()
