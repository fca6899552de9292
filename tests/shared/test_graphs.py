"""Graph descriptors: published by workers, read by everybody."""

import msgspec

from lineshaft.assistants.graphs import GraphDescriptor, GraphRegistry
from lineshaft.redis.client import Client


def described(graph_id: str, **fields: object) -> GraphDescriptor:
    return msgspec.convert({"graph_id": graph_id, "revision": "r1", "name": graph_id, **fields}, GraphDescriptor)


async def field(client: Client, name: str) -> bytes | None:
    found: bytes | None = await client.redis.execute_command("HGET", client.keys.graph("chat"), name)
    return found


async def test_what_was_published_is_read_back(client: Client) -> None:
    registry = GraphRegistry(client)
    schema = msgspec.Raw(b'{"type":"object","maximum":18446744073709551617,"required":[]}')
    descriptor = GraphDescriptor(
        graph_id="chat",
        revision="r1",
        name="Chat",
        description="Talks",
        has_messages=True,
        input_schema=schema,
    )
    await registry.publish(descriptor, "w1")
    found = await registry.get("chat")
    assert found == descriptor
    assert bytes(found.input_schema) == bytes(schema)
    assert bytes(found.output_schema) == b"null"


async def test_a_graph_nobody_published_is_none(client: Client) -> None:
    registry = GraphRegistry(client)
    assert await registry.get("chat") is None
    assert await registry.list() == []


async def test_the_list_is_in_order_of_ids(client: Client) -> None:
    registry = GraphRegistry(client)
    for graph_id in ("b", "c", "a"):
        await registry.publish(described(graph_id), "w1")
    assert [descriptor.graph_id for descriptor in await registry.list()] == ["a", "b", "c"]


async def test_the_last_one_published_counts(client: Client) -> None:
    registry = GraphRegistry(client)
    await registry.publish(described("chat"), "w1")
    await registry.publish(described("chat", revision="r2", name="Chat 2"), "w2")
    assert await registry.list() == [described("chat", revision="r2", name="Chat 2")]
    assert await field(client, "revision") == b"r2"


async def test_an_error_stands_beside_the_descriptor_until_the_graph_loads(client: Client) -> None:
    registry = GraphRegistry(client)
    error = "ImportError: no such thing (agent.py, line 3)"
    await registry.publish(described("chat", error=error), "w1")
    assert (await registry.list())[0].error == error
    assert await field(client, "error") == error.encode()
    await registry.publish(described("chat"), "w1")
    assert (await registry.list())[0].error is None
    assert await field(client, "error") is None


class Fleet:
    """Workers of several revisions of one graph."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._registry = GraphRegistry(client)

    async def start(self, worker: str, revision: str) -> bool:
        await self._client.script(
            "worker_renew", worker=worker, begin=True, lease=10_000, max_crashes=3, info=["host", "h"]
        )
        return await self._registry.publish(described("chat", revision=revision), worker)

    async def stop(self, worker: str) -> None:
        await self._client.script("worker_release", worker=worker, crashed=False, max_crashes=3)

    async def served(self) -> str:
        found = await self._registry.get("chat")
        assert found
        return found.revision


async def test_in_a_rolling_deploy_the_newest_living_revision_is_served(client: Client) -> None:
    fleet = Fleet(client)
    assert await fleet.start("a1", "old")
    assert await fleet.start("a2", "old")
    # Two publications in one millisecond would be equally new.
    await client.command("HSET", client.keys.graph("chat"), "first:old", 1)
    assert await fleet.start("b1", "new")
    # One of the old ones is restarted in the middle of it: that does not bring the old revision back.
    await fleet.stop("a1")
    assert not await fleet.start("a1", "old")
    assert await fleet.served() == "new"
    # The deploy is taken back: the new ones go.
    await fleet.stop("b1")
    assert await fleet.served() == "old"
    for worker in ("a1", "a2"):
        await fleet.stop(worker)
    # Nobody has it: what was served last still tells clients what there is.
    assert await fleet.served() == "old"
    assert await fleet.start("c1", "third")
    kept = {name.decode() for name in await client.command("HKEYS", client.keys.graph("chat"))}
    assert kept == {"descriptor", "revision", "first:third", "doc:third"}
    await fleet.stop("c1")


async def test_a_revision_that_does_not_load_gives_way_to_one_that_does_when_its_workers_go(client: Client) -> None:
    fleet = Fleet(client)
    await fleet.start("a1", "old")
    await client.command("HSET", client.keys.graph("chat"), "first:old", 1)
    await client.script("worker_renew", worker="b1", begin=True, lease=10_000, max_crashes=3, info=["host", "h"])
    await GraphRegistry(client).publish(described("chat", revision="new", error="SyntaxError"), "b1")
    assert await field(client, "error") == b"SyntaxError"
    await fleet.stop("b1")
    assert await field(client, "error") is None
    assert await fleet.served() == "old"
    await fleet.stop("a1")


async def test_a_worker_that_has_lost_its_lease_leaves_no_record_behind(client: Client) -> None:
    await GraphRegistry(client).publish(described("chat"), "gone")
    assert not await client.command("EXISTS", client.keys.worker("gone"))
