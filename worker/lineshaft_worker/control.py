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
from langgraph.types import StateUpdate
from msgspec import Raw, ValidationError, convert
from msgspec.json import encode

from lineshaft.assistants.queries import Queries, StateQuery
from lineshaft.config.settings import Settings
from lineshaft.errors import BadRequest, Fenced, Invalid, LineshaftError, Unavailable
from lineshaft.events.log import STATE_UPDATE
from lineshaft.events.sink import entry_of
from lineshaft.redis.client import Client, is_transient
from lineshaft.redis.slices import SLICE_BYTES, Allowance
from lineshaft.runs import request as run_request
from lineshaft.telemetry import log
from lineshaft.threads.state import pack_state

from .checkpoints import RedisSaver
from .command import command_of
from .encoding import to_json
from .graphs import Graph, Graphs
from .index import Index
from .item_answers import ItemAnswers
from .schemas import describe_configured
from .shown_messages import restored
from .state import exists, thread_interrupts, thread_state, thread_status
from .store import RedisStore
from .streaming import place

logger = log.get("control")

_AT_ONCE = 4  # answers under way: a large history must not keep others waiting
_TOO_LONG = 30.0  # seconds; the asker has left long ago, and a factory that hangs must not keep one of these places


class ControlLane:
    """Answers queries until stopped."""

    def __init__(self, settings: Settings, graphs: Graphs, worker: str, index: Index | None = None) -> None:
        self._settings = settings
        self._index = index
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
        states = States(client, self._graphs, self._worker, self._index)
        room = asyncio.Semaphore(_AT_ONCE)
        answering: set[asyncio.Task[None]] = set()

        async def respond(query: StateQuery) -> None:
            try:
                with log.bound(query=query.kind, graph=query.graph_id, thread_id=query.thread_id):
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

    def __init__(self, client: Client, graphs: Graphs, worker: str, index: Index | None = None) -> None:
        self._client = client
        self._graphs = graphs
        self._worker = worker
        self._saver = RedisSaver(client)
        self._store = RedisStore(client, index)
        self._masked = client.settings.lineshaft_mask_errors
        self._items = ItemAnswers(client, index)

    async def answer(self, query: StateQuery) -> Raw | LineshaftError:
        """The answer in JSON, or the error that its asker gets."""
        try:
            return await getattr(self, f"_{query.kind}")(query)  # type: ignore[no-any-return]  # the kinds are a closed set
        except LineshaftError as error:
            return error
        except (InvalidUpdateError, EmptyInputError) as error:
            # langgraph's word for values, nodes or checkpoints that do not fit the graph.
            return BadRequest(str(error) or type(error).__name__)
        except (Exception, SystemExit) as error:
            is_word = isinstance(error, ValueError | TypeError)  # langgraph's own, too; or a reducer's
            if self._masked or not is_word:
                logger.exception("a state query failed")
            if self._masked:
                return BadRequest("The graph failed. Its operators can see why.")
            if is_word:
                return BadRequest(str(error) or type(error).__name__)
            return BadRequest(f"{type(error).__name__}: {error}")

    def _open(self, query: StateQuery) -> Any:
        config: RunnableConfig = {"configurable": {"thread_id": query.thread_id}}
        access: Any = "threads.update" if query.kind == "update" else "threads.read"
        return self._graphs.open(query.graph_id, config, checkpointer=self._saver, store=self._store, access=access)

    async def _state(self, query: StateQuery) -> Raw:
        async with self._open(query) as graph:
            rev = await self._rev(query.thread_id)
            snapshot = await graph.aget_state(_config(query), subgraphs=bool(query.args.get("subgraphs")))
            state = thread_state(snapshot, masked=self._masked)
            # Another asker may want the same; but a large one is not worth what it costs Redis to keep it.
            if not any(query.args.values()) and len(state) <= SLICE_BYTES:
                await self._client.script("state_answer", thread_id=query.thread_id, rev=rev, state=state)
            return Raw(state)

    async def _history(self, query: StateQuery) -> Raw:
        args = query.args
        before, wanted = args.get("before"), dict(args.get("metadata") or {})
        # States show their thread's id in their metadata, but none is stored with it.
        if wanted.pop("thread_id", query.thread_id) != query.thread_id:
            return Raw(b"[]")
        async with self._open(query) as graph:
            rows = graph.aget_state_history(
                _config(query),
                filter=wanted or None,
                before={"configurable": {"checkpoint_id": before}} if before else None,
                limit=args["limit"],
            )
            states, allowance = [], Allowance()
            async for snapshot in rows:
                states.append(thread_state(snapshot, masked=self._masked))
                allowance.take(len(states[-1]))
            return Raw(b"[" + b",".join(states) + b"]")

    async def _update(self, query: StateQuery) -> Raw:
        """Write values as if a node had returned them."""
        async with self._change(query) as (graph, _):
            config: RunnableConfig = {**_config(query), "metadata": {"graph_id": query.graph_id}}
            config = await graph.aupdate_state(config, query.args.get("values"), query.args.get("as_node"))
        checkpoint = place(config) or {}
        shown = {"checkpoint": checkpoint, "configurable": checkpoint, "checkpoint_id": checkpoint.get("checkpoint_id")}
        return Raw(to_json(shown))

    async def _supersteps(self, query: StateQuery) -> Raw:
        """Write what several steps are taken to have done, one checkpoint for each."""
        steps = [[_state_update(update) for update in updates] for updates in query.args["supersteps"]]
        async with self._change(query) as (graph, _):
            config: RunnableConfig = {**_config(query), "metadata": {"graph_id": query.graph_id}}
            await graph.abulk_update_state(config, steps)
        return Raw(b"null")

    async def _describe(self, query: StateQuery) -> Raw:
        """What a factory makes of an assistant's configuration."""
        config: RunnableConfig = query.args["config"]
        descriptor = await describe_configured(self._graphs, query.graph_id, config, self._store)
        return Raw(encode(descriptor))

    async def _delete_run(self, query: StateQuery) -> Raw:
        """Take back all that a finished run did, and forget it."""
        run_id = query.args["run_id"]
        async with self._change(query, forget=run_id) as (_, saver):
            await saver.rollback(run_id)
        return Raw(b"null")

    async def _embed(self, query: StateQuery) -> Raw:
        return await self._items.embed(query)

    async def _find_items(self, query: StateQuery) -> Raw:
        return await self._items.find(query)

    async def _rev(self, thread_id: str) -> int:
        return int(await self._client.command("HGET", self._client.keys.thread(thread_id), "rev") or 0)

    @asynccontextmanager
    async def _change(self, query: StateQuery, *, forget: str = "") -> AsyncIterator[tuple[Graph, RedisSaver]]:
        """The graph, and the right to write to the thread. At the end its new state is stored; if it fails, nothing."""
        # The factory comes first: it may fail, or take its time, and nobody should find the thread locked meanwhile.
        async with self._open(query) as graph:
            lock_id = query.query_id  # by which its asker can revoke it
            names = {"lock_id": lock_id, "thread_id": query.thread_id, "query_id": query.query_id}
            try:
                token = await self._client.script("state_lock", **names, worker=self._worker)
            except Fenced:
                raise Unavailable("The worker that was asked was lost; nothing has changed") from None
            graph.checkpointer = saver = self._saver.for_run(lock_id, token.decode())
            stored: dict[str, Any] = {"rev": 0, "thread_status": "", "state": b"", "interrupts": b"", "forget": ""}
            slices: list[tuple[object, ...]] = []
            event: list[str | bytes] = []
            try:
                yield graph, saver
                stored = await self._snapshot(query, graph, forget)
                if stored["state"] and not forget:
                    told = b'{"state":%b,"thread_id":"%b"}' % (stored["state"], query.thread_id.encode())
                    slices, event = entry_of(self._client, STATE_UPDATE, told)
                brought, stored["state"] = pack_state(self._client, query.thread_id, stored["state"])
                slices += brought
            except BaseException:  # also when it is given up for taking too long: all of the change, or nothing
                await saver.rollback(lock_id)
                raise
            finally:
                try:
                    ttl = 1000 * self._client.settings.lineshaft_events_ttl_seconds
                    args = {"lock_id": lock_id, "token": token, **stored, "events_ttl": ttl, "event": event}
                    await self._client.after(slices, "state_unlock", **args)
                except Fenced:
                    raise Invalid("The change was interrupted; nothing of it may have been kept") from None

    async def _snapshot(self, query: StateQuery, graph: Graph, forget: str) -> dict[str, Any]:
        """What the thread shows after a change: arguments of the script that ends it."""
        snapshot = await graph.aget_state({"configurable": {"thread_id": query.thread_id, "checkpoint_ns": ""}})
        return {
            "rev": await self._rev(query.thread_id),
            "thread_status": thread_status(snapshot),
            "state": thread_state(snapshot, masked=self._masked) if exists(snapshot) or forget else b"",
            "interrupts": thread_interrupts(snapshot),
            "forget": forget,
        }


def _state_update(given: dict[str, Any]) -> StateUpdate:
    command = given.get("command")
    if command:
        command = {**command, "update": restored(command["update"])} if "update" in command else command
        written = command_of(convert(command, run_request.Command))
    else:
        written = restored(given.get("values"))
    return StateUpdate(written, given["as_node"])  # type: ignore[arg-type]  # a node may return a command as well


def _config(query: StateQuery) -> RunnableConfig:
    """The place that a query names: a checkpoint, a subgraph's namespace, or the thread's head."""
    place = query.args.get("checkpoint") or {}
    named = {k: place[k] for k in ("checkpoint_id", "checkpoint_ns", "checkpoint_map") if place.get(k) is not None}
    return {"configurable": {"checkpoint_ns": "", **named, "thread_id": query.thread_id}}
