"""How far a graph has come: its head checkpoint, and below it those of the subgraphs that are under way."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME
from langgraph.pregel import Pregel
from langgraph.types import Interrupt

from .graphs import Graph

# Under this task id langgraph stores what comes from outside: updates, jumps and answers of a command.
OUTSIDE = "00000000-0000-0000-0000-000000000000"
_NOT_OUTPUT = {ERROR, INTERRUPT, RESUME, "__error_source_node__"}


@dataclass
class Task:
    """What one task has stored while its step is not done."""

    interrupts: set[str] = field(default_factory=set)  # ids of the last questions that it asked
    answers: list[Any] = field(default_factory=list)  # that it has used, in order
    failed: bool = False
    finished: bool = False


@dataclass
class Level:
    """One graph's head: the root's, or that of a subgraph that a task of the level above runs."""

    graph: Graph | None  # None: one that a node calls in its code
    saved: CheckpointTuple
    nodes: dict[str, str] = field(default_factory=dict)  # its next tasks: id -> node
    above: str = ""  # the task that runs it
    untold: bool = False  # a subgraph with memory below it is still to get its input for this step

    def __post_init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        for task_id, channel, value in self.saved.pending_writes or ():
            if task_id == OUTSIDE:
                continue
            task = self.tasks.setdefault(task_id, Task())
            if channel == INTERRUPT:
                asked: Sequence[Interrupt] = value if isinstance(value, Sequence) else [value]
                task.interrupts = {interrupt.id for interrupt in asked}
            elif channel == RESUME:
                task.answers = list(value) if isinstance(value, list) else [value]
            elif channel == ERROR:
                task.failed = True
            elif channel not in _NOT_OUTPUT:
                task.finished = True

    @property
    def id(self) -> str:
        """Its checkpoint's id."""
        return self.saved.checkpoint["id"]

    @property
    def ns(self) -> str:
        """Its checkpoint namespace."""
        return str(self.saved.config["configurable"].get("checkpoint_ns", ""))

    @property
    def waiting(self) -> set[str]:
        """Ids of the interrupts that wait for an answer."""
        return {id_ for task in self.tasks.values() if not task.finished for id_ in task.interrupts}

    @property
    def steered(self) -> int:
        """How many updates and jumps of commands are stored."""
        return sum(w[0] == OUTSIDE and w[1] != RESUME for w in self.saved.pending_writes or ())

    def task_ns(self, task_id: str) -> str:
        """The namespace of one of its next tasks."""
        own = f"{self.nodes[task_id]}:{task_id}"
        return f"{self.ns}|{own}" if self.ns else own

    def asked_by(self, task_id: str, interrupt_id: str) -> bool:
        """Whether a task asked this itself, not a graph below it: an id is made of the asker's namespace."""
        ns = self.task_ns(task_id)
        counts = range(len(self.tasks[task_id].answers) + 1) if task_id in self.tasks else range(1)
        return any(Interrupt.from_ns(None, f"{ns}|{n}" if n else ns).id == interrupt_id for n in counts)


async def read_levels(graph: Graph, saver: BaseCheckpointSaver[Any], config: RunnableConfig) -> list[Level]:
    """The root's level at `config`, then those below its unfinished tasks; empty without a checkpoint."""
    levels: list[Level] = []

    async def read(at: Graph, config: RunnableConfig, parent: Level | None = None, above: str = "") -> None:
        snapshot = await graph.aget_state(config)
        saved = await saver.aget_tuple(snapshot.config) if snapshot.created_at else None
        if saved is None:
            return
        if parent and at.checkpointer is True and parent.id != saved.metadata.get("parents", {}).get(parent.ns):
            parent.untold = True  # this is from an earlier step
            return
        level = Level(at, saved, {task.id: task.name for task in snapshot.tasks}, above)
        levels.append(level)
        subgraphs = dict(at.get_subgraphs())
        for task in snapshot.tasks:
            stored = level.tasks.get(task.id, Task())
            if stored.finished:
                continue
            below = subgraphs.get(task.name)
            # A remote graph keeps its state elsewhere, and one without a checkpointer keeps none.
            if isinstance(below, Pregel) and below.checkpointer is not False and isinstance(task.state, dict):
                await read(below, task.state, level, task.id)
            elif any(not level.asked_by(task.id, interrupt) for interrupt in stored.interrupts):
                levels.extend(await _called(saver, saved, level.task_ns(task.id), task.id))

    await read(graph, config)
    return levels


async def _called(saver: BaseCheckpointSaver[Any], saved: CheckpointTuple, ns: str, above: str) -> list[Level]:
    """The graphs that a node has called in its code; langgraph numbers those after the first."""
    found: list[Level] = []
    while True:
        place = {
            "thread_id": saved.config["configurable"]["thread_id"],
            "checkpoint_ns": f"{ns}|{len(found)}" if found else ns,
        }
        below = await saver.aget_tuple({"configurable": place})
        if below is None:
            return found
        found.append(Level(None, below, above=above))
