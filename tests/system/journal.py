"""What the graphs in `graphs/steps.py` have written down, and the gate that holds them."""

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

CONFIG = Path(__file__).parent / "graphs" / "langgraph.json"
# Seconds until a condition that must come true counts as missed: what is awaited takes a second or two, on a busy
# machine several times that. Nothing waits this long unless it fails.
PATIENCE = 30.0


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition, sync or async, without blocking the event loop: streams are read in it meanwhile."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while True:
        answer = condition()
        if await answer if inspect.isawaitable(answer) else answer:
            return
        if loop.time() > deadline:
            pytest.fail(f"not within {PATIENCE} s: {what}")
        await asyncio.sleep(0.01)


class Line(msgspec.Struct, frozen=True):
    """One thing that a step did. `at` is the host's time in seconds."""

    what: str
    step: int
    name: str
    pid: int
    at: float


class Journal:
    """The journal of a test's runs, and its gate."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "journal"
        self._gate = folder / "gate"

    def input(self, *, name: str = "", hold: int | None = None, gated: bool = True) -> dict[str, Any]:
        """A run's input: `hold` is the step that waits, for `open_gate`, or for ever if it is not `gated`."""
        return {"journal": str(self._file), "name": name, "hold": hold, "gate": str(self._gate) if gated else None}

    def open_gate(self) -> None:
        """Let the steps that wait, and those to come, go on."""
        self._gate.touch()

    def lines(self, what: str, step: int | None = None) -> list[Line]:
        """What was done so far, in order."""
        # A killed writer, or a Redis that is slow, never leaves half a line: each is one write.
        text = self._file.read_bytes().splitlines() if self._file.exists() else []
        lines = [msgspec.json.decode(line, type=Line) for line in text]
        return [line for line in lines if line.what == what and step in (None, line.step)]

    async def wait_for(self, what: str, step: int, *, times: int = 1) -> Line:
        """Wait until a step has done it that often; returns the last time."""
        await until(lambda: len(self.lines(what, step)) >= times, f"step {step} {what} {times} times")
        return self.lines(what, step)[-1]

    def begun(self) -> list[int]:
        """How often each step has begun, by number."""
        counts = Counter(line.step for line in self.lines("began"))
        return [counts[step] for step in range(max(counts) + 1)]
