"""Fixtures for tests with real processes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.server import DevServer


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Callable[..., DevServer]]:
    """Makes a DevServer in the test's folder; what is still running at the end is killed."""
    made: list[DevServer] = []

    def make(*args: str, **options: Any) -> DevServer:
        made.append(DevServer(tmp_path, *args, **options))
        return made[-1]

    yield make
    for server in made:
        if server.running:
            server.kill()
