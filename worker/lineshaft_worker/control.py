"""The control lane: answers questions about threads that only a graph can answer, and changes their states.

It has an OS thread, an event loop and connections of its own, so that runs which block the worker's loop, or fill all
its slots, never starve it. (A held GIL does: then another worker answers.)
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis.exceptions as rx
from langchain_core.runnables import RunnableConfig
from langgraph.errors import EmptyInputError, InvalidUpdateError
from msgspec import Raw, ValidationError

from lineshaft import log
from lineshaft.errors import BadRequest, Fenced, Invalid, LineshaftError
from lineshaft.queries import Queries, StateQuery
from lineshaft.redis import Client, is_transient
from lineshaft.settings import Settings

from .checkpoints import RedisSaver
from .encoding import to_json
from .graphs import Graph, Graphs
from .state import exists, thread_interrupts, thread_state, thread_status
from .store import RedisStore
from .streaming import place

logger = log.get("control")

_AT_ONCE = 4  # answers under way: a large history must not keep others waiting
_TOO_LONG = 30.0  # seconds; the asker has left long ago, and a factory that hangs must not keep one of these places


class ControlLane:
    """Answers queries until stopped."""

    def __init__(self, settings: Settings, graphs: Graphs, worker: str) -> None:
        self._settings = settings
        self._graphs = graphs
        self._worker = worker
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the lane's thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop it; waits for a second at most."""
        if self._loop is not None and self._main is not None:
            self._loop.call_soon_threadsafe(self._main.cancel)
        self._thread.join(1)

    def _run(self) -> None:
        while True:
            try:
                asyncio.run(self._serve())
            except asyncio.CancelledError:
                return
            except Exception:  # a lane that ends silently would leave all questions to other workers
                logger.exception("the control lane failed, starting it again")
                time.sleep(1)  # seconds: whatever it was, do not spin

    async def _serve(self) -> None:
        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        client = Client(self._settings, patience=float("inf"))
        blocking = client.blocking()
        queries = Queries(client, blocking)
        states = States(client, self._graphs, self._worker)
        room = asyncio.Semaphore(_AT_ONCE)
        answering: set[asyncio.Task[None]] = set()

        async def respond(query: StateQuery) -> None:
            try:
                async with asyncio.timeout(_TOO_LONG):
                    outcome = await states.answer(query)
                await queries.answer(query, outcome)
            except TimeoutError:
                logger.warning("gave up on a state query", kind=query.kind, graph=query.graph_id, seconds=_TOO_LONG)
            finally:
                room.release()

        try:
            while True:
                await room.acquire()
                query = None
                try:
                    query = await queries.take(self._worker)
                except (rx.RedisError, OSError) as error:
                    if not is_transient(error):
                        raise
                    await asyncio.sleep(0.5)  # seconds: Redis is away
                except ValidationError as error:
                    logger.warning("cannot read a state query; is its gateway newer?", error=str(error))
                if query is None:
                    room.release()
                    continue
                task = asyncio.create_task(respond(query))
                answering.add(task)
                task.add_done_callback(answering.discard)
        finally:
            await blocking.aclose()
            await client.close()


