"""The lists of passing cases: what they hold exists, and nothing leaves them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.passing import HERE, SUITES, PassingList


def test_every_listed_case_exists() -> None:
    argv = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "--contract-all"]
    argv += [str(suite.folder) for suite in SUITES]
    done = subprocess.run(
        argv,
        cwd=HERE.parent.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,  # seconds; it takes 5 where nothing else runs
    )
    assert done.returncode == 0, done.stdout + done.stderr
    node_ids = [line for line in done.stdout.splitlines() if "::" in line]
    for suite in SUITES:
        cases = {suite.relative(node_id) for node_id in node_ids if f"/{suite.suite}/" in node_id}
        assert cases, done.stdout
        assert set(suite.read()) <= cases


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.suite)
def test_the_list_is_sorted_and_each_case_is_there_once(suite: PassingList) -> None:
    assert suite.read() == sorted(set(suite.read()))


def test_adding_keeps_what_was_there(tmp_path: Path) -> None:
    suite = PassingList(tmp_path)
    suite.file.write_text("test_b.py::test_1\n")
    suite.add(["test_a.py::test_2[x]", "test_b.py::test_1"])
    assert suite.read() == ["test_a.py::test_2[x]", "test_b.py::test_1"]


def test_a_group_of_xdist_is_no_part_of_the_name() -> None:
    suite = PassingList(HERE / "runs")
    assert suite.relative("tests/contract/runs/test_a.py::test_b[x]@runs") == "test_a.py::test_b[x]"
