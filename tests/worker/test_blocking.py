"""Code that blocks the loop is named, once, with its place."""

import time
from collections.abc import MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from lineshaft_worker import blocking
from lineshaft_worker.blocking import BlockingWatch
from tests.shared.until import until


def culprit(logs: list[MutableMapping[str, Any]], seconds: float) -> None:
    """Holds the loop until it has been told of, or for `seconds`."""
    deadline = time.monotonic() + seconds
    while not logs and time.monotonic() < deadline:
        time.sleep(0.01)  # the block itself: the loop must not turn


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(blocking, "_BLOCKED_SECONDS", 0.1)


@pytest.mark.usefixtures("short")
async def test_who_blocks_the_loop_is_named_with_the_stack() -> None:
    with capture_logs() as logs:
        watch = BlockingWatch(lambda: ["run-1"])
        watch.start()
        for _ in range(2):
            culprit(logs, 10)
            assert len(logs) == 1
            entry = logs.pop()
            assert entry["runs"] == ["run-1"]
            assert entry["seconds"] >= 0.1
            assert "in culprit" in entry["stack"]
            turned = watch._turned
            await until(lambda turned=turned: watch._turned > turned, "the loop turns again")  # type: ignore[misc]
        watch.stop()


@pytest.mark.usefixtures("short")
async def test_a_loop_that_turns_is_left_in_peace() -> None:
    with capture_logs() as logs:
        watch = BlockingWatch(list)
        watch.start()
        started = watch._turned
        await until(lambda: watch._turned > started + 0.3, "it has looked for a while")
        watch.stop()
    assert logs == []