class States:
    """Reads and changes states of threads through their graphs."""

    def __init__(self, client: Client, graphs: Graphs, worker: str) -> None:
        self._client = client
        self._graphs = graphs
        self._worker = worker
        self._saver = RedisSaver(client)
        self._store = RedisStore(client)

    async def answer(self, query: StateQuery) -> Raw | LineshaftError:
        """The answer in JSON, or the error that its asker gets."""
        try:
            return await getattr(self, f"_{query.kind}")(query)  # type: ignore[no-any-return]  # the kinds are a closed set
        except LineshaftError as error:
            return error
        except (ValueError, TypeError, InvalidUpdateError, EmptyInputError) as error:
            # langgraph's word for values, nodes or checkpoints that do not fit the graph.
            return BadRequest(str(error) or type(error).__name__)
        except (Exception, SystemExit) as error:
            logger.exception("a state query failed", kind=query.kind, thread_id=query.thread_id)
            return BadRequest(f"{type(error).__name__}: {error}")

    def _open(self, query: StateQuery) -> Any:
        config: RunnableConfig = {"configurable": {"thread_id": query.thread_id}}
        access: Any = "threads.update" if query.kind == "update" else "threads.read"
        return self._graphs.open(query.graph_id, config, checkpointer=self._saver, store=self._store, access=access)

    async def _state(self, query: StateQuery) -> Raw:
        async with self._open(query) as graph:
            rev = await self._rev(query.thread_id)
            snapshot = await graph.aget_state(_config(query), subgraphs=bool(query.args.get("subgraphs")))
            state = thread_state(snapshot)
            if not any(query.args.values()):
                await self._client.script("state_answer", thread_id=query.thread_id, rev=rev, state=state)
            return Raw(state)

    async def _history(self, query: StateQuery) -> Raw:
        args = query.args
        before = args.get("before")
        async with self._open(query) as graph:
            rows = graph.aget_state_history(
                _config(query),
                filter=args.get("metadata") or None,
                before={"configurable": {"checkpoint_id": before}} if before else None,
                limit=args["limit"],
            )
            return Raw(b"[" + b",".join([thread_state(snapshot) async for snapshot in rows]) + b"]")

    async def _update(self, query: StateQuery) -> Raw:
        """Write values as if a node had returned them."""
        async with self._change(query) as (graph, _):
            config: RunnableConfig = {**_config(query), "metadata": {"graph_id": query.graph_id}}
            config = await graph.aupdate_state(config, query.args.get("values"), query.args.get("as_node"))
        checkpoint = place(config) or {}
        shown = {"checkpoint": checkpoint, "configurable": checkpoint, "checkpoint_id": checkpoint.get("checkpoint_id")}
        return Raw(to_json(shown))

    async def _delete_run(self, query: StateQuery) -> Raw:
        """Take back all that a finished run did, and forget it."""
        run_id = query.args["run_id"]
        async with self._change(query, forget=run_id) as (_, saver):
            await saver.rollback(run_id)
        return Raw(b"null")

    async def _rev(self, thread_id: str) -> int:
        return int(await self._client.command("HGET", self._client.keys.thread(thread_id), "rev") or 0)

    @asynccontextmanager
    async def _change(self, query: StateQuery, *, forget: str = "") -> AsyncIterator[tuple[Graph, RedisSaver]]:
        """The graph, and the right to write to the thread. At the end its new state is stored; if it fails, nothing."""
        # The factory comes first: it may fail, or take its time, and nobody should find the thread locked meanwhile.
        async with self._open(query) as graph:
            lock_id = query.query_id  # by which its asker can revoke it
            token = await self._client.script(
                "state_lock", lock_id=lock_id, thread_id=query.thread_id, worker=self._worker, query_id=query.query_id
            )
            graph.checkpointer = saver = self._saver.for_run(lock_id, token.decode())
            stored: dict[str, Any] = {"rev": 0, "thread_status": "", "state": b"", "interrupts": b"", "forget": ""}
            try:
                yield graph, saver
                stored = await self._snapshot(query, graph, forget)
            except BaseException:  # also when it is given up for taking too long: all of the change, or nothing
                await saver.rollback(lock_id)
                raise
            finally:
                try:
                    await self._client.script("state_unlock", lock_id=lock_id, token=token, **stored)
                except Fenced:
                    raise Invalid("The change was interrupted; nothing of it may have been kept") from None

    async def _snapshot(self, query: StateQuery, graph: Graph, forget: str) -> dict[str, Any]:
        """What the thread shows after a change: arguments of the script that ends it."""
        snapshot = await graph.aget_state({"configurable": {"thread_id": query.thread_id, "checkpoint_ns": ""}})
        return {
            "rev": await self._rev(query.thread_id),
            "thread_status": thread_status(snapshot),
            "state": thread_state(snapshot) if exists(snapshot) or forget else b"",
            "interrupts": thread_interrupts(snapshot),
            "forget": forget,
        }


def _config(query: StateQuery) -> RunnableConfig:
    """The place that a query names: a checkpoint, a subgraph's namespace, or the thread's head."""
    place = query.args.get("checkpoint") or {}
    named = {k: place[k] for k in ("checkpoint_id", "checkpoint_ns", "checkpoint_map") if place.get(k) is not None}
    return {"configurable": {"checkpoint_ns": "", **named, "thread_id": query.thread_id}}
