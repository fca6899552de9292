"""Every script may be sent twice, since its answer can get lost: the second call changes nothing more, and its answer
is one that the caller can use. Each script has its entry in `scenes.py`, so a new one cannot be forgotten.
"""

from collections.abc import AsyncIterator

import pytest

from lineshaft.redis.client import Client
from lineshaft.redis.keys import Keys
from lineshaft.redis.script import load_all

from . import redis_state
from .scenes import SAME, Stage
from .upkeep_scenes import ALL_SCENES

SCRIPTS = load_all(Keys())
# Reading twice is reading once; Redis itself refuses writes of such a script.
READERS = {name for name, script in SCRIPTS.items() if script.source.startswith("#!lua flags=no-writes")}
# A second call moves these on. Nothing is decided by how often: times say when the last change was, and `rev` only that
# there was one.
MOVING = {"updated", "state_updated", "published", "started", "rev"}
MOVING_KEYS = (
    "ls:threads:updated",
    "ls:threads:unfinished",
    "ls:threads:state_updated",
    "ls:workers",
    "ls:beat",
    "ls:store:order",
    "ls:store:expiry",
    "ls:api_keys",
    "ls:rate",  # the second call takes too: a lost answer costs its caller one request of many
)

# What these change is nothing that stays, or nothing here: expired items, a time to live, a notification repeated.
UNSEEN = {"store_get", "store_namespaces", "store_search", "worker_holdings"}


def test_every_script_that_may_write_has_a_scene() -> None:
    assert {name.partition(" ")[0] for name in ALL_SCENES} == SCRIPTS.keys() - READERS


def steady(state: redis_state.State) -> redis_state.State:
    """What must not change when a call is repeated."""
    still: redis_state.State = {}
    for key, value in state.items():
        if isinstance(value, dict):
            moving = any(key.startswith(prefix) for prefix in MOVING_KEYS)
            still[key] = sorted(value) if moving else {k: v for k, v in value.items() if k not in MOVING}
            if key.startswith("ls:store:items"):  # the second of its parts says when it was last put
                still[key] = {k: v.split("\0")[::2] for k, v in value.items()}
        else:
            still[key] = None if key.startswith(MOVING_KEYS) else value
    return still


@pytest.fixture
async def stage(client: Client) -> AsyncIterator[Stage]:
    stage = Stage(client)
    await stage.enter()
    yield stage
    await client.redis.flushall()  # scenes leave runs and workers behind


@pytest.mark.parametrize("name", ALL_SCENES)
async def test_a_script_sent_twice_does_what_it_does_once(client: Client, stage: Stage, name: str) -> None:
    scene = ALL_SCENES[name]
    script, args = name.partition(" ")[0], await scene.args(stage)
    before = steady(await redis_state.read(client))
    answer = await client.script(script, **args)
    once = steady(await redis_state.read(client))

    if isinstance(scene.again, type):
        with pytest.raises(scene.again):
            await client.script(script, **args)
    else:
        again = await client.script(script, **args)
        assert scene.used(again) == (scene.used(answer) if scene.again is SAME else scene.again)
    twice = steady(await redis_state.read(client))

    assert twice == once
    if script not in UNSEEN:
        assert once != before
