"""A run's whole life in a worker."""

import pytest
from . import run_graphs
from .in_process import InProcessWorker, Office

pytestmark = pytest.mark.usefixtures("worker")

async def test_success(office: Office) -> None:
    thread = await office.thread()
    assert await office.run("linear", thread, {"log": ["in"]}) == "success"
    assert await office.values(thread) == {"log": ["in", "a", "b", "c"]}
    print(await office.shown(thread)); print(await office.events(thread))

@pytest.mark.parametrize("g", run_graphs.NAMES)
async def test_x(office: Office, g: str) -> None:
    if g in ("slow","ignoring","held","converting"): pytest.skip()
    thread = await office.thread()
    print(await office.run(g, thread, {"items":[1],"n":1,"messages":[],"log":[]} if g!="chat" else {"messages":[{"role":"user","content":"x"}]}))
    print(await office.shown(thread)); print(str(await office.log(thread))[:1500] if g!="large" else "")
