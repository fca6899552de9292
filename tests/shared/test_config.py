"""langgraph.json as users have it, and one clear line for each way to get it wrong."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lineshaft.config.langgraph_json import Config, load, unused_environment
from lineshaft.config.settings import from_environment
from lineshaft.errors import ConfigError
from lineshaft.threads.ttl import Ttl

GRAPHS = {"agent": "./agent.py:graph"}


DOTENV = """
# a comment

PLAIN=value
export EXPORTED=yes
  SPACED =  two words\x20\x20
COMMENTED=value # not this
HASH=a#b
EMPTY=
EMPTY_COMMENTED= # nothing
DOUBLE="a # b\\n\\"c\\"" # but this
SINGLE='a\\n#b'
KEY="-----BEGIN
middle
-----END"
URL=https://host/?a=b&c=d
LAST=1"""


def write(folder: Path, document: Any) -> Path:
    file = folder / "langgraph.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return file


def loaded(folder: Path, **document: Any) -> Config:
    return load(write(folder, {"graphs": GRAPHS, **document}))


def refusal(folder: Path, document: Any) -> str:
    file = write(folder, document)
    with pytest.raises(ConfigError) as caught:
        load(file)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(file)) or "env" in text
    return text.removeprefix(str(file))


def test_a_graph_is_an_attribute_of_a_file_that_starts_at_the_config_folder(tmp_path: Path) -> None:
    config = loaded(tmp_path, graphs={"a": "./graphs/a.py:graph", "b": "b.py:make", "up": "../up.py:graph"})
    assert config.root == tmp_path
    assert [spec.file for spec in config.graphs.values()] == [
        tmp_path / "graphs/a.py",
        tmp_path / "b.py",
        tmp_path.parent / "up.py",
    ]
    assert [spec.attribute for spec in config.graphs.values()] == ["graph", "make", "graph"]
    assert config.graphs["a"].description is None


def test_a_graph_may_be_named_by_module_and_have_a_description(tmp_path: Path) -> None:
    config = loaded(
        tmp_path, graphs={"m": "pkg.agents:graph", "d": {"path": "./d.py:graph", "description": "What it does"}}
    )
    assert (config.graphs["m"].module, config.graphs["m"].file) == ("pkg.agents", None)
    assert config.graphs["d"].file == tmp_path / "d.py"
    assert config.graphs["d"].description == "What it does"


@pytest.mark.parametrize(
    "value",
    [
        "agent.py",
        "./agent.py:",
        ":graph",
        "agent.py:not a name",
        "my agent:graph",
        1,
        None,
        ["a.py:graph"],
        {},
        {"path": 1},
    ],
)
def test_a_graph_of_another_form_is_refused_by_name(tmp_path: Path, value: Any) -> None:
    assert "graph 'agent': " in refusal(tmp_path, {"graphs": {"agent": value}})


def test_a_javascript_graph_is_refused_with_the_reason(tmp_path: Path) -> None:
    assert "JavaScript" in refusal(tmp_path, {"graphs": {"agent": "./agent.ts:graph"}})


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.json does not exist"):
        load(tmp_path / "nowhere.json")


def test_a_folder_means_the_file_in_it(tmp_path: Path) -> None:
    write(tmp_path, {"graphs": GRAPHS})
    assert load(tmp_path).file == tmp_path / "langgraph.json"


def test_without_a_path_it_is_the_one_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"graphs": GRAPHS})
    monkeypatch.chdir(tmp_path)
    assert load().root == tmp_path


def test_a_json_error_has_its_line_and_column(tmp_path: Path) -> None:
    assert refusal(tmp_path, '{\n  "graphs": oops\n}').startswith(", line 2, column 13: ")


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ([], "expected an object, got a list"),
        ({}, '"graphs" is missing or empty'),
        ({"graphs": {}}, '"graphs" is missing or empty'),
        ({"graphs": ["a.py:graph"]}, '"graphs" must be an object, got a list'),
        ({"graphs": GRAPHS, "dependencies": "."}, '"dependencies" must be a list of strings'),
        ({"graphs": GRAPHS, "dependencies": ["./gone"]}, "dependency './gone' is not a folder"),
        ({"graphs": GRAPHS, "env": ".env"}, "which does not exist"),
        ({"graphs": GRAPHS, "env": 3}, '"env" must be an object or the path of a .env file, got a number'),
        ({"graphs": GRAPHS, "env": {"A": {}}}, '"env": A must be a string, got an object'),
        ({"graphs": GRAPHS, "webhooks": []}, '"webhooks": Expected `object`, got `array`'),
        (
            {"graphs": GRAPHS, "webhooks": {"url": {"disable_privat_ips": True}}},
            '"webhooks": Object contains unknown field `disable_privat_ips` - at `$.url`',
        ),
        ({"graphs": GRAPHS, "store": ["path"]}, '"store": Expected `object`, got `array`'),
        ({"graphs": GRAPHS, "store": {"ttl": {"default_ttl": 0}}}, "Expected `float` > 0.0 - at `$.ttl.default_ttl`"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, document: Any, says: str) -> None:
    assert says in refusal(tmp_path, document)


def test_local_dependencies_go_on_the_path_and_packages_do_not(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "libs").mkdir()
    config = loaded(tmp_path, dependencies=["./src", "langchain_openai>=1", ".", "libs"])
    assert config.dependencies == (tmp_path / "src", tmp_path, tmp_path / "libs")


def test_the_config_folder_is_on_the_path_in_any_case(tmp_path: Path) -> None:
    assert loaded(tmp_path).dependencies == (tmp_path,)


def test_env_is_an_object_or_a_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\n")
    assert loaded(tmp_path, env={"A": "x", "N": 3}).env == {"A": "x", "N": "3"}
    assert loaded(tmp_path, env=".env").env == {"A": "1"}
    assert loaded(tmp_path, env="./.env").env == {"A": "1"}


def test_an_env_file_has_quotes_comments_and_exports(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(DOTENV)
    assert loaded(tmp_path, env=".env").env == {
        "PLAIN": "value",
        "EXPORTED": "yes",
        "SPACED": "two words",
        "COMMENTED": "value",
        "HASH": "a#b",
        "EMPTY": "",
        "EMPTY_COMMENTED": "",
        "DOUBLE": 'a # b\n"c"',
        "SINGLE": "a\\n#b",
        "KEY": "-----BEGIN\nmiddle\n-----END",
        "URL": "https://host/?a=b&c=d",
        "LAST": "1",
    }


def test_a_line_that_is_no_assignment_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\r\n\r\nwhat is this\r\n")
    assert ".env, line 3: expected KEY=VALUE" in refusal(tmp_path, {"graphs": GRAPHS, "env": ".env"})


def test_the_section_on_webhooks_reaches_each_process_by_its_variable(tmp_path: Path) -> None:
    config = loaded(tmp_path, webhooks={"url": {"disable_loopback": False}}, env={"A": "x"})
    assert config.unused == []
    webhooks = from_environment(config.env).langgraph_webhooks
    assert (webhooks.url.disable_loopback, webhooks.url.require_https) == (False, True)
    own = loaded(tmp_path, webhooks={}, env={"LANGGRAPH_WEBHOOKS": '{"headers": {"a": "b"}}'})
    assert from_environment(own.env).langgraph_webhooks.headers == {"a": "b"}
    with pytest.raises(ConfigError, match="LANGGRAPH_WEBHOOKS='nonsense': JSON is malformed"):
        from_environment({"LANGGRAPH_WEBHOOKS": "nonsense"})


def test_keys_without_effect_get_a_line_each_and_stay_readable(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        **{"$schema": "x", "python_version": "3.12", "auth": {"path": "./auth.py:auth"}, "scheduler": {"queues": 2}},
    )
    assert config.unused_keys == ("python_version", "scheduler")
    assert config.unused == [
        'langgraph.json: "python_version" only matters when an image is built',
        'langgraph.json: "scheduler" is not a known key',
    ]
    assert config.sections == {"auth": {"path": "./auth.py:auth"}}


def test_variables_of_the_official_server_without_effect_get_a_line_each() -> None:
    lines = unused_environment(
        {
            "REDIS_URI": "redis://x",
            "DATABASE_URI": "x",
            "GRPC_CLIENT_POOL": "1",
            "CORS_CONFIG": "",
            "HOME": "/",
            "PATH": "/",
        }
    )
    assert lines == [
        "DATABASE_URI is set, but has no effect in this version of Lineshaft",
        "GRPC_CLIENT_POOL is set, but has no effect in this version of Lineshaft",
    ]


def test_reading_a_config_imports_no_graph_library() -> None:
    check = (
        "import sys, lineshaft.config.langgraph_json; "
        "sys.exit(any(m.split('.')[0] in ('langgraph', 'aiohttp') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_the_section_on_the_store_reaches_each_process_by_its_variable(tmp_path: Path) -> None:
    config = loaded(tmp_path, store={"ttl": {"default_ttl": 5, "sweep_interval_minutes": 60}, "path": "./a.py:store"})
    assert config.unused == ['langgraph.json: "store.path" has no effect in this version of Lineshaft']
    ttl = from_environment(config.env).langgraph_store.ttl
    assert (ttl.default_ttl, ttl.refresh_on_read) == (5, True)


def test_how_long_threads_are_kept(tmp_path: Path) -> None:
    config = loaded(tmp_path, checkpointer={"ttl": {"default_ttl": 60, "sweep_limit": 10}, "path": "./c.py:c"})
    assert config.unused == ['langgraph.json: "checkpointer.path" has no effect in this version of Lineshaft']
    assert from_environment(config.env).thread_ttl == Ttl(ttl=60, strategy="delete")
    other = config.env | {"LANGGRAPH_THREAD_TTL": '{"strategy": "keep_latest", "default_ttl": 5}'}
    assert from_environment(other).thread_ttl == Ttl(ttl=5, strategy="keep_latest")
    assert from_environment({}).thread_ttl is None
    with pytest.raises(ConfigError, match='"checkpointer": Expected `float` > 0'):
        loaded(tmp_path, checkpointer={"ttl": {"default_ttl": 0}})


def test_a_broken_section_in_a_variable_is_named_without_its_values() -> None:
    for text in (
        '{"headers": {"x": "a secret of some length, as they are"',
        '{"headers": "a secret of some length, so long"}',
    ):
        with pytest.raises(ConfigError, match="LANGGRAPH_WEBHOOKS") as caught:
            from_environment({"LANGGRAPH_WEBHOOKS": text})
        assert "secret" not in str(caught.value)
