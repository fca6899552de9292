"""The server that a suite runs against."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.system.server import DevServer

HERE = Path(__file__).parent


@contextmanager
def serving(
    project: str,
    folder: Path,
    *,
    config: str = "langgraph.json",
    variable: str = "BASE_URL",
    env: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """The URL of a `lineshaft dev` that serves a fixture project, or of the server that `variable` names."""
    if given := os.environ.get(variable):
        yield given
        return
    with DevServer(folder, config=HERE / project / config, env=env) as server:
        yield server.url
