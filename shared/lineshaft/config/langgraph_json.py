"""langgraph.json: which graphs to serve, what goes on `sys.path`, which environment they want.

Reads the file as users of the official server have it. What it names is not imported here (workers do that), so a
mistake in a graph is a worker's matter and a mistake in the file is a ConfigError of one line.
"""

import importlib.util
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from lineshaft.errors import ConfigError
from lineshaft.threads.ttl import CheckpointerConfig
from lineshaft.webhooks.policy import WebhookConfig

from .auth import AuthConfig
from .dotenv import read_dotenv
from .environment import unused_environment
from .executor import ExecutorConfig
from .http import HttpConfig
from .store import StoreConfig

__all__ = ["Config", "GraphSpec", "load", "unused_environment"]

NAME = "langgraph.json"

# Keys that this version acts on. Everything else in the file is reported by `Config.unused`.
_USED = frozenset(
    {"$schema", "auth", "checkpointer", "dependencies", "env", "executor", "graphs", "http", "store", "webhooks"}
)
# Keys of the official schema that steer an image build; a running server has no use for them.
_IMAGE_KEYS = frozenset(
    {
        "api_version", "base_image", "dockerfile_lines", "image_distro", "keep_pkg_tools", "node_version",
        "pip_config_file", "pip_installer", "python_version", "source",
    }
)  # fmt: skip
# Keys of the official schema that change how a server behaves.
_SERVER_KEYS = frozenset(
    {
        "auth", "checkpointer", "checkpointer.backend", "checkpointer.path", "checkpointer.serde", "checkpointer.uri",
        "encryption", "http", "priority", "store", "store.path", "ui", "ui_config", "webhooks",
    }
)  # fmt: skip
# Sections that are checked here, and reach every process in a variable, as in the official server's images.
_VARIABLES: dict[str, type[msgspec.Struct]] = {
    "auth": AuthConfig,
    "checkpointer": CheckpointerConfig,
    "executor": ExecutorConfig,
    "http": HttpConfig,
    "store": StoreConfig,
    "webhooks": WebhookConfig,
}

_OURS = frozenset({"executor"})  # no section of the official server's
# The key of a section that names code which the gateway loads.
_CODE = {"auth": "path", "http": "app"}


class GraphSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Where one graph is found: the attribute of a file, or of an importable module."""

    graph_id: str
    attribute: str
    file: Path | None = None
    module: str | None = None
    description: str | None = None


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """One langgraph.json, checked, its paths made absolute."""

    file: Path
    graphs: dict[str, GraphSpec]
    dependencies: tuple[Path, ...]  # folders for `sys.path`, the file's own one always among them
    env: dict[str, str]
    unused_keys: tuple[str, ...]
    sections: dict[str, dict[str, Any]]  # auth, checkpointer, http, store, webhooks... as written

    @property
    def root(self) -> Path:
        """The folder that relative paths in the file start at."""
        return self.file.parent

    @property
    def unused(self) -> list[str]:
        """One line for the operator about each key that has no effect."""
        return [f"{self.file.name}: {_why_unused(key)}" for key in self.unused_keys]


def load(path: Path | None = None, *, with_env: bool = True) -> Config:
    """Read `path`, else ./langgraph.json, else the demo's. Raises ConfigError with one line that says what to mend.

    Without `with_env` the file that `env` may name is not read and need not exist, as where images are built.
    """
    file = (path or _default()).absolute()
    if file.is_dir():
        file = file / NAME
    document = _read(file)
    if not isinstance(document, dict):
        raise ConfigError(f"{file}: expected an object, got {_kind(document)}")
    graphs = document.get("graphs")
    if not graphs:
        raise ConfigError(
            f'{file}: "graphs" is missing or empty: name at least one, as in {{"agent": "./agent.py:graph"}}'
        )
    if not isinstance(graphs, dict):
        raise ConfigError(f'{file}: "graphs" must be an object, got {_kind(graphs)}')
    return Config(
        file=file,
        graphs={graph_id: _graph(file, graph_id, value) for graph_id, value in graphs.items()},
        dependencies=_dependencies(file, document.get("dependencies", [])),
        env={**_sections(file, document), **(_env(file, document.get("env", {})) if with_env else {})},
        unused_keys=(
            *(key for key in document if key not in _USED),
            *(["store.path"] if "path" in (document.get("store") or {}) else []),
            *(f"checkpointer.{key}" for key in document.get("checkpointer") or {} if key != "ttl"),
            *(f"http.{key}" for key in document.get("http") or {} if key not in HttpConfig.__struct_fields__),
        ),
        sections={key: value for key, value in document.items() if key in _SERVER_KEYS and isinstance(value, dict)},
    )


def _default() -> Path:
    here = Path(NAME)
    if here.exists():
        return here
    demo = importlib.util.find_spec("lineshaft_demo")  # found, not imported: it would import langgraph
    for folder in (demo.submodule_search_locations or []) if demo else []:
        if (found := Path(folder) / NAME).exists():
            return found
    raise ConfigError(f"{here.absolute()} does not exist: go to your project's folder or pass --config")


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"{file} does not exist") from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"{file}, line {error.lineno}, column {error.colno}: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 (byte {error.start})") from None
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None


def _graph(file: Path, graph_id: str, value: Any) -> GraphSpec:
    def wrong(why: str) -> ConfigError:
        return ConfigError(f"{file}: graph {graph_id!r}: {why}")

    description = None
    if isinstance(value, dict):
        description, value = value.get("description"), value.get("path")
        if description is not None and not isinstance(description, str):
            raise wrong(f'"description" must be a string, got {_kind(description)}')
    if not isinstance(value, str):
        raise wrong('expected "path.py:attribute", "package.module:attribute" or {"path": ..., "description": ...}')
    place, colon, attribute = value.rpartition(":")
    if not graph_id or not colon or not place or not attribute.isidentifier():
        raise wrong(f'{value!r} is not of the form "path.py:attribute" or "package.module:attribute"')
    if place.endswith(".py"):
        source = Path(file.parent, place).resolve()
        return GraphSpec(graph_id=graph_id, attribute=attribute, file=source, description=description)
    if re.search(r"\.[cm]?[jt]sx?$", place):
        raise wrong(f"{value!r} is JavaScript; only Python graphs can be served")
    if not all(part.isidentifier() for part in place.split(".")):
        raise wrong(f"{place!r} is neither a .py file nor the name of a module")
    return GraphSpec(graph_id=graph_id, attribute=attribute, module=place, description=description)


def _dependencies(file: Path, value: Any) -> tuple[Path, ...]:
    """The local folders among the dependencies; the names of packages are for whoever builds an image."""
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise ConfigError(f'{file}: "dependencies" must be a list of strings')
    folders = []
    for entry in value:
        folder = Path(file.parent, entry).resolve()
        if folder.is_dir():
            folders.append(folder)
        elif entry.startswith((".", "/")):
            raise ConfigError(f"{file}: dependency {entry!r} is not a folder")
    return tuple(dict.fromkeys([*folders, file.parent.resolve()]))


def _env(file: Path, value: Any) -> dict[str, str]:
    if isinstance(value, str):
        if not value:
            return {}
        dotenv = Path(file.parent, value)
        if not dotenv.is_file():
            raise ConfigError(f'{file}: "env" names {dotenv}, which does not exist')
        return read_dotenv(dotenv)
    if not isinstance(value, dict):
        raise ConfigError(f'{file}: "env" must be an object or the path of a .env file, got {_kind(value)}')
    for name, text in value.items():
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            raise ConfigError(f'{file}: "env": {name} must be a string, got {_kind(text)}')
    return {name: str(text) for name, text in value.items()}


def _sections(file: Path, document: dict[str, Any]) -> dict[str, str]:
    """The variables that stand for sections."""
    variables = {}
    for name, kind in _VARIABLES.items():
        if (section := document.get(name)) is None:
            continue
        try:
            checked = msgspec.convert(section, kind)
        except msgspec.ValidationError as error:
            raise ConfigError(f'{file}: "{name}": {error}') from None
        if isinstance(checked, ExecutorConfig) and (lost := sorted(checked.named_graphs - document["graphs"].keys())):
            raise ConfigError(f'{file}: "{name}": there is no graph {lost[0]!r} among "graphs"')
        if (key := _CODE.get(name)) and section.get(key):
            folders = _dependencies(file, document.get("dependencies", []))
            section = {**section, key: _located(file, section[key]), "folders": [str(folder) for folder in folders]}
        variables[_variable(name)] = json.dumps(section)
    return variables


def _variable(section: str) -> str:
    return f"LINESHAFT_{section.upper()}" if section in _OURS else f"LANGGRAPH_{section.upper()}"


def _located(file: Path, code: str) -> str:
    """`path.py:attribute` with an absolute path, for processes that do not know the file; a module stays as it is."""
    place, colon, attribute = code.rpartition(":")
    return f"{Path(file.parent, place).resolve()}:{attribute}" if colon and place.endswith(".py") else code


def _kind(value: Any) -> str:
    names: Mapping[type, str] = {dict: "an object", list: "a list", str: "a string", bool: "true or false"}
    return "null" if value is None else names.get(type(value), "a number")


def _why_unused(key: str) -> str:
    if key in _IMAGE_KEYS:
        return f'"{key}" only matters when an image is built'
    if key in _SERVER_KEYS:
        return f'"{key}" has no effect in this version of Lineshaft'
    return f'"{key}" is not a known key'
