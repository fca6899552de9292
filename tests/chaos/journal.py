"""What the graphs in `graphs/walks.py` have written down: the side effects, which no crash takes back."""

from pathlib import Path

import msgspec


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a step did. `at` is the host's time in seconds, which is also Redis's."""

    run: str
    thread: str
    attempt: int
    durability: str
    what: str  # began, ended, cancelled, failed
    step: int
    pid: int
    at: float
    answer: str = ""


def read(file: Path) -> list[Line]:
    """All lines in order of time."""
    text = file.read_bytes().splitlines() if file.exists() else []
    return sorted((msgspec.json.decode(line, type=Line) for line in text), key=lambda line: line.at)
