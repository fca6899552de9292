"""The answers that a run brings to interrupts, so that each is used once, whatever happens to the run's worker.

langgraph keeps a bare answer with the checkpoint, for whichever interrupt comes next: if a node asks twice and the run
has to go on elsewhere, the first answer is given to the second question too. So a bare answer is made out to the
interrupt that waits for it, or else not kept; and which one that was is noted with the checkpoint beforehand.
"""

import copy
from collections.abc import Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.types import RESUME
from msgspec import Struct, convert, to_builtins

from .levels import OUTSIDE, Level

# The note stands among the checkpoint's writes, under the run's id in place of a task's: langgraph passes it by.
_NOTE = "__lineshaft_answer__"


class Note(Struct):
    """What a bare answer met."""

    interrupt: str
    steered: int  # updates and jumps that were stored before
    seen: dict[str, tuple[str, int]]  # namespace -> checkpoint and number of answers used there


async def take_note(saver: BaseCheckpointSaver[Any], levels: list[Level], interrupt: str, run_id: str) -> None:
    """Write down which interrupt a bare answer is for. It is the run's first write."""
    seen = {level.ns: (level.id, _used(level)) for level in levels}
    note = Note(interrupt, levels[0].steered, seen)
    await saver.aput_writes(levels[0].saved.config, [(_NOTE, to_builtins(note))], run_id)


def find_note(levels: list[Level], run_id: str) -> Note | None:
    """What an earlier attempt of the run has noted."""
    for task_id, channel, value in levels[0].saved.pending_writes or ():
        if (task_id, channel) == (run_id, _NOTE):
            return convert(value, Note)
    return None


def addressed(levels: list[Level], interrupt: str, value: Any) -> Any:
    """The resume value that gives `value` to one interrupt only, if that is possible, else `value`.

    A graph that keeps no checkpoints of its own asks with another id each time and takes bare answers only. So may a
    graph that a node calls in its code, or a task of the functional API: what asks there is not known.
    """
    known = any(level.asked_by(task_id, interrupt) for level in levels for task_id in level.nodes)
    return {interrupt: value} if known else value


def noted_is_due(levels: list[Level], note: Note, value: Any) -> bool:
    """Whether a bare answer is still to be used. In doubt it is not: then the graph asks again."""
    for level in levels:
        checkpoint, used = note.seen.get(level.ns, ("", 0))
        if checkpoint and checkpoint != level.id:
            return False  # that graph has gone on, perhaps with it
        if _used(level) > used:
            return False
    return _waits(levels, note.interrupt, value)


def is_due(levels: list[Level], interrupt: str, value: Any) -> bool:
    """Whether an answer with its interrupt's id is still to be used."""
    askers = (
        level.graph is None or task_id not in level.nodes or level.asked_by(task_id, interrupt)
        for level in levels
        for task_id, task in level.tasks.items()
        if interrupt in task.interrupts
    )
    # Without an asker only the tasks above it have not heard yet that it has gone on.
    return any(askers) and _waits(levels, interrupt, value)


def _waits(levels: list[Level], interrupt: str, value: Any) -> bool:
    """Whether an interrupt still waits for this answer; an earlier attempt of the run may have given it."""
    if interrupt not in levels[0].waiting:
        return False
    for level in levels:
        for task_id, task in level.tasks.items():
            if interrupt not in task.interrupts:
                continue
            if task.finished:
                return False
            if task.failed and task.answers[-1:] == [value]:
                return False  # it was given, and then the node failed
            below = [other for other in levels if other.above == task_id]
            if below and not any(interrupt in other.waiting for other in below):
                return False  # the graph below has gone on with it; the news did not come up here
    return True


def without_bare_answers(saver: BaseCheckpointSaver[Any]) -> BaseCheckpointSaver[Any]:
    """A copy of a checkpointer that does not keep bare answers."""
    clone = copy.copy(saver)

    async def aput_writes(
        config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        if task_id == OUTSIDE:
            writes = [write for write in writes if write[0] != RESUME]
        if writes:
            await saver.aput_writes(config, writes, task_id, task_path)

    clone.aput_writes = aput_writes  # type: ignore[method-assign]  # as a class it would have to know the saver's
    return clone


def _used(level: Level) -> int:
    return sum(len(task.answers) for task in level.tasks.values())
