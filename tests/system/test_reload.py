"""`lineshaft dev` while its user edits the graphs."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.system.journal import until
from tests.system.server import DevServer

pytestmark = pytest.mark.xdist_group("reload")
# The node `held` waits for the file that the input names, and says which code it is of; so does the one behind it.
GRAPH = """
import asyncio, operator, time
from pathlib import Path
from typing import Annotated
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict
from words import WORD

class State(TypedDict):
    gate: str
    said: Annotated[list[str], operator.add]

async def first(state):
    return {"said": [f"first {WORD}"]}

async def held(state):
    while not Path(state["gate"]).exists():
        await asyncio.sleep(0.01)
    return {"said": [f"held {WORD}"]}

builder = StateGraph(State)
builder.add_sequence([("first", first), ("held", held)])
builder.add_edge(START, "first")
graph = builder.compile()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    folder = tmp_path_factory.mktemp("edited")
    (folder / "graph.py").write_text(GRAPH)
    (folder / "words.py").write_text("WORD = 'old'\n")
    config = folder / "langgraph.json"
    config.write_text('{"graphs": {"held": "./graph.py:graph"}}')
    with DevServer(folder, config=config) as server:
        yield server


async def begin(sdk: LangGraphClient, server: DevServer) -> tuple[str, str]:
    """A run that holds in its second node."""
    thread = (await sdk.threads.create())["thread_id"]
    asked: Any = {"gate": str(server.folder / f"gate-{thread}"), "said": []}
    run = await sdk.runs.create(thread, "held", input=asked)

    async def holds() -> bool:
        values = (await sdk.threads.get_state(thread))["values"]
        return bool(values and values["said"])  # type: ignore[call-overload]  # the SDK's type allows a list

    await until(holds, "the first node has run")
    return thread, run["run_id"]


async def end(sdk: LangGraphClient, server: DevServer, thread: str, run: str) -> list[str]:
    (server.folder / f"gate-{thread}").touch()
    values: Any = await asyncio.wait_for(sdk.runs.join(thread, run), 60)
    said: list[str] = values["said"]
    return said


async def test_a_run_that_is_under_way_goes_on_with_the_new_code(server: DevServer, sdk: LangGraphClient) -> None:
    thread, run = await begin(sdk, server)
    queued = await sdk.runs.create(thread, "held", input={"gate": str(server.folder), "said": []})
    (server.folder / "words.py").write_text("WORD = 'newer'\n")
    await until(lambda: "Reloaded" in server.output, "there is a child with the new code")
    assert "Changed    words.py\n" in server.output
    # The queued one may have gone on already.
    assert (await end(sdk, server, thread, run))[:2] == ["first old", "held newer"]
    values: Any = await sdk.runs.join(thread, queued["run_id"])
    assert values["said"][2:] == ["first newer", "held newer"]


async def test_a_broken_file_is_named_and_the_last_good_code_goes_on_until_it_is_mended(
    server: DevServer, sdk: LangGraphClient
) -> None:
    thread, run = await begin(sdk, server)
    words = server.folder / "words.py"
    before, reloads = words.read_text(), server.output.count("Reloaded")
    for broken, complaint in (
        (
            "WORD = 'newest\n",
            "held does not load: SyntaxError: unterminated string literal (detected at line 1) (words.py, line 1)",
        ),
        ("from still_missing import WORD\n", "ModuleNotFoundError: No module named 'still_missing' (words.py, line 1)"),
    ):
        words.write_text(broken)
        await until(lambda text=complaint: text in server.output, "it says what is wrong")  # type: ignore[misc]
    await until(lambda: server.output.count("Kept ") == 2, "it says each time that it goes on with the last good code")
    assert server.output.count("Reloaded") == reloads
    state = await sdk.runs.wait(None, "held", input={"gate": str(server.folder), "said": []})
    assert state["said"] == [f"{node} {before.split(chr(39))[1]}" for node in ("first", "held")]  # type: ignore[call-overload]
    (server.folder / "still_missing.py").write_text("WORD = 'mended'\n")
    await until(lambda: server.output.count("Reloaded") == reloads + 1, "there is a child with the mended code")
    assert (await end(sdk, server, thread, run))[1] == "held mended"


async def test_a_graph_that_is_added_is_served_and_other_changes_are_said_to_take_a_start(
    server: DevServer,
) -> None:
    (server.folder / "langgraph.json").write_text(
        '{"graphs": {"held": "./graph.py:graph", "second": "./graph.py:graph"}, "env": {"COLOUR": "red"}}'
    )

    def is_served() -> bool:
        search = httpx.post(f"{server.url}/assistants/search", json={"graph_id": "second"})
        return search.is_success and bool(search.json())

    await until(is_served, "the new graph has its assistant")
    assert "Changed    langgraph.json\n" in server.output
    assert "Note       what has changed beside graphs and dependencies takes a new start" in server.output


@pytest.mark.slow
async def test_without_reload_only_what_did_not_load_is_tried_again(
    dev: Callable[..., DevServer], tmp_path: Path
) -> None:
    (tmp_path / "graph.py").write_text(GRAPH)
    (tmp_path / "words.py").write_text("WORD = \n")
    config = tmp_path / "langgraph.json"
    config.write_text('{"graphs": {"held": "./graph.py:graph"}}')
    with dev("--no-reload", config=config) as server:
        assert "held does not load: SyntaxError" in server.output
        (tmp_path / "words.py").write_text("WORD = 'mended'\n")
        await until(lambda: "Reloaded" in server.output, "it is tried again")
        (tmp_path / "words.py").write_text("WORD = 'not wanted'\n")
        async with get_client(url=server.url) as sdk:
            for _ in range(2):
                values: Any = await sdk.runs.wait(None, "held", input={"gate": str(tmp_path), "said": []})
                assert values["said"][0] == "first mended"
        assert server.output.count("Changed") == 1
