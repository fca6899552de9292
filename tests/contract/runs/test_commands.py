"""command.goto and command.update."""

import pytest

from tests.contract.runs.calls import wait_run


@pytest.fixture
async def used(http, thread):
    """A thread on which `linear` has run once."""
    await wait_run(http, thread, "linear", {"log": []})
    return thread


async def command(http, thread, **fields):
    return (await wait_run(http, thread, "linear", command=fields)).json()


async def test_goto_runs_from_that_node_on(http, used):
    assert (await command(http, used, goto="b"))["log"] == ["a", "b", "c", "b", "c"]


async def test_goto_several_nodes_runs_them_in_one_step(http, used):
    body = await command(http, used, goto=["b", "c"])
    assert sorted(body["log"][3:5]) == ["b", "c"]
    assert body["log"][5:] == ["c"]


async def test_goto_with_a_send_gives_the_node_its_own_input(http, used):
    body = await command(http, used, goto={"node": "c", "input": {"log": ["ignored"]}})
    assert body["log"] == ["a", "b", "c", "c"]


async def test_goto_an_unknown_node_does_nothing(http, used):
    assert (await command(http, used, goto="nowhere"))["log"] == ["a", "b", "c"]


async def test_update_as_a_list_of_pairs(http, used):
    body = await command(http, used, update=[["note", "n"], ["log", ["u"]]])
    assert body == {"note": "n", "log": ["a", "b", "c", "u"]}


async def test_update_and_goto_together(http, used):
    body = await command(http, used, update={"note": "n", "log": ["u"]}, goto="c")
    assert body == {"note": "n", "log": ["a", "b", "c", "u", "c"]}


async def test_an_empty_command_is_no_command(http, used):
    body = (await wait_run(http, used, "linear", {"log": ["in"]}, command={})).json()
    assert body["log"] == ["a", "b", "c", "in", "a", "b", "c"]
