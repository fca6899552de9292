"""Loads the user's application from the place that `http.app` names."""

from pathlib import Path
from typing import Any

from lineshaft.config import modules
from lineshaft.config.http import HttpConfig
from lineshaft.errors import ConfigError


def load(config: HttpConfig) -> Any:
    """The application at `config.app`. Raises ConfigError of one line for whatever is wrong with it."""
    path = config.app or ""
    app = modules.load_attribute("http.app", path, [Path(folder) for folder in config.folders])
    if app is None:
        raise ConfigError(f"http.app: {path}: the module has no {path.rpartition(':')[2]!r}")
    if not hasattr(getattr(app, "router", None), "routes"):
        raise ConfigError(f"http.app: {path} is no Starlette or FastAPI application")
    return app
