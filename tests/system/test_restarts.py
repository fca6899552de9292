"""Everything stops, and starts again, while threads are paused: gateway, worker, and Redis with its append-only file.

A story goes on after each restart where it left off. All stories share the restarts, as these take seconds.
"""

import os
import signal
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.system.server import DevServer, is_alive, wait_until

CONFIG = Path(__file__).parent / "graphs" / "pauses.json"
HOLD: Any = None  # an input that goes on from what is there


class World:
    """A server that stops and starts, and its client."""

    def __init__(self, server: DevServer) -> None:
        self._server = server
        self.sdk: LangGraphClient = get_client(url=server.url)

    async def restart(self, signum: signal.Signals) -> None:
        await self.sdk.aclose()
        pids = self._server.pids()
        if signum == signal.SIGKILL:
            for pid in pids:
                os.kill(pid, signum)
            self._server.wait()
        else:
            assert self._server.stop(signum) == 0
        wait_until(lambda: not any(map(is_alive, pids)), "all processes are gone")
        self._server.start()
        self._server.wait_until_ready()
        self.sdk = get_client(url=self._server.url)

    async def thread(self) -> str:
        return str((await self.sdk.threads.create())["thread_id"])

    async def run(self, thread: str, graph: str, **request: Any) -> Any:
        """Run to the next pause, or to the end; the values then."""
        return await self.sdk.runs.wait(thread, graph, raise_error=False, **request)

    async def log(self, thread: str) -> list[str]:
        state = await self.sdk.threads.get_state(thread)
        assert isinstance(state["values"], dict)
        return list(state["values"]["log"])

    async def status(self, thread: str) -> str:
        return str((await self.sdk.threads.get(thread))["status"])

    async def waiting(self, thread: str) -> dict[str, str]:
        """The questions that wait for an answer: value -> id."""
        found = (await self.sdk.threads.get(thread))["interrupts"]
        return {str(one["value"]): str(one["id"]) for interrupts in found.values() for one in interrupts}

    async def next(self, thread: str) -> list[str]:
        return list((await self.sdk.threads.get_state(thread))["next"])


Story = Callable[[World], AsyncGenerator[None, None]]


async def an_answer(world: World) -> AsyncGenerator[None, None]:
    thread = await world.thread()
    await world.run(thread, "asking", input={"log": []})
    yield
    assert list(await world.waiting(thread)) == ["first?"]
    await world.run(thread, "asking", command={"resume": "yes"})
    yield
    assert (await world.log(thread), await world.status(thread)) == (["ask yes", "after"], "idle")


async def two_questions_of_one_node(world: World) -> AsyncGenerator[None, None]:
    thread = await world.thread()
    await world.run(thread, "twice", input={"log": []})
    yield
    await world.run(thread, "twice", command={"resume": "one"})
    assert list(await world.waiting(thread)) == ["second?"]
    yield
    await world.run(thread, "twice", command={"resume": "two"})
    assert await world.log(thread) == ["ask one two", "after"]


async def breakpoints(world: World) -> AsyncGenerator[None, None]:
    thread = await world.thread()
    await world.run(thread, "linear", input={"log": []}, interrupt_before=["b"])
    assert await world.next(thread) == ["b"]
    yield
    assert (await world.status(thread), await world.next(thread)) == ("interrupted", ["b"])
    await world.run(thread, "linear", input=HOLD, interrupt_after=["b"])
    yield
    assert (await world.log(thread), await world.next(thread)) == (["a", "b"], ["c"])
    await world.run(thread, "linear", input=HOLD)
    assert await world.log(thread) == ["a", "b", "c"]


async def commands(world: World) -> AsyncGenerator[None, None]:
    thread, other = await world.thread(), await world.thread()
    await world.run(thread, "asking", input={"log": []})
    await world.run(other, "linear", input={"log": []}, interrupt_before=["b"])
    yield
    await world.run(thread, "asking", command={"resume": "yes", "update": {"log": ["told"]}})
    await world.run(other, "linear", command={"goto": "c", "update": {"log": ["told"]}}, interrupt_after=["c"])
    yield
    assert sorted(await world.log(thread)) == ["after", "ask yes", "told"]
    # What was next before runs beside the target, and goes its way after it.
    assert (await world.log(other))[:2] == ["a", "told"]
    assert "c" in await world.log(other)


