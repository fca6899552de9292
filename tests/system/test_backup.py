"""deploy/runbook.md, "Backup and restore": as it stands there, taken while runs go on, and restored into a new server.

Whatever way the copy is taken, it is Redis at one moment: each script is whole in it, or not there at all.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.system.installation import Installation, RedisServer, ends, enqueue, thread
from tests.system.journal import Journal, until
from tests.system.server import START_PATIENCE, wait_until


def persistence(server: RedisServer, field: str) -> int:
    return int(server.client.info("persistence")[field])


def take_snapshot(server: RedisServer, backup: Path) -> None:
    server.client.bgsave()
    wait_until(lambda: not persistence(server, "rdb_bgsave_in_progress"), "the snapshot is written", START_PATIENCE)
    shutil.copy(server.data / "dump.rdb", backup / "dump.rdb")


@contextmanager
def from_snapshot(backup: Path, folder: Path) -> Iterator[RedisServer]:
    """With its append-only file on, a server reads nothing else: it would be empty."""
    server = RedisServer(folder, "--appendonly", "no")
    shutil.copy(backup / "dump.rdb", server.data)
    with server:
        server.client.config_set("appendonly", "yes")
        wait_until(
            lambda: persistence(server, "aof_enabled") and not persistence(server, "aof_rewrite_in_progress"),
            "it has an append-only file",
            START_PATIENCE,
        )
        yield server


def take_append_only_file(server: RedisServer, backup: Path) -> None:
    """A rewrite would take files away while they are copied. What is written meanwhile makes the last one longer."""
    before = server.client.config_get("auto-aof-rewrite-percentage")
    server.client.config_set("auto-aof-rewrite-percentage", 0)
    wait_until(lambda: not persistence(server, "aof_rewrite_in_progress"), "no rewrite goes on", START_PATIENCE)
    shutil.copytree(server.data / "appendonlydir", backup / "appendonlydir")
    server.client.config_set("auto-aof-rewrite-percentage", before["auto-aof-rewrite-percentage"])


@contextmanager
def from_append_only_file(backup: Path, folder: Path) -> Iterator[RedisServer]:
    server = RedisServer(folder)
    shutil.copytree(backup / "appendonlydir", server.data / "appendonlydir")
    with server:
        yield server


@pytest.mark.parametrize(
    ("take", "restored"),
    [
        pytest.param(take_snapshot, from_snapshot, id="snapshot"),
        pytest.param(take_append_only_file, from_append_only_file, id="append-only file", marks=pytest.mark.slow),
    ],
)
async def test_a_backup_taken_while_runs_go_on_goes_on_in_a_new_server(
    take: Callable[[RedisServer, Path], None],
    restored: Callable[[Path, Path], AbstractContextManager[RedisServer]],
    tmp_path: Path,
    journal: Journal,
) -> None:
    backup = tmp_path / "backup"
    backup.mkdir()
    with RedisServer(tmp_path) as original, Installation(tmp_path, original) as installation:
        async with installation.http() as http:
            ended = await thread(http)
            assert (
                await ends(http, ended, await enqueue(http, ended, "mark", input=journal.input(name="m"))) == "success"
            )
            busy = await thread(http)
            under_way = await enqueue(http, busy, "steps", input=journal.input(hold=5), durability="sync")
            await journal.wait_for("began", 5)
            waiting = await enqueue(http, busy, "mark", input=journal.input(name="m"), multitask_strategy="enqueue")
            take(original, backup)
            later = await thread(http)

    with restored(backup, tmp_path) as server, Installation(tmp_path, server) as installation:
        journal.open_gate()
        async with installation.http() as http:
            assert await ends(http, busy, under_way) == "success"
            assert await ends(http, busy, waiting) == "success"
            assert (await state(http, ended)) == [0]
            assert (await http.get(f"/threads/{later}")).status_code == 404
    # What had ended is not done again; the step that was under way is.
    steps = [line.step for line in journal.lines("began") if not line.name]
    assert steps == [0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9]
    await until(lambda: len(journal.lines("ended", 0)) == 3, "each other run has ended once")


async def state(http: httpx.AsyncClient, thread_id: str) -> list[int]:
    answer = await http.get(f"/threads/{thread_id}/state")
    return list(answer.json()["values"]["done"])
