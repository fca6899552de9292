"""The executor: a run's whole life in a worker, from its claim to its end."""

import time
from contextlib import AsyncExitStack, aclosing
from typing import Any

from langgraph.types import StateSnapshot

from lineshaft.errors import Fenced, GraphChanged, LineshaftError
from lineshaft.events.sink import EventSink
from lineshaft.redis.client import Client
from lineshaft.telemetry import log
from lineshaft.threads.state import pack_state
from lineshaft.webhooks.calls import content, pack_content

from .attempt import graph_context, plan, run_config
from .checkpoints import RedisSaver
from .claim import Claim
from .encoding import to_json
from .execution import Execution, Outcome, class_of
from .failure import kept, logged, told
from .graphs import Graph, Graphs
from .index import Index
from .node_spans import traced
from .protocol import stream_protocol_run
from .state import exists, thread_interrupts, thread_state, thread_status
from .store import RedisStore
from .streaming import stream_run

logger = log.get("executor")

# Milliseconds: how long a run waits while no living worker has its graph (a rolling deploy takes less), and how long
# nobody looks at a run that a worker without its graph has claimed.
_GRAPH_WAIT, _GRAPH_DELAY = 60_000, 1_000


class Executor:
    """Executes runs of the loaded graphs."""

    def __init__(self, client: Client, graphs: Graphs, index: Index | None = None) -> None:
        self._client = client
        self._graphs = graphs
        self._saver = RedisSaver(client)
        self._store = RedisStore(client, index)
        self._masked = client.settings.lineshaft_mask_errors

    async def run(self, execution: Execution) -> None:
        """Bring a claimed run to its end, or give it back. One whose token is refused is another's."""
        claim = execution.claim
        saver = self._saver.for_run(claim.run_id, claim.token)
        store = self._store.for_run(claim.run_id, claim.token)
        sink = EventSink(self._client, claim.run_id, claim.token)
        # Now: later the graph may have put things into its context that are no JSON.
        asked = claim.shown() if claim.spec.webhook else b""
        started = time.monotonic()
        logger.info("run began")
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
                        execution.measure.over("handed_back")
                        return
                    outcome = Outcome("error", claim.dead) if claim.dead else Outcome("error", cause=error)
                else:
                    if graph is None:
                        outcome = execution.stopped()
                    elif claim.cancel:
                        # Its worker died before it could stop it: there is nothing to run, only to settle.
                        outcome = Outcome("interrupted")
                    elif claim.dead:
                        outcome = Outcome("error", claim.dead)
                    else:
                        try:
                            outcome = await execution.run(self._stream(execution, graph, sink), seconds=limit)
                        except GraphChanged as error:
                            # The thread shows what it showed: this graph does not see all that is there.
                            graph, outcome = None, Outcome("error", cause=error)
                if outcome is None:
                    await self._give_back(execution, sink)
                    return
                status = await self._finish(execution, graph, saver, sink, outcome, asked=asked)
        except Fenced:
            execution.measure.over("lost")
            logger.warning("a run was lost to another worker", seconds=_since(started))
            return
        logger.info("run ended", status=status, seconds=_since(started))

    async def _stream(self, execution: Execution, graph: Graph, sink: EventSink) -> None:
        claim = execution.claim
        planned = await plan(claim, graph)
        if planned.finished:
            return
        context = graph_context(graph, claim.config.context)
        stream = stream_protocol_run if claim.protocol_v2 else stream_run
        events = stream(
            graph, planned.graph_input, traced(planned.config, execution.span),
            context=context, spec=claim.spec, control=execution.control, run_id=claim.run_id,
            masked=self._masked,
        )  # fmt: skip
        async with aclosing(events):
            async for name, data in events:
                execution.measure.event(name, data)
                await sink.put(name, data)

    async def _finish(
        self,
        execution: Execution,
        graph: Graph | None,
        saver: RedisSaver,
        sink: EventSink,
        outcome: Outcome,
        *,
        asked: bytes,
    ) -> str:
        """End the run: its last events, the thread's snapshot, the next run's turn, in one script.

        `asked` is the run, as its webhook gets it; empty without one.
        """
        claim = execution.claim
        rest = await sink.close()
        handled = ""
        if outcome.status == "interrupted":
            handled = await self._cancel_action(claim.run_id)
        undone = False
        while True:
            cause = outcome.cause
            error = told(cause, masked=self._masked) if cause else outcome.error
            if handled:
                outcome = Outcome("interrupted")
                error = to_json(
                    {"error": f"User{handled.capitalize()}", "message": await self._cancel_reason(execution)}
                )
                undone = handled == "rollback" or await self._has_only_taken_messages(claim, saver)
                if undone:
                    await saver.rollback(claim.run_id)
            failed = outcome.status in ("error", "timeout")
            shown = None
            if graph is not None and (asked or not claim.temporary):
                shown = await self._state(claim.thread_id, graph)
            snapshot = await self._snapshot(claim, shown, saver, fresh=undone)
            values = to_json(shown.values) if asked and shown and handled != "rollback" else b"null"
            slices, snapshot["state"] = pack_state(self._client, claim.thread_id, snapshot["state"])
            more, called = pack_content(self._client, content(asked, values) if asked else b"")
            answer = await self._client.after(
                [*slices, *more],
                "run_finish",
                run_id=claim.run_id,
                token=claim.token,
                status=outcome.status,
                error=error,
                failure=kept(cause) if cause and not handled else b"",
                error_class="" if handled else class_of(outcome),
                handled=handled,
                content=called,
                entries=[*rest, *(["error", "d", error] if failed else [])],
                **{**snapshot, **({"thread_status": "error"} if failed else {})},
            )
            if answer == b"ok":
                if cause and not handled:
                    logger.error("run failed", exception=logged(cause))
                paused = snapshot["thread_status"] == "interrupted"
                execution.measure.finished(self._outcome(claim, outcome, handled=bool(handled), paused=paused))
                return "rolled back" if handled == "rollback" else outcome.status
            # A cancel came between our last look and the script: its client was told it counts.
            handled = answer.decode()

    async def _has_only_taken_messages(self, claim: Claim, saver: RedisSaver) -> bool:
        """Whether a run has stored the inbox's messages as its input, and no step that made them part of the state.

        The next run's input would take their place: they must go back to the inbox.
        """
        if not claim.messages:
            return False
        head = await saver.aget_tuple({"configurable": {"thread_id": claim.thread_id, "checkpoint_ns": ""}})
        metadata = head.metadata if head else {}
        return metadata.get("run_id") == claim.run_id and metadata.get("source") == "input"

    async def _state(self, thread_id: str, graph: Graph) -> StateSnapshot | None:
        """The thread's state after the run; None if it cannot be shown."""
        try:
            return await graph.aget_state({"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}})
        except LineshaftError:
            raise
        except Exception as error:  # noqa: BLE001 - a user's schema or reducer: values of a Pydantic state may not fit it
            logger.warning("a thread's state cannot be shown", error=repr(error))
            return None

    async def _snapshot(
        self, claim: Claim, shown: StateSnapshot | None, saver: RedisSaver, *, fresh: bool
    ) -> dict[str, Any]:
        """What the thread shows from now on: arguments of the script that ends the run."""
        unchanged = {"rev": 0, "thread_status": "", "state": b"", "interrupts": b""}
        if shown is None or claim.temporary:
            return unchanged
        status = thread_status(shown)
        rev = saver.rev
        if fresh or (not rev and claim.wrote):
            # What this attempt wrote does not tell: it was taken back, or it was an earlier one that wrote.
            rev = int(await self._field(self._client.keys.thread(claim.thread_id), "rev") or 0)
        if not rev or not exists(shown):
            # The run wrote nothing: what the thread shows is still right.
            return {**unchanged, "thread_status": status}
        return {
            "rev": rev,
            "thread_status": status,
            "state": thread_state(shown, masked=self._masked),
            "interrupts": thread_interrupts(shown),
        }

    async def _give_back(self, execution: Execution, sink: EventSink) -> None:
        """Let the run go on elsewhere. A lost one is elsewhere already."""
        await sink.discard()
        execution.measure.over("lost" if execution.reason == "lost" else "handed_back")
        if execution.reason != "lost":
            claim = execution.claim
            await self._client.script("run_hand_back", run_id=claim.run_id, token=claim.token)
            logger.info("handed a run back", reason=execution.reason)

    async def _wait_for_graph(self, execution: Execution) -> bool:
        """Give a run of a graph that this worker lacks to one that has it; False when it has waited long enough."""
        claim = execution.claim
        known = claim.graph_id in self._graphs.names or claim.graph_id in self._graphs.errors
        if known:
            return False
        given = await self._client.script(
            "run_lack",
            run_id=claim.run_id,
            token=claim.token,
            graph_id=claim.graph_id,
            patience=_GRAPH_WAIT,
            delay=_GRAPH_DELAY,
        )
        return bool(given)

    async def _cancel_action(self, run_id: str) -> str:
        return (await self._field(self._client.keys.run(run_id), "cancel") or b"").decode()

    async def _cancel_reason(self, execution: Execution) -> str:
        key = self._client.keys.run(execution.claim.run_id)
        (reason, at), (seconds, micros) = await self._client.commands(
            ("HMGET", key, "cancel_reason", "cancelled"), ("TIME",)
        )
        if at:
            execution.measure.cancelled((int(seconds) * 1000 + int(micros) // 1000 - int(at)) / 1000)
        return (reason or b"").decode()

    def _outcome(self, claim: Claim, outcome: Outcome, *, handled: bool, paused: bool) -> str:
        """Whose matter it is that the run ended so: see run_metrics.py."""
        if handled or outcome.status == "interrupted":
            return "cancelled"
        if outcome.status == "error":
            known = claim.graph_id in self._graphs.names
            changed = isinstance(outcome.cause, GraphChanged)
            return "dead_letter" if claim.dead else "graph_changed" if changed else "error" if known else "no_graph"
        return "paused" if paused and outcome.status == "success" else outcome.status

    async def _field(self, key: str, name: str) -> bytes | None:
        found: bytes | None = await self._client.command("HGET", key, name)
        return found


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
