"""One client: it lives through one story after another, chosen by its seed."""

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from tests.chaos.book import Asked, Book, Stream
from tests.chaos.caller import Caller, Lost
from tests.chaos.reader import Reader

THREADS = 16  # that all visitors share, so that they get into each other's way
DURABILITIES = ("sync", "async", "exit")
STRATEGIES = ("enqueue", "enqueue", "enqueue", "reject", "interrupt", "rollback")


class Visitor:
    """Everything that it hears goes into the book."""

    def __init__(self, number: int, urls: list[str], book: Book, seed: int) -> None:
        self._random = random.Random(f"visitor {number} {seed}")
        self._shared = [str(uuid.UUID(int=seed * 1000 + place, version=4)) for place in range(THREADS)]
        self.caller = Caller(urls, f"caller {number} {seed}")
        self._book = book
        self._reader = Reader(self.caller, book)
        self._stories: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (5, self._background),
            (5, self._stream),
            (3, self._wait),
            (4, self._cancel),
            (3, self._approve),
            (3, self._converse),
            (2, self._remove),
            (2, self._leave),
            (2, self._stateless),
            (2, self._update_state),
            (2, self._delete_thread),
            (2, self._burst),
        ]

    async def visit(self, pause: float, over: asyncio.Event) -> None:
        """One story after another until it is over, with pauses of `pause` seconds on average."""
        weights = [weight for weight, _ in self._stories]
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), self._random.expovariate(1 / pause))
                return
            [(_, story)] = self._random.choices(self._stories, weights)
            try:
                await story()
            except Lost:
                self._book.lost += 1

    # what stories are made of

    async def _thread(self, thread_id: str | None = None) -> str:
        thread_id = thread_id or str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        if thread_id not in self._book.threads:
            await self.caller.repeat("POST", "/threads", json={"thread_id": thread_id, "if_exists": "do_nothing"})
            self._book.threads.add(thread_id)
        return thread_id

    async def _common(self) -> str:
        return await self._thread(self._random.choice(self._shared))

    def _body(self, graph: str = "walk", steps: int = 0, **more: Any) -> dict[str, Any]:
        steps = steps or self._random.randint(1, 8)
        durability = self._random.choice(DURABILITIES)
        plan = {
            "pauses": [round(self._random.uniform(0.02, 0.5), 3) for _ in range(steps)],
            "fails": graph == "walk" and self._random.random() < 0.05,
        }
        body = {
            "assistant_id": graph,
            "input": {"plan": plan, "at": 0},
            "durability": durability,
            "config": {"configurable": {"durability": durability, **self._place()}},
            "stream_mode": ["updates"],
            "multitask_strategy": self._random.choice(STRATEGIES),
            **more,
        }
        if self._random.random() < 0.2 and "after_seconds" not in body:
            body["after_seconds"] = round(self._random.uniform(0.1, 1.5), 2)
        return body

    def _place(self) -> dict[str, Any]:
        """Where in the queues a run stands."""
        queue = {"lineshaft_queue": "batch"} if self._random.random() < 0.3 else {}
        return queue | {"lineshaft_priority": self._random.choice((0, 0, 0, -5, 5))}

    def _asked(self, answer: httpx.Response, body: dict[str, Any], before: float, **more: Any) -> Asked | None:
        """Note a run by the headers of the answer that acknowledges it."""
        if answer.status_code != 200:
            self._book.rejected += answer.status_code == 409
            return None
        parts = answer.headers["Content-Location"].split("/")
        thread_id = parts[parts.index("threads") + 1] if "threads" in parts else str(more.pop("thread_id", ""))
        plan = body.get("input", {}).get("plan")
        walks = plan is not None and body["assistant_id"] == "walk"
        return self._book.ask(
            Asked(
                run_id=parts[parts.index("runs") + 1],
                thread_id=thread_id,
                before=before,
                acknowledged=time.time(),
                strategy=body["multitask_strategy"],
                after=body.get("after_seconds", 0.0),
                steps=tuple(range(len(plan["pauses"]))) if walks else None,
                fails=bool(walks and plan["fails"]),
                **more,
            )
        )

    async def _create(self, thread_id: str, body: dict[str, Any]) -> Asked | None:
        before = time.time()
        answer = await self.caller.once("POST", f"/threads/{thread_id}/runs", json=body)
        return self._asked(answer, body, before)

    # stories

    async def _background(self) -> None:
        run = await self._create(await self._common(), self._body())
        if run and self._random.random() < 0.5:
            await self._reader.join(run.thread_id, run.run_id)

    async def _burst(self) -> None:
        thread_id = await self._common()
        for _ in range(self._random.randint(2, 4)):
            with contextlib.suppress(Lost):
                await self._create(thread_id, self._body(steps=self._random.randint(1, 2)))

    async def _stream(self) -> None:
        thread_id, resumable = await self._common(), self._random.random() < 0.7
        body, before = self._body(stream_resumable=resumable), time.time()
        async with self._reader.create(f"/threads/{thread_id}/runs/stream", body) as response:
            if run := self._asked(response, body, before):
                await self._reader.follow(Stream(run.run_id, thread_id, resumable), response)

    async def _leave(self) -> None:
        """A client whose run is of no use without it, and that loses patience."""
        thread_id = await self._common()
        body, before = self._body(on_disconnect="cancel", steps=6), time.time()
        async with self._reader.create(f"/threads/{thread_id}/runs/stream", body) as response:
            if run := self._asked(response, body, before):
                run.tried.add("interrupt")
                await asyncio.sleep(self._random.uniform(0.0, 1.0))

    async def _wait(self) -> None:
        thread_id = await self._common()
        body, before = self._body(), time.time()
        async with self._reader.create(f"/threads/{thread_id}/runs/wait", body) as response:
            if run := self._asked(response, body, before):
                await self._reader.join(thread_id, run.run_id, response)

    async def _cancel(self) -> None:
        thread_id = await self._common()
        run = await self._create(thread_id, self._body(steps=5))
        if run is None:
            return
        await self._cancel_run(run)

    async def _cancel_run(self, run: Asked) -> None:
        await asyncio.sleep(self._random.uniform(0.0, 1.2))
        action = self._random.choice(("interrupt", "rollback"))
        wait = self._random.choice(("0", "1"))
        path = f"/threads/{run.thread_id}/runs/{run.run_id}/cancel?action={action}&wait={wait}"
        run.tried.add(action)
        answer = await self.caller.repeat("POST", path)
        if answer.is_success:
            self._book.cancels += 1
            run.cancelled = True
        # Otherwise it was over, or somebody else's cancel, or our own whose answer was lost, came first.

    async def _approve(self) -> None:
        thread_id = await self._thread()
        asks = self._body("approval", steps=3, multitask_strategy="enqueue")
        run = await self._create(thread_id, asks)
        if run is None:
            return
        run.steps = (0,)
        await self._reader.join(thread_id, run.run_id)
        given = self._book.answers.setdefault(thread_id, set())
        for _ in range(self._random.choice((1, 1, 2))):  # two people may answer at once: one of them counts
            answer = uuid.uuid4().hex[:8]
            body = {**asks, "command": {"resume": answer}}
            del body["input"]
            given.add(answer)
            with contextlib.suppress(Lost):
                if await self._create(thread_id, body):
                    self._book.resumes += 1

    async def _converse(self) -> None:
        thread_id = await self._thread()
        kept = self._book.messages.setdefault(thread_id, set())
        for _ in range(self._random.randint(1, 4)):
            ident = uuid.uuid4().hex
            message = {"role": "user", "content": "hello", "id": ident}
            answer = await self.caller.once("POST", f"/threads/{thread_id}/messages", json=message)
            if answer.is_success:
                kept.add(ident)
            body = self._body("listen")
            del body["input"]
            run = await self._create(thread_id, body)
            if run and self._random.random() < 0.4:
                await self._cancel_run(run)

    async def _remove(self) -> None:
        """Delete a finished run: its thread is then as it was before it."""
        thread_id = await self._thread()
        # At once, so that the other one is the thread's last: what is built upon a deleted run stays.
        await self._create(thread_id, self._body(steps=2, multitask_strategy="enqueue", after_seconds=0))
        if run := await self._create(thread_id, self._body(steps=2, multitask_strategy="enqueue")):
            await self._reader.join(thread_id, run.run_id)
            run.tried.add("rollback")
            await self.caller.repeat("DELETE", f"/threads/{thread_id}/runs/{run.run_id}")

    async def _stateless(self) -> None:
        kind = self._random.choice(("", "/stream", "/wait"))
        body, before = self._body(multitask_strategy="enqueue"), time.time()
        if not kind:
            answer = await self.caller.once("POST", "/runs", json=body)
            if answer.status_code == 200:
                self._asked(answer, body, before, thread_id=answer.json()["thread_id"], temporary=True)
            return
        async with self._reader.create(f"/runs{kind}", body) as response:
            run = self._asked(response, body, before, temporary=True)
            if run is None:
                return
            if kind == "/wait":
                await self._reader.join(run.thread_id, run.run_id, response)
            else:
                # Its thread is not told by the headers, so it cannot be joined again: a lost connection is the end.
                with contextlib.suppress(httpx.TransportError):
                    await response.aread()

    async def _update_state(self) -> None:
        thread_id = await self._common()
        mark = f"note/{uuid.uuid4().hex}"
        body = {"values": {"trail": [mark]}, "as_node": "stride"}
        answer = await self.caller.once("POST", f"/threads/{thread_id}/state", json=body)
        if answer.status_code == 200:
            self._book.written.setdefault(thread_id, set()).add(mark)
        elif answer.status_code == 409:
            self._book.refused.setdefault(thread_id, set()).add(mark)

    async def _delete_thread(self) -> None:
        thread_id = await self._thread()
        for _ in range(self._random.randint(1, 3)):
            with contextlib.suppress(Lost):
                await self._create(thread_id, self._body())
        await asyncio.sleep(self._random.uniform(0.0, 1.0))
        await self.caller.repeat("DELETE", f"/threads/{thread_id}")
        self._book.deleted.add(thread_id)
