"""What the runbook tells people to type and to look at is there."""

import re
from pathlib import Path

import click
import msgspec

from lineshaft.cli import main
from lineshaft.config.environment import unused_environment
from lineshaft.config.settings import Settings
from lineshaft_api.app import OPERATIONS

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "deploy/runbook.md").read_text()
README = (ROOT / "deploy/README.md").read_text()
PAGES = RUNBOOK + README


def test_a_command_of_ours_exists() -> None:
    for words in re.findall(r"(?<!-n )\blineshaft ([a-z]+)(?: ([a-z]+))?", " ".join(re.findall("`([^`]+)`", PAGES))):
        command: click.Command = main
        for word in filter(None, words):
            if isinstance(command, click.Group):
                assert word in command.commands, f"lineshaft {' '.join(words)}"
                command = command.commands[word]


def test_a_path_of_ours_exists() -> None:
    known = {operation.path for operation in OPERATIONS}
    for path in re.findall(r"`(?:GET |POST )?(/(?:internal|threads)[^`? ]*)", RUNBOOK):
        assert path in known, path


def test_a_variable_is_a_setting() -> None:
    known = {field.encode_name for field in msgspec.structs.fields(Settings)}
    named = set(re.findall(r"\b((?:LINESHAFT|BG_JOB|RESUMABLE|REDIS|N_JOBS)_[A-Z_]+)", PAGES))
    assert len(named) > 6
    # Read by compose.
    assert named - known - {"LINESHAFT_IMAGE"} == set()
    # And what the official server's users can drop has no effect indeed.
    assert len(unused_environment({"DATABASE_URI": "x", "POSTGRES_URI": "x"})) == 2


def test_a_test_that_is_named_is_there() -> None:
    for name in re.findall(r"`(?:tests/\w+/)?(test_\w+\.py)`", RUNBOOK):
        assert list((ROOT / "tests").rglob(name)), name
    text = "".join(path.read_text() for path in (ROOT / "tests/system").glob("test_*.py"))
    for name in re.findall(r"`(test_\w+)(?:\.\.\.)?`", RUNBOOK):
        assert f"def {name}" in text, name


def test_a_link_leads_somewhere() -> None:
    titles = re.findall("^#+ (.+)$", RUNBOOK, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
    for anchor in re.findall(r"\]\(#([^)]+)\)", RUNBOOK):
        assert anchor in anchors, anchor
    for file in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", PAGES):
        assert (ROOT / "deploy" / file).exists(), file
