"""The list, kept beside each suite, of its cases that pass: what passed once must go on passing."""

from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent


class PassingList:
    """`passing.txt` of one suite: node ids relative to the suite, one per line, sorted."""

    def __init__(self, folder: Path) -> None:
        self.suite = folder.name
        self.folder = folder
        self.file = folder / "passing.txt"

    def read(self) -> list[str]:
        return self.file.read_text().splitlines()

    def add(self, ids: Iterable[str]) -> None:
        """Add newly passing cases. Nothing is ever taken out: fix the server instead."""
        ids = sorted({*self.read(), *ids})
        self.file.write_text("".join(f"{line}\n" for line in ids))

    def relative(self, node_id: str) -> str:
        """`test_wait.py::test_x` for `tests/contract/runs/test_wait.py::test_x`, with or without xdist's `@group`."""
        path, _, case = node_id.partition("::")
        return f"{Path(path).name}::{case.removesuffix(f'@{self.suite}')}"


SUITES = [PassingList(HERE / "resources"), PassingList(HERE / "runs")]
