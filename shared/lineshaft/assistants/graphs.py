"""What is known about each graph: workers publish a descriptor, everybody else reads that and imports no graph."""

from collections.abc import Iterable, Sequence

import msgspec

from lineshaft.redis.client import Client

_NULL = msgspec.Raw(b"null")


class GraphSchemas(msgspec.Struct, frozen=True, kw_only=True):
    """What a graph or subgraph takes and gives: JSON Schema documents, or null where it has none."""

    input_schema: msgspec.Raw = _NULL
    output_schema: msgspec.Raw = _NULL
    state_schema: msgspec.Raw = _NULL
    config_schema: msgspec.Raw = _NULL
    context_schema: msgspec.Raw = _NULL


class GraphDescriptor(GraphSchemas, frozen=True, kw_only=True):
    """One graph as a worker loaded it."""

    graph_id: str
    revision: str  # changes with the graph's source file
    name: str  # of its system assistant
    description: str | None = None
    has_messages: bool = False  # it has a `messages` channel, so messages posted to a thread can be given to it
    is_factory: bool = False  # it is built anew for each use, so another configuration may give another graph
    # {"nodes": [...], "edges": [...]}: the graph, then with one level of subgraphs opened, and so on; empty if it
    # cannot be drawn.
    drawings: list[msgspec.Raw] = []
    subgraphs: dict[str, GraphSchemas] = {}  # by namespace: "child", and "child|grandchild" for what is in it
    error: str | None = None  # why it does not load


class GraphRegistry:
    """The published descriptors, in Redis. While workers of several revisions live, the newest revision is served."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def publish(self, descriptor: GraphDescriptor, worker: str) -> bool:
        """Say what `worker` has; whether that is what is served from now on."""
        chosen = await self._client.script(
            "graph_publish",
            graph_id=descriptor.graph_id,
            descriptor=msgspec.json.encode(descriptor),
            revision=descriptor.revision,
            error=descriptor.error,
            worker=worker,
        )
        return bool(chosen)

    async def get(self, graph_id: str) -> GraphDescriptor | None:
        """The descriptor of one graph, None when no worker ever published it."""
        return next(iter(await self._read([graph_id])), None)

    async def list(self) -> Sequence[GraphDescriptor]:
        """All descriptors by graph id."""
        client = self._client
        ids = await client.patiently(
            lambda: client.redis.execute_command("SMEMBERS", client.keys.graphs()), "names of graphs"
        )
        return await self._read(sorted(graph_id.decode() for graph_id in ids))

    async def _read(self, graph_ids: Iterable[str]) -> Sequence[GraphDescriptor]:
        client = self._client

        async def read() -> Sequence[bytes | None]:
            pipe = client.redis.pipeline(transaction=False)
            for graph_id in graph_ids:
                pipe.hget(client.keys.graph(graph_id), "descriptor")
            return await pipe.execute()

        found = await client.patiently(read, "graph descriptors")
        return [msgspec.json.decode(document, type=GraphDescriptor) for document in found if document]
