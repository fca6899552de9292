"""Graph descriptors: published by workers, read by everybody."""

import msgspec

from lineshaft.graphs import GraphDescriptor, GraphRegistry
from lineshaft.redis import Client


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
    assert await field(client, "worker") == b"w2"
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
