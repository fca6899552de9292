"""The section `http` of langgraph.json: what is taken, and what is refused."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lineshaft.config import langgraph_json as config
from lineshaft.config import settings
from lineshaft.config.http import HeaderRules
from lineshaft.errors import ConfigError


@pytest.mark.parametrize(
    ("rules", "chosen"),
    [
        ({}, set()),
        ({"includes": ["x-team"]}, {"x-team"}),
        ({"include": ["X-Team"]}, {"x-team"}),
        ({"includes": ["x-t*"]}, {"x-team", "x-trace-id", "x-trace-secret"}),
        ({"includes": ["x-t*"], "excludes": ["x-trace-*"]}, {"x-team"}),
        ({"includes": ["x-t*"], "exclude": ["*secret"]}, {"x-team", "x-trace-id"}),
        ({"includes": ["x.team"]}, set()),  # a dot is a dot
        ({"includes": ["*"], "excludes": ["x-*"]}, {"accept"}),  # secrets stay out
    ],
)
def test_headers_are_chosen_by_name(rules: dict[str, Any], chosen: set[str]) -> None:
    sent = {"accept", "authorization", "cookie", "x-api-key", "x-team", "x-trace-id", "x-trace-secret"}
    assert msgspec.convert(rules, HeaderRules).chosen(frozenset(sent)) == chosen


def load(folder: Path, http: Any) -> config.Config:
    file = folder / "langgraph.json"
    file.write_text(json.dumps({"graphs": {"a": "a:graph"}, "http": http}))
    return config.load(file)


def test_the_section_reaches_the_gateway_in_a_variable(tmp_path: Path) -> None:
    loaded = load(tmp_path, {"disable_store": True, "cors": {"allow_origins": ["https://app.example"]}})
    chosen = settings.from_environment(loaded.env).langgraph_http
    assert chosen.disable_store
    assert chosen.cors
    assert chosen.cors.allow_origins == ("https://app.example",)
    assert loaded.unused == []


@pytest.mark.parametrize(
    ("http", "why"),
    [
        ([], "Expected `object`, got `array`"),
        ({"cors": {"allow_origins": "*"}}, "Expected `array`, got `str` - at `$.cors.allow_origins`"),
        ({"cors": {"allow_origin_regex": "("}}, "allow_origin_regex: missing ), unterminated subpattern"),
        ({"mount_prefix": "agent/"}, "`$.mount_prefix`"),
        ({"mount_prefix": "/{x}"}, "`$.mount_prefix`"),
        ({"disable_store": 1}, "Expected `bool`, got `int` - at `$.disable_store`"),
        ({"middleware_order": "last"}, "Invalid enum value 'last' - at `$.middleware_order`"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_line(tmp_path: Path, http: Any, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, http)
    assert '"http": ' in str(caught.value)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_that_means_nothing_is_named(tmp_path: Path) -> None:
    """A misspelt `disable_...` would leave routes open that were to be closed."""
    assert load(tmp_path, {"disable_strore": True}).unused == [
        'langgraph.json: "http.disable_strore" is not a known key'
    ]
