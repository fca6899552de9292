"""The rules of this repository that no linter knows."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = ("api", "worker", "shared", "deploy", "tests")
TOP_LEVEL = {
    *CODE,
    ".ci",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "constraints.txt",
    "pyproject.toml",
}
# Suites from elsewhere, kept close to their origin so that they can be compared with it.
ADOPTED = "tests/contract/"
LONGEST_FILE = 300  # lines; a file that grows over it holds two things
# Names that say nothing: whatever finds no better place ends up there.
EMPTY_NAMES = {"common", "helpers", "misc", "models", "services", "utils"}
# Paths of one machine, and registries that pip and npm find by themselves.
FOREIGN = re.compile(r"/(?:[h]ome|[U]sers|[r]oot|[w]ork)/\w|[f]iles\.pythonhosted|[r]egistry\.npmjs")
TEXT = {"", ".cfg", ".json", ".lua", ".md", ".py", ".toml", ".txt", ".yaml", ".yml"}


def files(*below: str) -> list[Path]:
    """Every file that is, or with the next commit could be, in the repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *below]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return sorted(path for name in set(names) - {""} if (path := ROOT / name).is_file())


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def sources() -> Iterator[Path]:
    """Our own Python and Lua files."""
    return (p for p in files(*CODE) if p.suffix in {".py", ".lua"} and not shown(p).startswith(ADOPTED))


def scripts() -> dict[str, str]:
    """The text of each Lua file."""
    return {shown(path): path.read_text() for path in files("shared/lineshaft/lua") if path.suffix == ".lua"}


def dependency_names() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lists = [
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
    ]
    return sorted({re.split(r"[^A-Za-z0-9._-]", requirement)[0] for names in lists for requirement in names})


def test_the_top_level_holds_nothing_new() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in files()} <= TOP_LEVEL


@pytest.mark.parametrize("folder", CODE)
def test_a_directory_says_where_to_start_reading(folder: str) -> None:
    assert (ROOT / folder / "README.md").is_file()


def test_a_file_holds_one_thing() -> None:
    lengths = {shown(path): len(path.read_text().splitlines()) for path in sources()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_a_name_says_what_is_inside() -> None:
    assert [shown(path) for path in sources() if EMPTY_NAMES & {path.stem, *path.relative_to(ROOT).parts[:-1]}] == []


def test_a_file_names_no_machine() -> None:
    texts = {shown(path): path.read_text() for path in files() if path.suffix in TEXT}
    assert {name: found for name, text in texts.items() if (found := FOREIGN.findall(text))} == {}


def test_a_script_begins_with_its_sentence() -> None:
    sentence = re.compile(r"-- (?!FLAGS |USES |ARGV )\S+ .*\w")
    assert [name for name, text in scripts().items() if not sentence.match(text)] == []


def test_a_script_uses_names_not_positions() -> None:
    assert [name for name, text in scripts().items() if re.search(r"\b(?:KEYS|ARGV)\s*\[", text)] == []


def test_no_script_touches_users_json() -> None:
    """cjson makes {} of [] and loses digits; a script gets what it must know as an argument."""
    assert [name for name, text in scripts().items() if re.search(r"\bc(?:json|msgpack)\b\.", text)] == []


def test_constraints_are_plain_pins() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+", line)] == []


def test_every_dependency_has_a_pin() -> None:
    pinned = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert [name for name in dependency_names() if name.lower() not in pinned] == []


def test_every_dependency_has_its_reason() -> None:
    _, _, table = (ROOT / "shared/DECISIONS.md").read_text().partition("\n## Dependencies\n")
    reasons = dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", table, re.MULTILINE))
    assert reasons.keys() == set(dependency_names())
