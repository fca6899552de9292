"""The example in CONTRIBUTING.md is carried out on a copy, so that a newcomer's first change works."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_first_change_works_as_it_is_described(tmp_path: Path) -> None:
    for name in ("api", "shared", "tests/conftest.py", "pyproject.toml"):
        source, copy = ROOT / name, tmp_path / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy)
    steps = re.findall(
        r"^`([\w/]+\.py)`\n\n```python\n(.*?)^```$", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL | re.MULTILINE
    )
    for name, text in steps:
        assert not (ROOT / name).exists()
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    with (tmp_path / "api/lineshaft_api/app.py").open("a") as app:  # the line, without a guess at how the others look
        app.write("from .routes import backlog\nOPERATIONS += backlog.OPERATIONS\n")

    copies_first = os.pathsep.join([str(tmp_path / "api"), str(tmp_path / "shared")])
    test = [sys.executable, "-m", "pytest", "-q", "tests/api"]
    env = {**os.environ, "PYTHONPATH": copies_first}
    done = subprocess.run(test, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    assert "2 passed" in done.stdout, done.stdout + done.stderr
    lint = [sys.executable, "-m", "ruff", "check", *(name for name, _ in steps)]
    assert subprocess.run(lint, cwd=tmp_path, check=False).returncode == 0
