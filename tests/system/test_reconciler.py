"""A worker's parent looks for what should not be, beside all that it does for its child."""

from pathlib import Path

from langgraph_sdk import get_client

from tests.system.cell import KEYS, connected, wait_for_workers
from tests.system.journal import CONFIG, Journal, until
from tests.system.server import DevServer


async def test_a_run_that_an_operator_lost_is_found_and_executed(tmp_path: Path, journal: Journal) -> None:
    env = {"LINESHAFT_RECONCILE_SECONDS": "0.2"}
    with DevServer(tmp_path, "--workers", "2", config=CONFIG, env=env) as server:
        await wait_for_workers(server, 2)
        async with get_client(url=server.url) as sdk:
            thread_id = (await sdk.threads.create())["thread_id"]
            run = await sdk.runs.create(thread_id, "mark", input=journal.input(name="lost"), after_seconds=60)
            with connected(server) as client:
                # Nobody would ever look at it: it stands in no queue, and its time has come.
                client.zrem(KEYS.queue("runs"), run["run_id"])
                client.zrem(KEYS.thread_waiting(thread_id), run["run_id"])
                client.hset(KEYS.run(run["run_id"]), "score", 1)
                await sdk.runs.join(thread_id, run["run_id"])
                assert (await sdk.runs.get(thread_id, run["run_id"]))["status"] == "success"
                assert [line.name for line in journal.lines("ended")] == ["lost"]
                assert client.hget(KEYS.repairs(), "pending run in no queue") == b"1"
            await until(lambda: "reconciled" in server.output, "it is logged")
            assert "pending run in no queue" in server.output and thread_id in server.output
