"""Key names: one function each, the same in Python and in Lua, none of which can be taken for another."""

import inspect

import arq.constants
import pytest

from lineshaft.redis.client import Client
from lineshaft.redis.keys import Keys
from lineshaft.redis.script import _key_functions

NAMES = sorted(name for name, _ in inspect.getmembers(Keys, inspect.isfunction) if name != "__init__")


def call(keys: Keys, name: str, letters: str = "abc") -> str:
    method = getattr(keys, name)
    key: str = method(*letters[: len(inspect.signature(method).parameters)])
    return key


@pytest.mark.parametrize("name", NAMES)
def test_a_key_begins_with_the_prefix_and_names_what_it_holds(name: str) -> None:
    key = call(Keys("mine:"), name)
    assert key.startswith(("mine:ls:", "mine:arq:"))
    documented = (getattr(Keys, name).__doc__ or "").split(",")[0].split(" ")[0]
    assert documented in ("STRING", "HASH", "LIST", "SET", "ZSET", "STREAM", "CHANNEL")


def test_no_two_functions_name_the_same_key() -> None:
    keys = [call(Keys(), name) for name in NAMES]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("prefix", ["", "mine:", "it's \\ odd:"])
async def test_lua_has_the_same_names(client: Client, prefix: str) -> None:
    keys = Keys(prefix)
    calls = []
    for name in NAMES:
        count = len(inspect.signature(getattr(keys, name)).parameters)
        calls.append(f"K.{name}({', '.join(repr(letter) for letter in 'abc'[:count])})")
    source = f"{_key_functions(keys, ' '.join(calls))} return {{ {', '.join(calls)} }}"
    answer = await client.command("EVAL", source, 0)
    assert [key.decode() for key in answer] == [call(keys, name) for name in NAMES]


def test_arqs_own_keys_have_arqs_names() -> None:
    keys = Keys()
    assert keys.job("r") == arq.constants.job_key_prefix + "r"
    assert keys.in_progress("r") == arq.constants.in_progress_key_prefix + "r"
    # Not arq's default queue: a default arq worker never takes a run.
    assert keys.queue("runs") != arq.constants.default_queue_name
