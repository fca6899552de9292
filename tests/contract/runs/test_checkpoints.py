"""Starting from an earlier checkpoint; durability."""

import pytest

from tests.contract.runs.calls import get_history, get_state, wait_run


@pytest.fixture
async def before_b(http, thread):
    """The checkpoint just before node b of a finished `linear` run."""
    await wait_run(http, thread, "linear", {"log": []})
    history = await get_history(http, thread)
    return next(s["checkpoint"] for s in history if s["next"] == ["b"])


async def test_checkpoint_id_with_null_input_replays_from_there(http, thread, before_b):
    response = await wait_run(http, thread, "linear", None, checkpoint_id=before_b["checkpoint_id"])
    assert response.json() == {"log": ["a", "b", "c"]}
    assert len(await get_history(http, thread)) > 5


async def test_checkpoint_id_with_input_forks(http, thread, before_b):
    response = await wait_run(http, thread, "linear", {"log": ["fork"]}, checkpoint_id=before_b["checkpoint_id"])
    assert response.json() == {"log": ["a", "fork", "a", "b", "c"]}
    assert (await get_state(http, thread))["values"] == response.json()


async def test_checkpoint_in_configurable(http, thread, before_b):
    config = {"configurable": {"checkpoint_id": before_b["checkpoint_id"]}}
    response = await wait_run(http, thread, "linear", {"log": ["fork"]}, config=config)
    assert response.json() == {"log": ["a", "fork", "a", "b", "c"]}


async def test_the_forked_branch_becomes_the_current_state(http, thread, before_b):
    await wait_run(http, thread, "linear", {"log": ["fork"]}, checkpoint=before_b)
    response = await wait_run(http, thread, "linear", {"log": ["next"]})
    assert response.json()["log"] == ["a", "fork", "a", "b", "c", "next", "a", "b", "c"]


async def test_a_malformed_checkpoint_id_is_422(http, thread):
    assert (await wait_run(http, thread, "linear", {}, checkpoint_id="x")).status_code == 422


@pytest.mark.parametrize("durability", ["sync", "async"])
async def test_sync_and_async_durability_save_every_step(http, thread, durability):
    await wait_run(http, thread, "linear", {"log": []}, durability=durability)
    steps = [s["metadata"]["step"] for s in await get_history(http, thread)]
    assert steps == [3, 2, 1, 0, -1]


async def test_durability_wins_over_checkpoint_during(http, thread):
    await wait_run(http, thread, "linear", {"log": []}, durability="async", checkpoint_during=False)
    assert len(await get_history(http, thread)) == 5


async def test_every_checkpoint_names_its_run(http, thread):
    response = await wait_run(http, thread, "linear", {"log": []})
    run = response.headers["content-location"].rsplit("/", 1)[1]
    assert {s["metadata"]["run_id"] for s in await get_history(http, thread)} == {run}
