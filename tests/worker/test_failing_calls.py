"""A run comes to its right end whichever call of its worker fails: before Redis has it, or after Redis has done it.

Each story is played once without a failure, then with one at its first call, its second, and so on, until there are
no more. What is left in Redis must be what the undisturbed run leaves: the same keys, and the same events.
"""

from collections.abc import Iterator

import pytest

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft.threads.messages import MessageStore, NewMessage
from lineshaft_worker.claim import claim
from lineshaft_worker.graphs import Graphs
from tests.shared.failing_wire import MOMENTS, Moment, at_once, failing
from tests.shared.runs import Desk

from . import failing_case, run_graphs
from .failing_case import Case, Story, Theatre
from .project import new_project

RUN_GRAPHS = ("linear", "held", "asking", "large", "failing", "counting")


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graphs]:
    with new_project(tmp_path_factory.mktemp("project")) as project:
        names = {name: f"{run_graphs.__name__}:{name}" for name in RUN_GRAPHS}
        yield project.load({**names, "keeping": f"{failing_case.__name__}:keeping"}, {})


@pytest.fixture
def theatre(client: Client, settings: Settings, graphs: Graphs, monkeypatch: pytest.MonkeyPatch) -> Theatre:
    at_once(monkeypatch)
    return Theatre(client, settings, graphs)


async def steps(case: Case) -> None:
    modes = ["values", "updates"]
    assert await case.run("linear", {"log": ["x"]}, stream_mode=modes) == "success"
    case.executed("a", "b", "c")
    assert (await case.office.shown(case.thread))["status"] == "idle"
    assert (await case.office.values(case.thread))["log"] == ["x", "a", "b", "c"]
    if not case.dies:
        assert await case.names() == ["metadata", "values", *["updates", "values"] * 3, "end"]


async def pause_and_answer(case: Case) -> None:
    office = case.office
    assert await case.run("asking", {"log": []}) == "success"
    assert (await office.shown(case.thread))["status"] == "interrupted"
    assert await case.run("asking", command={"resume": "yes"}) == "success"
    assert (await office.shown(case.thread))["status"] == "idle"
    assert (await office.values(case.thread))["log"] == ["a", "answer yes", "z"]
    case.executed("a", "z")


async def cancel(case: Case) -> None:
    run = await case.start("held", {"log": []})
    await case.office.entered("hold gate")
    await case.office.cancel(case.thread, run)
    assert await case.office.ended(run) == "interrupted"
    assert (await case.office.values(case.thread))["log"] == ["a"]
    assert (await case.office.shown(case.thread))["status"] == "interrupted"


async def roll_back(case: Case) -> None:
    assert await case.run("linear", {"log": []}) == "success"
    run = await case.start("held", {"log": ["later"]})
    await case.office.entered("hold gate")
    await case.office.cancel(case.thread, run, "rollback")
    assert await case.office.ended(run) is None
    shown = await case.office.shown(case.thread)
    assert (shown["status"], shown["values"]["log"]) == ("idle", ["a", "b", "c"])


async def large_values(case: Case) -> None:
    assert await case.run("large", {"log": []}) == "success"
    assert (await case.office.values(case.thread))["text"] == "x" * 700_000
    keys, ask = case.office.client.keys, case.office.client.command
    rows = await ask("XRANGE", keys.thread_events(case.thread), "-", "+")
    references = [fields[fields.index(b"k") + 1].decode() for _, fields in rows if b"k" in fields]
    assert len(references) == 1 or case.dies  # then both attempts may have shown theirs
    blob, size = references[-1].split(":")
    assert len(b"".join(await ask("LRANGE", keys.blob(blob), 0, -1))) == int(size) > 700_000


async def failure(case: Case) -> None:
    assert await case.run("failing", {"log": []}) == "error"
    shown = await case.office.shown(case.thread)
    assert (shown["status"], shown["error"]["message"]) == ("error", "boom")
    assert (await case.names())[-2:] == ["error", "end"]
    case.executed("a")


async def stateless(case: Case) -> None:
    run = await case.start("linear", {"log": []}, alone=True)
    assert await case.office.ended(run) == "success"
    case.executed("a", "b", "c")
    thread = await case.office.field(run, "thread") or ""
    assert not await case.office.client.command("EXISTS", case.office.client.keys.thread(thread))


async def items(case: Case) -> None:
    assert await case.run("keeping", {"log": []}) == "success"
    case.executed("a", "keep", "z")
    (document,) = await case.office.client.command("HVALS", case.office.client.keys.store_items("kept"))
    if not case.dies:
        assert document.endswith(b'{"times":1}')


async def messages(case: Case) -> None:
    posted = MessageStore(case.office.client)
    for text in ("one", "two"):
        await posted.post(case.thread, NewMessage(role="user", content=text))
    assert await case.run("counting") == "success"
    assert [row["content"] for row in (await posted.list(case.thread)).rows] == ["one", "two", "2 so far"]


async def in_order(case: Case) -> None:
    runs = [await case.start("linear", {"log": [name]}) for name in "xyz"]
    assert [await case.office.ended(run) for run in runs] == ["success"] * 3
    done = ["a", "b", "c"]
    assert (await case.office.values(case.thread))["log"] == ["x", *done, "y", *done, "z", *done]
    case.executed(*done * 3)


STORIES: tuple[Story, ...] = (
    steps, pause_and_answer, cancel, roll_back, large_values, failure, stateless, items, messages, in_order,
)  # fmt: skip


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_a_call_that_fails_is_made_again(theatre: Theatre, story: Story, moment: Moment) -> None:
    await theatre.play_all(story, moment)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_a_worker_that_dies_at_a_call_is_replaced(theatre: Theatre, story: Story, moment: Moment) -> None:
    """With durability sync no step that was stored is executed again."""
    await theatre.play_all(story, moment, dies=True)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_run_is_handed_back_whichever_call_fails(theatre: Theatre, moment: Moment) -> None:
    async def drain(case: Case) -> None:
        run = await case.start("held", {"log": []})
        await case.office.entered("hold gate")
        await case.worker.stop()
        assert await case.office.status(run) == "pending"
        run_graphs.GATES["gate"].set()
        async with case.another() as _:
            assert await case.office.ended(run) == "success"
        assert (await case.office.values(case.thread))["log"] == ["a", "hold", "z"]
        case.executed("a", "hold gate", "cancelled gate", "hold gate", "z")
        assert await case.office.attempts(case.thread) == [1, 1]
        assert await case.office.field(run, "crashes") is None

    await theatre.play_all(drain, moment, grace=0)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_run_that_cannot_be_read_is_given_up_once(
    client: Client, settings: Settings, moment: Moment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given up again after a lost answer it was refused, and the worker took that for the loss of its lease."""
    at_once(monkeypatch)
    desk = Desk(client)
    unreadable, sound = [await desk.create(await desk.open()) for _ in range(2)]
    await client.command("HSET", client.keys.run(unreadable), "doc", "{")
    other, wire = failing(settings)
    wire.fail(2, moment)

    _, _, claims = await claim(other, desk.worker, "q", {"runs": 2})

    assert wire.failed
    assert [claimed.run_id for claimed in claims] == [sound]
    assert await desk.field(unreadable, "crashes") == "1"
    await other.close()
    await desk.leave()
