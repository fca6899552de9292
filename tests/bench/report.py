"""The table that a benchmark ends with."""

import statistics
from collections.abc import Iterable

from tests.bench.scenarios import Figures, Scenario


def medians(rounds: Iterable[Figures]) -> Figures:
    """The median of every figure over the rounds."""
    collected: dict[str, list[float]] = {}
    for figures in rounds:
        for name, value in figures.items():
            collected.setdefault(name, []).append(value)
    return {name: statistics.median(values) for name, values in collected.items()}


def table(results: list[tuple[Scenario, Figures]]) -> str:
    """One line per figure; a figure over its budget is marked."""
    lines = []
    for scenario, figures in results:
        title = scenario.name
        for name, value in figures.items():
            budget = scenario.budgets.get(name)
            limit = "" if budget is None else f"<= {budget:g}" + ("" if value <= budget else "  OVER")
            lines.append((title, name, f"{value:.2f}", limit))
            title = ""
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    return "".join(
        f"{title:<{widths[0]}}  {name:<{widths[1]}}  {value:>{widths[2]}}  {limit}".rstrip() + "\n"
        for title, name, value, limit in lines
    )
