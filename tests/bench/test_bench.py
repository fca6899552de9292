"""The parts of the benchmark that work without a server."""

import os

import pytest

from tests.bench import cpu, floor
from tests.bench.graphs import BUILDERS
from tests.bench.report import medians, table
from tests.bench.scenarios import SCENARIOS, Figures, Scenario, Target


async def _nothing(_: Target) -> Figures:
    return {}


def test_medians_are_taken_figure_by_figure() -> None:
    assert medians([{"a": 1, "b": 5}, {"a": 3}, {"a": 10, "b": 7}]) == {"a": 3, "b": 6}


def test_the_table_marks_what_is_over_its_budget() -> None:
    scenario = Scenario("run", _nothing, {"CPU ms": 3.5, "p50 ms": 12})
    lines = table([(scenario, {"CPU ms": 4, "p50 ms": 9, "runs/s": 100})]).splitlines()
    assert [line.split() for line in lines] == [
        ["run", "CPU", "ms", "4.00", "<=", "3.5", "OVER"],
        ["p50", "ms", "9.00", "<=", "12"],
        ["runs/s", "100.00"],
    ]


def test_scenarios_have_names_of_their_own() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)


@pytest.mark.parametrize("graph", BUILDERS)
async def test_langgraph_alone_runs_every_graph(graph: str) -> None:
    assert await floor.cpu_ms(graph, 1) > 0


def test_cpu_of_this_process_grows_and_is_the_supervisors() -> None:
    before = cpu.usage(os.getpid())
    if not before:
        pytest.skip("no /proc here: the benchmark shows no CPU figures")
    assert before["supervisor"] > 0
    assert cpu.usage(os.getpid()).since(before).total >= 0
