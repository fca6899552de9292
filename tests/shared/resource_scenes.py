"""Scenes (see `scenes.py`) of the scripts that keep assistants and threads."""

from lineshaft.access.api_keys import ApiKeys

from .scenes import Args, Scene, Stage, a, assistant

CHOICE = {"queue": "", "priority": ""}
NO_TTL = {"ttl_minutes": "", "ttl_strategy": ""}


async def new_version(stage: Stage) -> Args:
    return {
        "assistant_id": await assistant(stage), "expected_version": 1, "graph_id": "g", "doc": b'{"graph_id":"g"}',
        "request": "q", **CHOICE,
    }  # fmt: skip


async def old_version(stage: Stage) -> Args:
    await stage.script("assistant_update", **(await new_version(stage)))
    key = stage.client.keys.assistant_versions(await assistant(stage))
    stored = await stage.client.command("HGET", key, 1)
    return {"assistant_id": await assistant(stage), "version": 1, "stored": stored, "graph_id": "g", **CHOICE}


async def unwanted_assistant(stage: Stage) -> Args:
    return {"assistant_id": await assistant(stage), "limit": 10, "request": "q"}


async def used_key(stage: Stage) -> Args:
    (key, _) = await ApiKeys(stage.client).create("n", "read")
    return {"key_id": key.key_id}


async def thread_create(_: Stage) -> Args:
    return {
        "thread_id": "t", "metadata": b"{}", "leaves": "", "graph_id": "", "if_exists": "raise", "nonce": "n", **NO_TTL,
    }  # fmt: skip


async def thread_patch(stage: Stage) -> Args:
    return {
        "thread_id": stage.thread, "expected_version": 0, "metadata": b'{"a":1}', "leaves": "a=1", "graph_id": "",
        **NO_TTL,
    }  # fmt: skip


async def original(stage: Stage) -> Args:
    await stage.wrote()
    await stage.finish(stage.run, stage.token)
    await stage.script("message_post", thread_id=stage.thread, message=b"{}", most=1000, request="q")
    return {"source": stage.thread, "target": "t"}


async def copying(stage: Stage) -> Args:
    """A copy that has begun."""
    place = await original(stage)
    await stage.script("thread_copy_begin", **place)
    return place


async def copied(stage: Stage) -> Args:
    place = await copying(stage)
    await stage.script("thread_copy_part", **place, ns="", after="", limit=10)
    mark, _ = await stage.script("thread_copy_begin", **place)
    return {**place, "mark": mark, "state": b"{}"}


async def copied_part(stage: Stage) -> Args:
    return {**await copying(stage), "ns": "", "after": "", "limit": 10}


async def copied_slice(stage: Stage) -> Args:
    await stage.script("checkpoint_slice", thread_id=stage.thread, value_id="large", number=0, slice=b"s")
    return {**await copying(stage), "value_id": "large", "number": 0}


async def dropped_copy(stage: Stage) -> Args:
    await copied(stage)
    return {"target": "t", "age": 0}


async def history(stage: Stage) -> Args:
    args = await stage.wrote()
    for number in (2, 3):
        await stage.script("checkpoint_put", **{**args, "checkpoint_id": f"c{number}"})
    await stage.finish(stage.run, stage.token)
    return {"thread_id": stage.thread, "ns": "", "limit": 10}


RESOURCES: dict[str, Scene] = {
    # 0 is "it exists": the caller reads it and returns that.
    "assistant_create": Scene(
        a(lambda _: {"assistant_id": "a", "graph_id": "g", "doc": b"{}", "if_exists": "raise", "nonce": "n", **CHOICE}),
        again=0,
    ),
    "assistant_delete": Scene(unwanted_assistant),
    "assistant_restore": Scene(old_version),
    "assistant_update": Scene(new_version),
    "key_used": Scene(used_key),
    "rate_take": Scene(a(lambda _: {"bucket": "b", "capacity": 9, "period_ms": 60_000, "wanted": 1})),
    "thread_copy": Scene(copied),
    "thread_copy_begin": Scene(original),
    "thread_copy_drop": Scene(dropped_copy),
    "thread_copy_part": Scene(copied_part),
    "thread_copy_slice": Scene(copied_slice),
    "thread_create": Scene(thread_create, again=-1),  # as assistant_create
    "thread_delete": Scene(a(lambda stage: {"thread_id": stage.thread, "limit": 10, "request": "q"})),
    "thread_prune": Scene(history, again=0),  # how much there is left to do
    "thread_patch": Scene(thread_patch, again=0),  # read again: and what is read has the change
}
