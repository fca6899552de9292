"""The server that a suite runs against."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.system.server import DevServer

HERE = Path(__file__).parent


@contextmanager
def serving(project: str, folder: Path) -> Iterator[str]:
    """The URL of a `lineshaft dev` that serves a fixture project, or of the server that BASE_URL names."""
    if given := os.environ.get("BASE_URL"):
        yield given
        return
    with DevServer(folder, config=HERE / project / "langgraph.json") as server:
        yield server.url
