"""States that a thread is created with: one checkpoint for each superstep, or none at all."""

from typing import Any

import pytest

from lineshaft.errors import BadRequest
from lineshaft.threads.copies import copy_thread

from .asker import Asker
from .in_process import Office


def step(as_node: str, values: Any = None, **fields: Any) -> dict[str, Any]:
    return {"as_node": as_node, "values": values, **fields}


async def test_each_superstep_makes_a_checkpoint(asker: Asker, office: Office, thread: str) -> None:
    steps = [[step("__start__", {"log": ["x"]})], [step("a", {"log": ["y"]})]]
    await asker.ask("supersteps", thread, supersteps=steps)
    state = await asker.stored(thread)
    assert (state["values"], state["next"]) == ({"log": ["x", "y"]}, ["b"])
    history = await asker.ask("history", thread, limit=10)
    assert [past["metadata"]["source"] for past in history] == ["update", "update"]
    assert (await office.shown(thread))["status"] == "interrupted"


async def test_an_input_and_a_command(asker: Asker, thread: str) -> None:
    steps = [[step("__input__", {"log": ["x"]})], [step("a", command={"update": {"log": ["y"]}, "goto": "c"})]]
    await asker.ask("supersteps", thread, supersteps=steps)
    state = await asker.stored(thread)
    # An input waits for the entry node; an update in its place takes its turn.
    assert state["values"] == {"log": ["y"]} and "c" in state["next"]
    history = await asker.ask("history", thread, limit=10)
    assert [past["metadata"]["source"] for past in history] == ["update", "input"]


@pytest.mark.parametrize("last", [step("nobody", {}), step("a", [1]), step("a", "text"), step("__input__")])
async def test_nothing_is_kept_if_one_superstep_cannot_be(
    asker: Asker, office: Office, thread: str, last: dict[str, Any]
) -> None:
    outcome = await asker.outcome("supersteps", thread, supersteps=[[step("a", {"log": ["x"]})], [last]])
    assert isinstance(outcome, BadRequest)
    assert await asker.ask("history", thread, limit=10) == []
    assert (await office.shown(thread))["status"] == "idle"


@pytest.mark.usefixtures("worker")
async def test_a_copy_goes_on_where_its_original_stands(asker: Asker, office: Office, thread: str) -> None:
    await asker.ask("supersteps", thread, supersteps=[[step("a", {"log": ["x"]})]])
    copied = await copy_thread(asker.client, thread)
    office.adopt(copied)
    copy, original = [await asker.ask("history", one, limit=10) for one in (copied, thread)]
    assert [past["values"] for past in copy] == [past["values"] for past in original]
    assert copy[0] == await asker.stored(copied)
    assert {past["checkpoint"]["thread_id"] for past in copy} == {copied}
    assert await office.run("linear", copied) == "success"
    assert await office.values(copied) == {"log": ["x", "b", "c"]}
    assert (await asker.stored(thread))["values"] == {"log": ["x"]}
