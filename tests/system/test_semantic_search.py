"""Items that are found by meaning: stored and sought by clients through gateways that cannot embed, and by graphs."""

import json
from typing import Any

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.errors import APIStatusError

from tests.system.fleet import CONFIG, Fleet

STORE = CONFIG.with_name("store.json")


def section(**changes: Any) -> dict[str, str]:
    """How `lineshaft gateway` and `lineshaft worker` pass the section on."""
    index = json.loads(STORE.read_text())["store"]["index"]
    return {"LANGGRAPH_STORE": json.dumps({"index": {**index, **changes}})}


async def nearest(sdk: Any, query: str, **options: Any) -> list[tuple[str, float | None]]:
    found = await sdk.store.search_items(["notes"], query=query, **options)
    return [(item["key"], item["score"] and round(item["score"], 2)) for item in found["items"]]


async def test_clients_and_graphs_find_what_either_has_stored() -> None:
    with Fleet(env=section()) as fleet:
        fleet.gateway()
        fleet.worker(STORE)
        await fleet.ready()
        async with get_client(url=fleet.url) as sdk:
            await sdk.store.put_item(["notes"], "cab", {"text": "cab"})
            await sdk.store.put_item(["notes"], "silent", {"text": "abc"}, index=False)
            await sdk.store.put_item(["notes"], "by title", {"text": "zzz", "title": "bacon"}, index=["title"])
            thread = (await sdk.threads.create())["thread_id"]
            state: Any = await sdk.runs.wait(thread, "notes", input={"text": "acorn", "query": "bac"})
            assert state["nearest"] == "cab"
            assert await nearest(sdk, "corna") == [("acorn", 1.0), ("by title", 0.8), ("cab", 0.52), ("silent", None)]
            assert await nearest(sdk, "corna", limit=1, offset=1) == [("by title", 0.8)]
            assert await nearest(sdk, "corna", filter={"text": "cab"}) == [("cab", 0.52)]
            assert [key for key, _ in await nearest(sdk, "")] == ["cab", "silent", "by title", "acorn"]


async def test_without_embeddings_nothing_is_stored_half() -> None:
    with Fleet(env=section(embed="./letters.py:too_short")) as fleet:
        fleet.gateway()
        fleet.worker(STORE)
        await fleet.ready()
        async with get_client(url=fleet.url) as sdk:
            with pytest.raises(APIStatusError, match="1 dimensions") as caught:
                await sdk.store.put_item(["notes"], "k", {"text": "abc"})
            assert caught.value.response.status_code == 503
            with pytest.raises(APIStatusError, match="1 dimensions"):
                await nearest(sdk, "abc")
            assert await sdk.store.get_item(["notes"], "k") is None
            await sdk.store.put_item(["notes"], "k", {"text": "abc"}, index=False)
            assert [item["key"] for item in (await sdk.store.search_items(["notes"]))["items"]] == ["k"]
