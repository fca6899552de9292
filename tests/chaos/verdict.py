"""All invariants of the history, by name."""

from collections.abc import Callable, Iterator

from tests.chaos import run_invariants as runs
from tests.chaos import step_invariants as steps
from tests.chaos.history import History

INVARIANTS: tuple[Callable[[History], Iterator[str]], ...] = (
    runs.every_run_ends_once,
    runs.no_run_is_left_over,
    runs.runs_end_as_they_should,
    runs.one_active_run_a_thread,
    runs.runs_take_their_turns,
    runs.strategies_are_kept,
    runs.executions_have_causes,
    runs.states_are_what_was_done,
    runs.answers_count_once,
    runs.messages_are_kept_once,
    runs.streams_end_whole,
    steps.steps_run_once,
    steps.steps_do_not_overlap,
    steps.nothing_runs_after_its_end,
)


def broken_invariants(history: History) -> list[str]:
    """What is wrong, each with the name of its invariant."""
    return [f"{check.__name__}: {problem}" for check in INVARIANTS for problem in check(history)]
