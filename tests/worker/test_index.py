"""Finding items by meaning, inside graphs."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from langgraph.store.base import BaseStore, PutOp
from langgraph.store.memory import InMemoryStore
from pydantic import BaseModel

from lineshaft.config.langgraph_json import Config, load
from lineshaft.config.settings import from_environment
from lineshaft.config.store import IndexConfig
from lineshaft.errors import ConfigError, Fenced, Invalid, TooLarge
from lineshaft.redis.client import Client
from lineshaft_worker.index import MAX_TEXTS, Index, load_index
from lineshaft_worker.store import RedisStore
from tests.system.graphs import letters

GRAPHS = Path(letters.__file__).parent


def project(folder: Path = GRAPHS, **store: Any) -> Config:
    with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".json") as file:  # of this process alone
        json.dump({"graphs": {"g": "./steps.py:steps"}, "store": store}, file)
        file.flush()
        return load(Path(file.name))


def index(embed: str = "./letters.py:embed", *, dims: int = letters.DIMS, **fields: Any) -> Index:
    config = project(index={"embed": embed, "dims": dims, **fields})
    loaded = load_index(config, from_environment(config.env).langgraph_store.index)
    assert loaded is not None
    return loaded


@pytest.fixture
async def store(client: Client) -> RedisStore:
    return RedisStore(client, index(fields=["text", "more[*]"]))


async def found(store: BaseStore, *prefix: str, **options: Any) -> list[tuple[str, float | None]]:
    items = await store.asearch(prefix, **options)
    return [(item.key, item.score if item.score is None else round(item.score, 4)) for item in items]


async def test_the_nearest_comes_first_as_in_langgraphs_own_store(store: RedisStore) -> None:
    config = {"embed": letters.embed, "dims": letters.DIMS, "fields": ["text", "more[*]"]}
    reference = InMemoryStore(index=config)  # type: ignore[arg-type]  # a TypedDict
    for each in (store, reference):
        await each.aput(("a",), "none", {"other": "zebra"})
        await each.aput(("a",), "far", {"text": "xyz"})
        await each.aput(("a", "b"), "near", {"text": "abcd", "colour": "red"})
        await each.aput(("a",), "best of many", {"text": "qqq", "more": ["zzz", "abc"], "colour": "red"})
        await each.aput(("a",), "by another field", {"text": "zzz", "other": "abcc"}, index=["other"])
        await each.aput(("a",), "not at all", {"text": "abc"}, index=False)
        await each.aput(("elsewhere",), "x", {"text": "abc"})
    expected = [("best of many", 1.0), ("by another field", 0.9428), ("near", 0.866), ("far", 0.0)]
    assert await found(store, "a", query="cab", limit=4) == expected
    assert await found(reference, "a", query="cab", limit=4) == expected
    assert await found(store, "a", query="cab") == [*expected, ("none", None), ("not at all", None)]
    assert await found(store, "a", query="cab", limit=2, offset=1) == expected[1:3]
    assert await found(store, "a", query="cab", limit=2, offset=3) == [expected[3], ("none", None)]
    assert await found(store, "a", query="cab", filter={"colour": "red"}) == [expected[0], expected[2]]
    assert await found(store, "a", limit=1) == [("none", None)]
    assert await found(store, "a", query="cab", limit=0) == []


async def test_of_equal_items_the_first_comes_first_over_many_pages(store: RedisStore) -> None:
    many = [PutOp((f"n{i % 7}",), str(i), {"text": "ab" if i % 3 else "b"}) for i in range(1500)]
    await store.abatch(many)
    everything = [item.key for item in await store.asearch((), limit=5000)]
    nearest = [key for key in everything if int(key) % 3]
    assert [key for key, _ in await found(store, query="ba", limit=5000)][:1000] == nearest
    assert [key for key, _ in await found(store, query="ba", limit=10, offset=900)] == nearest[900:910]


async def test_what_is_overwritten_or_deleted_is_not_found_by_what_it_was(client: Client, store: RedisStore) -> None:
    await store.aput(("a",), "k", {"text": "abc"})
    await store.aput(("a",), "k", {"text": "xyz"})
    assert await found(store, query="abc") == [("k", 0.0)]
    await store.aput(("a",), "k", {"text": "abc"}, index=False)
    assert await found(store, query="abc") == [("k", None)]
    await store.aput(("a",), "k", {"text": "abc"})
    await store.adelete(("a",), "k")
    assert await client.redis.keys("ls:store:*") == []


async def test_an_item_that_expires_takes_its_vectors_along(client: Client, store: RedisStore) -> None:
    await store.aput(("a",), "k", {"text": "abc"}, ttl=0)
    assert await found(store, query="abc") == []
    assert await client.redis.keys("ls:store:*") == []


async def test_reading_by_meaning_starts_the_time_to_live_anew(client: Client, store: RedisStore) -> None:
    await store.aput(("a",), "k", {"text": "abc"}, ttl=10)
    key = client.keys.store_expiry()
    [(member, full)] = await client.redis.zrange(key, 0, -1, withscores=True)
    await client.redis.zadd(key, {member: full - 300_000})
    await found(store, query="abc", refresh_ttl=False)
    assert await client.redis.zscore(key, member) == full - 300_000
    await found(store, query="abc")
    assert await client.redis.zscore(key, member) >= full


class Note(BaseModel):
    text: str


async def test_a_model_is_found_by_its_fields(client: Client) -> None:
    store = RedisStore(client, index(fields=["note.text"]))
    await store.aput(("a",), "k", {"note": Note(text="abc")})
    assert await found(store, query="abc") == [("k", 1.0)]


async def test_a_lost_run_stores_no_vectors(client: Client, store: RedisStore) -> None:
    await client.redis.execute_command("HSET", client.keys.run("run"), "token", "2.other")
    with pytest.raises(Fenced):
        await store.for_run("run", "1.w").aput(("a",), "k", {"text": "abc"})
    assert await client.redis.keys("ls:store:*") == []


async def test_too_many_texts_are_refused_before_they_cost_anything(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["x" * (i + 1) for i in range(MAX_TEXTS + 1)]
    await store.aput(("a",), "k", {"more": texts[1:]})
    monkeypatch.setattr(letters, "vector", None)
    with pytest.raises(Invalid, match=f"limit: {MAX_TEXTS}"):
        await store.aput(("a",), "k", {"more": texts})


async def test_a_search_that_finds_too_much_says_so(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lineshaft.store.items._MAX_FOUND", 1000)
    for i in range(20):
        await store.aput(("a",), str(i), {"text": "abc" * 30})
    with pytest.raises(TooLarge, match="limit"):
        await found(store, query="abc", limit=20)
    assert len(await found(store, query="abc", limit=5)) == 5


async def test_embeddings_that_do_not_fit_the_configuration_say_so(client: Client) -> None:
    store = RedisStore(client, index("./letters.py:too_short"))
    with pytest.raises(ValueError, match=r"1 dimensions, and .* says 26"):
        await store.aput(("a",), "k", {"text": "abc"})


async def test_a_function_that_blocks_runs_in_a_thread(client: Client) -> None:
    store = RedisStore(client, index("tests.system.graphs.letters:embed_here", fields=["$"]))
    await store.aput(("a",), "k", {"text": "abc"})
    [(key, score)] = await found(store, query='{"text": "abc"}')
    assert (key, score) == ("k", 1.0)


@pytest.mark.parametrize(
    ("embed", "says"),
    [
        ("./nowhere.py:embed", "nowhere.py does not exist"),
        ("./letters.py:nothing", "nothing"),
        ("tests.nowhere:embed", "No module named 'tests.nowhere'"),
        ("embed", "expected"),
        ("openai:text-embedding-3-small", "langchain"),
    ],
)
def test_embeddings_that_do_not_load_are_named(embed: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_index(project(), IndexConfig(embed=embed, dims=3))


@pytest.mark.parametrize(
    "wrong", [{"dims": 3}, {"embed": "a:b"}, {"embed": "a:b", "dims": 0}, {"embed": "a", "dims": 9000}]
)
def test_a_section_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="store"):
        project(index=wrong)
