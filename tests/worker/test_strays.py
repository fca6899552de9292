"""Runs that Redis says a worker holds, and that it does not execute."""

from typing import Any

import pytest

from lineshaft.redis.client import Client
from lineshaft_worker import worker as module
from lineshaft_worker.claim import claim
from tests.shared.until import until

from . import run_graphs
from .in_process import Hire, Office


async def test_a_run_whose_claim_is_still_to_be_answered_is_no_stray(
    office: Office, hire: Hire, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer was lost, and until the worker had asked again it gave the run back as one that it could not execute:
    a strike, and a second attempt, though nothing was wrong with the run.
    """
    looks = 0
    script = client.script

    async def counted(name: str, **args: Any) -> Any:
        nonlocal looks
        looks += name == "worker_holdings"
        return await script(name, **args)

    async def slow_claim(*args: Any) -> Any:
        answer = await claim(*args)
        if answer[-1]:
            seen = looks
            await until(lambda: looks >= seen + 4, "the worker has looked at its holdings several times")
        return answer

    monkeypatch.setattr(client, "script", counted)
    monkeypatch.setattr(module, "claim", slow_claim)
    await hire()
    thread = await office.thread()
    run = await office.start("linear", thread, {"log": []})
    assert await office.ended(run) == "success"
    assert await office.field(run, "crashes") is None
    assert run_graphs.ENTERED == ["a", "b", "c"]
    assert await office.attempts(thread) == [1]
