"""Chooses which cases of the adopted suites run, and keeps the lists of those that pass."""

from pathlib import Path

import pytest

from tests.contract.passing import HERE, SUITES, PassingList


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--contract-all", action="store_true", help="run every case, not only those in passing.txt")
    parser.addoption("--contract-update", action="store_true", help="run every case, add what passes to passing.txt")


def pytest_configure(config: pytest.Config) -> None:
    # Test processes of xdist only run the cases; the one that started them hears of every result.
    if config.getoption("--contract-update", False) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder())


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Without a path on the command line this file is read too late for its options to exist.
    every = config.getoption("--contract-all", False) or config.getoption("--contract-update", False)
    chosen: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    listed = {suite.folder: set(suite.read()) for suite in SUITES}
    for item in items:
        suite = suite_of(item.path)
        if suite:
            # Its cases run one after another on the suite's own server, beside those of the other suite (`-n 2`).
            item.add_marker(pytest.mark.xdist_group(suite.suite))
        wanted = every or not suite or suite.relative(item.nodeid) in listed[suite.folder]
        (chosen if wanted else left_out).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = chosen


def suite_of(path: Path) -> PassingList | None:
    return next((suite for suite in SUITES if suite.folder == path.parent), None)


class Recorder:
    """Writes what passed into the lists when the session ends."""

    def __init__(self) -> None:
        self.passed: dict[Path, set[str]] = {suite.folder: set() for suite in SUITES}
        self.broken: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        suite = suite_of(HERE.parent.parent / report.nodeid.partition("::")[0])
        if suite and report.failed:
            self.broken.add(report.nodeid)  # also one whose teardown fails
        elif suite and report.when == "call" and report.passed:
            self.passed[suite.folder].add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        for suite in SUITES:
            suite.add(suite.relative(node_id) for node_id in self.passed[suite.folder] - self.broken)
