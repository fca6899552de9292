"""Open files and sockets of the cell's processes: a leak of them shows only after a while."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.cell import Cell, until

# Connections that redis-py's pools keep from their busiest moment, files that asyncio's threads and lazy imports open:
# measured 1 to 12 above the start. A leak of one a request or a run would be hundreds.
SLACK = 30
PATIENCE = 20.0  # seconds until the connections of clients that have gone are closed


class Descriptors:
    """Counts them when the cell has just started, and in the end."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._at_start: dict[str, int] = {}

    async def measure(self) -> None:
        for name, count in self._counts():
            self._at_start[name] = max(count, self._at_start.get(name, 0))

    async def grown(self) -> list[str]:
        """Roles with a process that has many more now."""
        try:
            await until(self._few, "", PATIENCE)
        except TimeoutError:
            return [f"{name} has {count} open files, {self._at_start[name]} at start" for name, count in self._counts()]
        return []

    async def _few(self) -> bool:
        await asyncio.sleep(0)  # a condition that reads files only
        return all(count <= self._at_start[name] + SLACK for name, count in self._counts())

    def _counts(self) -> Iterator[tuple[str, int]]:
        for slot in self._cell.slots():
            role = slot.name.partition("-")[0]
            for pid in slot.pids():
                folder = Path(f"/proc/{pid}/fd")
                if folder.exists():  # Linux
                    yield f"{role} child" if pid != slot.pid else role, len(list(folder.iterdir()))
