"""How a worker's slots are shared among its queues."""

import uuid
from collections import Counter
from collections.abc import AsyncIterator

import msgspec
import pytest

from lineshaft.config.executor import ExecutorConfig, QueueConfig
from lineshaft.errors import ConfigError
from lineshaft.queues.control import pause, resume
from lineshaft.queues.weights import parse_weights, served_queues
from lineshaft.redis.client import Client
from lineshaft_worker.shares import Shares
from tests.shared.runs import Desk

EXECUTOR = ExecutorConfig(queues={"fast": QueueConfig(), "slow-ones": QueueConfig()})


@pytest.fixture
async def desk(client: Client) -> AsyncIterator[Desk]:
    client.settings = msgspec.structs.replace(client.settings, lineshaft_executor=EXECUTOR)
    desk = Desk(client)
    await desk.open()
    yield desk
    await desk.leave()


class Hands:
    """Claims as a worker does, and ends runs when told."""

    def __init__(self, desk: Desk, weights: dict[str, int], slots: int) -> None:
        self.desk = desk
        self.shares = Shares(weights, slots)
        self.held: list[tuple[str, str, str]] = []  # queue, run, token

    async def claim(self) -> list[str]:
        """The queues of the runs that it got."""
        rooms = self.shares.rooms()
        answer = await self.desk.client.script(
            "run_claim", worker=self.desk.worker, request=uuid.uuid4().hex, lease=10_000, max_crashes=3, limits="",
            shares=self.shares.lines(), rooms=[part for room in rooms.items() for part in room],
        )  # fmt: skip
        taken = []
        for row in answer[1:]:
            run, token = row[0].decode(), row[2].decode()
            queue = str(await self.desk.field(run, "queue"))
            self.shares.take(queue)
            self.held.append((queue, run, token))
            taken.append(queue)
        return taken

    async def end(self, queue: str = "") -> None:
        """The oldest one, of a queue or of all."""
        found = next(held for held in self.held if queue in ("", held[0]))
        self.held.remove(found)
        self.shares.give_back(found[0])
        self.desk.forget(str(await self.desk.field(found[1], "thread")))
        await self.desk.finish(found[1], found[2])


async def fill(desk: Desk, queue: str, count: int) -> None:
    for _ in range(count):
        run = await desk.create(None, config={"configurable": {"lineshaft_queue": queue}})
        desk.adopt(str(await desk.field(run, "thread")))


async def test_slots_are_shared_by_weight(desk: Desk) -> None:
    await fill(desk, "slow-ones", 12)
    await fill(desk, "fast", 12)
    hands = Hands(desk, {"fast": 3, "slow-ones": 1}, 8)
    assert Counter(await hands.claim()) == {"fast": 6, "slow-ones": 2}
    # However long its runs take, a queue has no more than its share while others want theirs.
    for _ in range(4):
        await hands.end("fast")
        assert await hands.claim() == ["fast"]
    for queue in ("slow-ones", "fast") * 2:
        await hands.end(queue)
        assert await hands.claim() == [queue]


async def test_an_idle_queues_share_goes_to_the_others_and_comes_back(desk: Desk) -> None:
    await fill(desk, "slow-ones", 8)
    hands = Hands(desk, {"fast": 3, "slow-ones": 1}, 4)
    assert await hands.claim() == ["slow-ones"] * 4
    await fill(desk, "fast", 4)
    for _ in range(3):
        await hands.end()
        assert await hands.claim() == ["fast"]
    await hands.end("fast")
    assert await hands.claim() == ["fast"]


async def test_of_a_single_slot_each_queue_has_its_share_of_the_time(desk: Desk) -> None:
    await fill(desk, "slow-ones", 8)
    await fill(desk, "fast", 8)
    hands = Hands(desk, {"fast": 3, "slow-ones": 1}, 1)
    order = []
    for _ in range(8):
        order += await hands.claim()
        await hands.end()
    assert Counter(order) == {"fast": 6, "slow-ones": 2}


async def test_a_paused_queue_leaves_its_slots_to_the_others(desk: Desk) -> None:
    await fill(desk, "slow-ones", 4)
    await fill(desk, "fast", 4)
    await pause(desk.client, "fast")
    hands = Hands(desk, {"fast": 3, "slow-ones": 1}, 4)
    assert await hands.claim() == ["slow-ones"] * 4
    await resume(desk.client, "fast")


async def test_more_than_there_is_room_for_wakes_another_worker_for_each_queue(desk: Desk) -> None:
    await fill(desk, "slow-ones", 2)
    await fill(desk, "fast", 2)
    keys = desk.client.keys
    await desk.client.command("DEL", keys.wake("fast"), keys.wake("slow-ones"))
    await Hands(desk, {"fast": 1, "slow-ones": 1}, 2).claim()
    assert await desk.client.commands(("LLEN", keys.wake("fast")), ("LLEN", keys.wake("slow-ones"))) == [1, 1]


def test_a_claim_that_was_ended_by_its_room_is_asked_for_again() -> None:
    shares = Shares({"a": 1, "b": 1}, 20)
    rooms = shares.rooms()
    assert (rooms["a"], rooms["b"]) == (16, 16)
    for _ in range(16):
        shares.take("b")
    assert shares.full(["a"] * 10 + ["b"] * 6, rooms)
    assert not shares.full(["b"] * 15, rooms)
    for _ in range(4):
        shares.take("a")
    assert shares.rooms().keys() == {"overflow"}
    assert not shares.full(["a"] * 4, {"overflow": 16, "a": 4, "b": 4})
    assert shares.free_part("a") == 0


async def test_without_names_a_worker_serves_all_queues_that_there_are(client: Client) -> None:
    client.settings = msgspec.structs.replace(client.settings, lineshaft_executor=EXECUTOR)
    await client.command("HSET", client.keys.queues(), "of-yesterday", "open")
    assert await served_queues(client, "") == "fast:1,of-yesterday:1,runs:1,slow-ones:1"
    assert await served_queues(client, "of-yesterday, fast:3") == "of-yesterday:1,fast:3"
    with pytest.raises(ConfigError, match=r"there is no queue 'fats'\. Queues: fast, of-yesterday, runs, slow-ones"):
        await served_queues(client, "fats:3")


@pytest.mark.parametrize("text", ["fast:", "fast:0", "fast:1001", "fast:x", ":3", "fast,fast:2"])
def test_weights_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="queues: "):
        parse_weights(text)
