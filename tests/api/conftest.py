"""Fixtures that tests of gateways share."""

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lineshaft.config.http import HttpConfig
from lineshaft.config.settings import Settings


@pytest.fixture
def project(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Settings of a gateway with an application of its own."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)

    def make(app: str = "starlette()", **http: Any) -> Settings:
        # Its own name: a module is loaded once in a process.
        file = tmp_path / f"webapp-{uuid.uuid4().hex}.py"
        file.write_text(f"from tests.api.custom_apps import *\napp = {app}\n")
        config = {"app": f"{file}:app", "folders": [str(tmp_path)], **http}
        return msgspec.structs.replace(settings, langgraph_http=msgspec.convert(config, HttpConfig))

    yield make
    for name in set(sys.modules) - before:
        if name.startswith("lineshaft_graph_"):
            del sys.modules[name]
