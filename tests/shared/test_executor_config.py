"""The section `executor` of langgraph.json: which queues there are, and one clear line for each mistake."""

import json
from pathlib import Path
from typing import Any

import pytest

from lineshaft.config.langgraph_json import Config, load
from lineshaft.config.settings import from_environment
from lineshaft.errors import ConfigError

GRAPHS = {"chat": "./a.py:graph", "digest": "./b.py:graph"}


def loaded(folder: Path, executor: Any) -> Config:
    file = folder / "langgraph.json"
    file.write_text(json.dumps({"graphs": GRAPHS, "executor": executor}))
    return load(file)


def test_queues_reach_each_process_by_their_variable(tmp_path: Path) -> None:
    config = loaded(tmp_path, {"queues": {"interactive": {"graphs": ["chat"]}, "batch": {}}})
    assert config.unused == []
    executor = from_environment(config.env).lineshaft_executor
    assert executor.names == ["batch", "interactive", "runs"]
    assert executor.graphs == {"chat": "interactive"}


@pytest.mark.parametrize(
    ("queues", "why"),
    [
        ({"overflow": {}}, "'overflow' is a queue of the server's own"),
        ({"Big Ones": {}}, "'Big Ones' cannot be a queue's name"),
        ({"a": {"graphs": ["chat"]}, "b": {"graphs": ["chat"]}}, "graph 'chat' stands in 'a' and in 'b'"),
        ({"a": {"graphs": ["chatt"]}}, "there is no graph 'chatt' among \"graphs\""),
        ({"a": {"graph": "chat"}}, "contains unknown field `graph`"),
        (["a"], "Expected `object`, got `array`"),
    ],
)
def test_a_mistake_is_told_in_one_line(tmp_path: Path, queues: Any, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, {"queues": queues})
    assert why in str(caught.value)
    assert '"executor":' in str(caught.value)


def test_the_variable_alone_is_checked_too() -> None:
    with pytest.raises(ConfigError, match=r"LINESHAFT_EXECUTOR=.*cannot be a queue's name"):
        from_environment({"LINESHAFT_EXECUTOR": '{"queues": {"a b": {}}}'})
