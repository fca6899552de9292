"""A client that has started a run and keeps its stream open, whatever happens to the server."""

import asyncio
from typing import Any, Self

from langgraph_sdk.client import LangGraphClient

from tests.system.journal import PATIENCE, until


class Watcher:
    """Reads the stream in the background: `async with Watcher(sdk, thread_id, "steps", input=...) as watcher`."""

    def __init__(self, sdk: LangGraphClient, thread_id: str, assistant_id: str, **request: Any) -> None:
        self.thread_id = thread_id
        self.parts: list[Any] = []  # StreamPart
        self._stream = sdk.runs.stream(thread_id, assistant_id, **request)

    async def __aenter__(self) -> Self:
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        async for part in self._stream:
            self.parts.append(part)

    async def end(self) -> None:
        """Wait until the server ends the stream."""
        await asyncio.wait_for(self._reading, PATIENCE)

    @property
    def run_id(self) -> str:
        return str(self.parts[0].data["run_id"])

    @property
    def attempts(self) -> list[int]:
        """The attempts that the stream has announced."""
        return [part.data["attempt"] for part in self.parts if part.event == "metadata"]

    @property
    def steps(self) -> list[int]:
        """The steps whose updates have come."""
        updates = [part.data for part in self.parts if part.event == "updates"]
        # Beside the nodes there may be `__metadata__`: a step whose writes were stored before its process was killed.
        nodes = [(node, values) for update in updates for node, values in update.items()]
        return [step for node, values in nodes if node.startswith("step_") for step in values["done"]]

    async def saw(self, step: int) -> None:
        await until(lambda: step in self.steps, f"the stream shows step {step}")
