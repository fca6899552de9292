"""Runs whose worker dies after any of their writes, without processes: a checkpointer that stops storing."""

import copy
import uuid
from typing import Any, NamedTuple

import msgspec
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.runtime import RunControl

from lineshaft.runs.config import effective
from lineshaft.runs.request import Command, RunInput, RunSpec
from lineshaft_worker.attempt import Plan, plan
from lineshaft_worker.claim import Claim
from lineshaft_worker.graphs import Graph
from lineshaft_worker.streaming import stream_run

THREAD = "00000000-0000-0000-0000-00000000000a"


class Crash(Exception):
    """The worker is dead from here on."""


class MortalSaver(InMemorySaver):
    """Stores `life` writes; no limit when it is None. Copies count together."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int | None] = {"life": None, "stored": 0}
        self.reads = 0

    def live(self, writes: int | None) -> None:
        self.counts.update(life=writes, stored=0)

    @property
    def written(self) -> int:
        return self.counts["stored"] or 0

    def _spend(self) -> None:
        if self.counts["life"] is not None and self.written >= self.counts["life"]:
            raise Crash
        self.counts["stored"] = self.written + 1

    def get_tuple(self, config: Any) -> Any:
        self.reads += 1
        return super().get_tuple(config)

    def put(self, *args: Any) -> Any:
        self._spend()
        return super().put(*args)

    def put_writes(self, *args: Any) -> None:
        self._spend()
        super().put_writes(*args)


def claim_of(graph_input: Any = None, command: dict[str, Any] | None = None, **spec: Any) -> Claim:
    """A first attempt of a run; `spec` are fields of RunSpec."""
    run_id, run_spec = str(uuid.uuid4()), RunSpec(assistant_id="assistant", **spec)
    return Claim(
        run_id=run_id,
        token="",
        attempt=1,
        thread_id=THREAD,
        graph_id="graph",
        created=0,
        wrote=False,
        cancel="",
        cancel_reason="",
        temporary=False,
        dead=b"",
        queue="runs",
        crashes=0,
        trace="",
        is_first=True,
        age=0,
        wait=0,
        protocol_v2=False,
        spec=run_spec,
        config=effective(run_spec, b"{}", b"", run_id=run_id, thread_id=THREAD, graph_id="graph"),
        input=RunInput(
            msgspec.Raw(msgspec.json.encode(graph_input)), msgspec.convert(command, Command) if command else None
        ),
        messages=[],
    )


async def attempt(claim: Claim, graph: Graph) -> Plan:
    """Plan and run one attempt."""
    graph = copy.copy(graph)  # as graphs are opened for a run
    planned = await plan(claim, graph)
    if not planned.finished:
        async for _ in stream_run(
            graph,
            planned.graph_input,
            planned.config,
            context=None,
            spec=claim.spec,
            control=RunControl(),
            run_id=claim.run_id,
        ):
            pass
    return planned


class Outcome(NamedTuple):
    """What a run leaves behind."""

    values: Any
    next: tuple[str, ...]
    asks: list[str]
    error: str = ""


async def outcome(graph: Graph, error: Exception | None = None) -> Outcome:
    state = await graph.aget_state({"configurable": {"thread_id": THREAD}})
    asks = sorted(interrupt.value for interrupt in state.interrupts)
    return Outcome(state.values, state.next, asks, type(error).__name__ if error else "")


async def waiting(graph: Graph) -> dict[str, str]:
    """Question -> interrupt id."""
    state = await graph.aget_state({"configurable": {"thread_id": THREAD}})
    return {interrupt.value: interrupt.id for interrupt in state.interrupts}
