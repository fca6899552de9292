"""The primary dies or freezes, real Sentinels make its replica the primary, and no process of ours notices for long."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.installation import HeldRun, Installation, RedisServer, ends
from tests.system.journal import Journal, until
from tests.system.sentinels import Watched
from tests.system.server import wait_until

pytestmark = pytest.mark.xdist_group("failover")


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with Watched(tmp_path) as watched:
        yield watched


@pytest.fixture
def installation(watched: Watched, tmp_path: Path) -> Iterator[Installation]:
    with Installation(tmp_path, watched.primary, uri=watched.uri, workers=2) as installation:
        yield installation


def is_primary(server: RedisServer) -> bool:
    return bool(server.client.role()[0] == b"master")


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_run_under_way_and_new_ones_go_on_with_the_new_primary(
    watched: Watched, installation: Installation, journal: Journal, fault: signal.Signals
) -> None:
    async with HeldRun(installation, journal) as held:
        wait_until(watched.replicated, "the replica has it all")
        try:
            os.kill(watched.primary.pid, fault)
            await until(lambda: is_primary(watched.replica), "there is a new primary")
            thread_id, run_id = await held.another()
            assert await ends(held.http, thread_id, run_id) == "success"
            await held.goes_on(watched.replica)
            # The control lane, too, has left a primary that does not answer.
            answer = await held.http.post(f"/threads/{held.thread_id}/history", json={"limit": 100})
            assert answer.status_code == 200 and len(answer.json()) == 12
        finally:
            if fault == signal.SIGSTOP:
                os.kill(watched.primary.pid, signal.SIGCONT)
    assert len([line for line in journal.lines("began") if line.name]) == 1


async def test_a_primary_that_is_demoted_is_left(
    watched: Watched, installation: Installation, journal: Journal
) -> None:
    """A failover that somebody asks for: the old primary lives and refuses, which is no reason to stay with it."""
    async with HeldRun(installation, journal) as held:
        wait_until(watched.replicated, "the replica has it all")
        watched.sentinels[0].client.execute_command("SENTINEL", "FAILOVER", "shaft")
        await until(lambda: not is_primary(watched.primary), "the old primary is a replica")
        thread_id, run_id = await held.another()
        assert await ends(held.http, thread_id, run_id) == "success"
        await held.goes_on(watched.replica)


async def test_a_sentinel_that_is_away_is_not_needed(watched: Watched, tmp_path: Path, journal: Journal) -> None:
    watched.sentinels[0].kill()
    os.kill(watched.sentinels[1].pid, signal.SIGSTOP)
    with Installation(tmp_path, watched.primary, uri=watched.uri) as installation:
        async with HeldRun(installation, journal) as held:
            await held.goes_on()
