"""How much of Redis the states of a thread take."""

from collections import defaultdict

from msgspec import Struct, field

from lineshaft.errors import NotFound
from lineshaft.redis.client import Client


class Amount(Struct, kw_only=True):
    """So many things, and their bytes as they are stored."""

    count: int = 0
    bytes: int = 0


class ChannelAmount(Struct, kw_only=True):
    """The values of one channel: neighbouring checkpoints share them."""

    versions: int = 0
    bytes: int = 0


class ChannelValues(Amount, kw_only=True):
    """The values of all channels."""

    by_channel: dict[str, ChannelAmount] = field(default_factory=lambda: defaultdict(ChannelAmount))


class ThreadStorage(Struct, kw_only=True):
    """What a thread's checkpoints take, those of its subgraphs too."""

    thread_id: str
    total_bytes: int = 0
    checkpoints: Amount = field(default_factory=Amount)
    channel_values: ChannelValues = field(default_factory=ChannelValues)
    pending_writes: Amount = field(default_factory=Amount)


async def measure(client: Client, thread_id: str) -> ThreadStorage:
    """Look at all checkpoints of a thread, some at a time. Raises NotFound."""
    found = ThreadStorage(thread_id=thread_id)
    if not await client.command("HEXISTS", client.keys.thread(thread_id), "created"):
        raise NotFound(f"Thread with ID {thread_id} not found")
    for ns in await client.members(client.keys.checkpoint_namespaces(thread_id)):
        sizes: dict[bytes, int] = {}
        before = b""
        while True:
            before, *sums, values = await client.script("thread_storage", thread_id=thread_id, ns=ns, before=before)
            for amount, (count, size) in ((found.checkpoints, sums[:2]), (found.pending_writes, sums[2:])):
                amount.count += count
                amount.bytes += size
            sizes.update(zip(values[::2], values[1::2], strict=True))
            if not before:
                break
        for name, size in sizes.items():
            if size:  # else the channel had no value
                channel = found.channel_values.by_channel[name.partition(b"\0")[0].decode()]
                channel.versions += 1
                channel.bytes += size
                found.channel_values.count += 1
                found.channel_values.bytes += size
    parts = (found.checkpoints, found.channel_values, found.pending_writes)
    found.total_bytes = sum(part.bytes for part in parts)
    return found
