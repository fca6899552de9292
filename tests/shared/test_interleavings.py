"""Every order of steps, on the real scripts: two workers, up to three runs on one thread, every strategy, cancels,
crashes, leases that end or are renewed late, hand-backs, ends, and tokens kept too long; and three threads that come
into each other's way by a limit, from two queues that are paused and resumed, with two priorities.

After every step the scripts and the model (`queue_model.py`) must have answered alike and hold the same; and from every
state a healthy worker must bring all runs to an end.
"""

import pytest

from lineshaft.redis.client import Client

from .exploration import CROWD, ONE_THREAD, PARKED, Scope, explore

LONG = [pytest.mark.long, pytest.mark.timeout(3600)]  # minutes, many on a slow machine


# A state costs about 20 ms. How many there are is part of the test: fewer, and steps have become impossible.
@pytest.mark.parametrize(
    ("scope", "depth", "states"),
    [
        pytest.param(ONE_THREAD, 5, 700, id="one thread, 5 steps"),
        pytest.param(CROWD, 4, 500, id="a crowd, 4 steps"),
        pytest.param(PARKED, 3, 150, id="parked runs, 3 steps"),
        pytest.param(ONE_THREAD, 6, 2_000, id="one thread, 6 steps", marks=pytest.mark.slow),
        pytest.param(PARKED, 5, 1_500, id="parked runs, 5 steps", marks=pytest.mark.slow),
        pytest.param(ONE_THREAD, 8, 13_000, id="one thread, 8 steps", marks=LONG),
        pytest.param(CROWD, 6, 8_000, id="a crowd, 6 steps", marks=LONG),
    ],
)
async def test_no_order_of_steps_breaks_the_queue(client: Client, scope: Scope, depth: int, states: int) -> None:
    found = await explore(client, depth, scope)
    await client.redis.flushall()
    # How much has been proven; pytest shows it with -s.
    print(f"{depth} steps: {len(found.seen)} states, {found.transitions} transitions")  # noqa: T201
    assert len(found.seen) >= states
