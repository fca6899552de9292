"""The executor: a run's whole life in a worker, from its claim to its end."""

import time
from contextlib import AsyncExitStack
from typing import Any

from lineshaft import log
from lineshaft.errors import Fenced, LineshaftError
from lineshaft.event_sink import EventSink
from lineshaft.redis import Client

from .attempt import graph_context, plan, run_config
from .checkpoints import RedisSaver
from .encoding import error_json, to_json
from .execution import Execution, Outcome
from .graphs import Graph, Graphs
from .state import exists, thread_interrupts, thread_state, thread_status
from .store import RedisStore
from .streaming import stream_run

logger = log.get("executor")

_GRAPH_WAIT = 60.0  # seconds that a run waits for a worker that has its graph: a rolling deploy takes less


class Executor:
    """Executes runs of the loaded graphs."""

    def __init__(self, client: Client, graphs: Graphs) -> None:
        self._client = client
        self._graphs = graphs
        self._saver = RedisSaver(client)
        self._store = RedisStore(client)

    async def run(self, execution: Execution) -> None:
        """Bring a claimed run to its end, or give it back. One whose token is refused is another's."""
        claim = execution.claim
        saver = self._saver.for_run(claim.run_id, claim.token)
        store = self._store.for_run(claim.run_id, claim.token)
        sink = EventSink(self._client, claim.run_id, claim.token)
        started = time.monotonic()
        try:
            async with AsyncExitStack() as stack:
                graph: Graph | None = None
                outcome: Outcome | None
                limit = self._client.settings.bg_job_timeout_secs
                try:
                    opening = self._graphs.open(
                        claim.graph_id, run_config(claim), checkpointer=saver, store=store, context=claim.config.context
                    )
                    graph = await execution.open(stack.enter_async_context(opening), seconds=limit)
                except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's factory ends its run, not the worker
                    if await self._wait_for_graph(execution):
                        return
                    outcome = Outcome("error", error_json(error))
                else:
                    if graph is None:
                        outcome = execution.stopped()
                    elif claim.cancel:
                        # Its worker died before it could stop it: there is nothing to run, only to settle.
                        outcome = Outcome("interrupted")
                    else:
                        outcome = await execution.run(self._stream(execution, graph, sink), seconds=limit)
                if outcome is None:
                    await self._give_back(execution, sink)
                    return
                status = await self._finish(execution, graph, saver, sink, outcome)
        except Fenced:
            logger.warning("a run was lost to another worker", run_id=claim.run_id)
            return
        seconds = round(time.monotonic() - started, 3)
        logger.info("run ended", run_id=claim.run_id, graph=claim.graph_id, status=status, seconds=seconds)

    async def _stream(self, execution: Execution, graph: Graph, sink: EventSink) -> None:
        claim = execution.claim
        planned = await plan(claim, graph)
        if planned.finished:
            return
        context = graph_context(graph, claim.config.context)
        async for name, data in stream_run(
            graph, planned.graph_input, planned.config,
            context=context, spec=claim.spec, control=execution.control, run_id=claim.run_id,
        ):  # fmt: skip
            await sink.put(name, data)

    async def _finish(
        self, execution: Execution, graph: Graph | None, saver: RedisSaver, sink: EventSink, outcome: Outcome
    ) -> str:
        """End the run: its last events, the thread's snapshot, the next run's turn, in one script."""
        claim = execution.claim
        rest = await sink.close()
        handled = ""
        if outcome.status == "interrupted":
            handled = await self._cancel_action(claim.run_id)
        while True:
            error = outcome.error
            if handled:
                outcome = Outcome("interrupted")
                error = to_json(
                    {"error": f"User{handled.capitalize()}", "message": await self._cancel_reason(claim.run_id)}
                )
                if handled == "rollback":
                    await saver.rollback(claim.run_id)
            failed = outcome.status in ("error", "timeout")
            snapshot = await self._snapshot(execution, graph, saver, fresh=handled == "rollback")
            answer = await self._client.script(
                "run_finish",
                run_id=claim.run_id,
                token=claim.token,
                status=outcome.status,
                error=error,
                handled=handled,
                entries=[*rest, *(["error", "d", error] if failed else [])],
                **{**snapshot, **({"thread_status": "error"} if failed else {})},
            )
            if answer == b"ok":
                return "rolled back" if handled == "rollback" else outcome.status
            # A cancel came between our last look and the script: its client was told it counts.
            handled = answer.decode()

    async def _snapshot(
        self, execution: Execution, graph: Graph | None, saver: RedisSaver, *, fresh: bool
    ) -> dict[str, Any]:
        """What the thread shows from now on: arguments of the script that ends the run."""
        unchanged = {"rev": 0, "thread_status": "", "state": b"", "interrupts": b""}
        thread_id = execution.claim.thread_id
        if graph is None or execution.claim.temporary:
            return unchanged
        try:
            shown = await graph.aget_state({"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}})
        except LineshaftError:
            raise
        except Exception as error:  # noqa: BLE001 - a user's schema or reducer: values of a Pydantic state may not fit it
            logger.warning("a thread's state cannot be shown", thread_id=thread_id, error=repr(error))
            return unchanged
        status = thread_status(shown)
        rev = saver.rev
        if fresh or (not rev and execution.claim.wrote):
            # What this attempt wrote does not tell: it was taken back, or it was an earlier one that wrote.
            rev = int(await self._field(self._client.keys.thread(thread_id), "rev") or 0)
        if not rev or not exists(shown):
            # The run wrote nothing: what the thread shows is still right.
            return {**unchanged, "thread_status": status}
        return {
            "rev": rev,
            "thread_status": status,
            "state": thread_state(shown),
            "interrupts": thread_interrupts(shown),
        }

    async def _give_back(self, execution: Execution, sink: EventSink) -> None:
        """Let the run go on elsewhere. A lost one is elsewhere already."""
        await sink.discard()
        if execution.reason != "lost":
            claim = execution.claim
            await self._client.script("run_hand_back", run_id=claim.run_id, token=claim.token, delay=0)
            logger.info("handed a run back", run_id=claim.run_id, reason=execution.reason)

    async def _wait_for_graph(self, execution: Execution) -> bool:
        """Give a run of a graph that this worker lacks to one that has it; False when it has waited long enough."""
        claim = execution.claim
        known = claim.graph_id in self._graphs.names or claim.graph_id in self._graphs.errors
        if known:
            return False
        since = await self._field(self._client.keys.run(claim.run_id), "lacked")
        now, _ = await self._client.command("TIME")
        if since and int(now) - int(since) / 1000 > _GRAPH_WAIT:
            return False
        await self._client.script("run_hand_back", run_id=claim.run_id, token=claim.token, delay=1000)
        return True

    async def _cancel_action(self, run_id: str) -> str:
        return (await self._field(self._client.keys.run(run_id), "cancel") or b"").decode()

    async def _cancel_reason(self, run_id: str) -> str:
        return (await self._field(self._client.keys.run(run_id), "cancel_reason") or b"").decode()

    async def _field(self, key: str, name: str) -> bytes | None:
        found: bytes | None = await self._client.command("HGET", key, name)
        return found
