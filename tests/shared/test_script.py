"""Loading the Lua scripts: what their headers declare, and what reaches Redis."""

import re
from importlib import resources

import pytest

from lineshaft.errors import Fenced
from lineshaft.redis.client import Client
from lineshaft.redis.keys import Keys
from lineshaft.redis.script import Script, _lua_string, load_all

SCRIPTS = sorted(load_all(Keys()))
LIBRARIES = resources.files("lineshaft").joinpath("lua", "lib").iterdir()
FUNCTION = re.compile(r"^local function (\w+)", re.MULTILINE)
FUNCTIONS = {name for library in LIBRARIES for name in FUNCTION.findall(library.read_text())}


def test_the_header_names_the_arguments() -> None:
    script = Script("run_append", Keys())
    assert script.args == ["run_id", "token", "batch"]
    assert script.rest == "entries"
    assert script.source.startswith("#!lua flags=allow-oom\n")
    assert "local run_id = ARGV[1] local token = ARGV[2] local batch = ARGV[3]" in script.source


def test_arguments_are_encoded_in_their_order() -> None:
    script = Script("run_append", Keys())
    encoded = script.encode({"entries": ["a", b"b", 1], "batch": 2, "token": None, "run_id": True})
    assert encoded == [1, b"", 2, "a", b"b", 1]


@pytest.mark.parametrize(
    "args", [{}, {"queue": "q", "more": 1}, {"queues": "q"}, {"queue": {}}, {"queue": ["a"]}, {"queue": object()}]
)
def test_arguments_that_do_not_fit_are_refused(args: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="script"):
        Script("wake", Keys()).encode(args)


def test_a_prefix_makes_another_script() -> None:
    assert Script("wake", Keys("a:")).sha != Script("wake", Keys("b:")).sha


def test_quotes_in_a_prefix_stay_text() -> None:
    assert _lua_string("a'b\\c") == r"'a\'b\\c'"


@pytest.mark.parametrize("name", SCRIPTS)
async def test_redis_compiles_it(client: Client, name: str) -> None:
    script = client.scripts[name]
    assert await client.command("SCRIPT", "LOAD", script.source) == script.sha.encode()


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_it_calls_of_the_libraries_is_above_it(name: str) -> None:
    """Lua would say so only when it comes to the call."""
    source = re.sub(r"--[^\n]*|'[^'\n]*'", "", Script(name, Keys()).source)
    for function in FUNCTIONS:
        first = re.search(rf"(?:local function )?(?<![.\w]){function}\b", source)
        assert first is None or first[0].startswith("local function"), function


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_uses_every_argument_it_declares(name: str) -> None:
    script = Script(name, Keys())
    header, _, body = script.source.rpartition("-- ARGV ")[2].partition("\n")
    assert header
    unused = [arg for arg in [*script.args, *([script.rest] if script.rest else [])] if arg not in body]
    assert unused == []


def test_what_a_running_run_needs_is_allowed_in_a_full_redis() -> None:
    needed = {
        "run_append", "run_cancel", "run_claim", "run_finish", "run_hand_back", "worker_holdings", "worker_release",
        "worker_renew", "checkpoint_put", "checkpoint_put_writes", "checkpoint_rollback", "blob_slice", "state_unlock",
        "state_slice", "wake",
    }  # fmt: skip
    flags = {name: script.source.partition("\n")[0] for name, script in load_all(Keys()).items()}
    assert {name for name in needed if flags[name] != "#!lua flags=allow-oom"} == set()
    assert flags["run_enqueue"] == flags["thread_create"] == "#!lua"


def test_a_script_calls_another_as_a_function() -> None:
    calling, called = Script("run_batch", Keys()), Script("run_enqueue", Keys())
    assert f"local function run_enqueue({', '.join(called.args)}, input)\n" in calling.source
    assert calling.source.count("-- The time of this script") == 1


async def test_a_refusal_of_one_word_is_known(client: Client) -> None:
    with pytest.raises(Fenced):
        await client.script("run_append", run_id="r", token="t", batch=1, entries=[])