async def a_fork(world: World) -> AsyncGenerator[None, None]:
    thread = await world.thread()
    await world.run(thread, "linear", input={"log": ["in"]})
    yield
    history = await world.sdk.threads.get_history(thread, limit=10)
    past = next(state for state in history if list(state["next"]) == ["b"])
    await world.run(thread, "linear", input={"log": ["again"]}, checkpoint_id=past["checkpoint"]["checkpoint_id"])
    yield
    assert await world.log(thread) == ["in", "a", "again", "a", "b", "c"]
    states: Any = await world.sdk.threads.get_history(thread, limit=20)
    assert ["in", "a", "b", "c"] in [state["values"]["log"] for state in states]  # the old branch stays


async def time_travel(world: World) -> AsyncGenerator[None, None]:
    thread = await world.thread()
    await world.run(thread, "linear", input={"log": ["in"]})
    history = await world.sdk.threads.get_history(thread, limit=10)
    past = next(state for state in history if list(state["next"]) == ["b"])["checkpoint"]
    yield
    await world.run(thread, "linear", input=HOLD, checkpoint=past, interrupt_before=["c"])
    assert await world.next(thread) == ["c"]
    yield
    await world.run(thread, "linear", input=HOLD)
    assert await world.log(thread) == ["in", "a", "b", "c"]


async def a_changed_state(world: World) -> AsyncGenerator[None, None]:
    thread = await world.thread()
    await world.run(thread, "linear", input={"log": []}, interrupt_before=["b"])
    yield
    await world.sdk.threads.update_state(thread, {"log": ["by hand"]}, as_node="b")
    yield
    assert (await world.log(thread), await world.next(thread)) == (["a", "by hand"], ["c"])
    await world.run(thread, "linear", input=HOLD)
    assert await world.log(thread) == ["a", "by hand", "c"]


async def a_question_of_a_subgraph(world: World) -> AsyncGenerator[None, None]:
    thread = await world.thread()
    await world.run(thread, "nested", input={"log": []})
    yield
    state: Any = await world.sdk.threads.get_state(thread, subgraphs=True)
    assert [task["name"] for task in state["tasks"]] == ["child"]
    assert list(state["tasks"][0]["state"]["next"]) == ["ask"]
    yield
    await world.run(thread, "nested", command={"resume": "yes"})
    assert (await world.log(thread))[-3:] == ["ask yes", "after", "last"]


async def questions_beside_each_other(world: World) -> AsyncGenerator[None, None]:
    thread = await world.thread()
    await world.run(thread, "parallel", input={"log": []})
    yield
    waiting = await world.waiting(thread)
    assert sorted(waiting) == ["left?", "right?"]
    await world.run(thread, "parallel", command={"resume": {waiting["left?"]: "L"}})
    assert await world.waiting(thread) == {"right?": waiting["right?"]}
    yield
    assert await world.waiting(thread) == {"right?": waiting["right?"]}
    await world.run(thread, "parallel", command={"resume": {waiting["right?"]: "R"}})
    assert await world.log(thread) == ["left L", "right R", "after"]


async def a_failed_step(world: World) -> AsyncGenerator[None, None]:
    thread = await world.thread()
    answer = await world.run(thread, "failing", input={"log": [], "fails": True})
    assert answer["__error__"] == {"error": "ValueError", "message": "not yet"}
    yield
    assert (await world.status(thread), await world.next(thread)) == ("error", ["b"])
    await world.run(thread, "failing", input=HOLD)
    assert await world.status(thread) == "error"
    await world.sdk.threads.update_state(thread, {"fails": False, "log": []}, as_node="a")
    yield
    await world.run(thread, "failing", input=HOLD)
    assert (await world.log(thread), await world.status(thread)) == (["a", "b", "c"], "idle")


STORIES: list[Story] = [
    an_answer, two_questions_of_one_node, breakpoints, commands, a_fork, time_travel, a_changed_state,
    a_question_of_a_subgraph, questions_beside_each_other, a_failed_step,
]  # fmt: skip


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
async def test_paused_threads_go_on_after_restarts(dev: Callable[..., DevServer], signum: signal.Signals) -> None:
    with dev(config=CONFIG) as server:
        world = World(server)
        left = {story.__name__: story(world) for story in STORIES}
        failed: list[Exception] = []
        restarts = 0
        while left:
            for name, story in list(left.items()):
                try:
                    await anext(story)
                except StopAsyncIteration:
                    del left[name]
                except Exception as failure:  # noqa: BLE001 - the others go on, and then it is raised
                    del left[name]
                    failed.append(failure)
            if left:
                await world.restart(signum)
                restarts += 1
        await world.sdk.aclose()
    if failed:
        raise failed[0]
    assert restarts == 2
