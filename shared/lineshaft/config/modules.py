"""The user's modules: loads the one that defines a graph, and says where in the user's code a failure lies.

A graph's file gets a stable name in `sys.modules`, because checkpoints name the classes of a state by module. Where the
file can be imported from `sys.path` it is that name (`graphs.chat`), so that other files of the project which import
it get the same module and relative imports work. Packages above it are not run, as users of the official server
expect.
"""

import hashlib
import importlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from lineshaft.errors import ConfigError

from .langgraph_json import Config


def put_on_path(folders: Iterable[Path]) -> None:
    """Append folders to `sys.path`: what is installed wins over a project's file of the same name."""
    for folder in folders:
        if str(folder) not in sys.path:
            sys.path.append(str(folder))


def load_file(file: Path, root: Path) -> ModuleType:
    """The module of one source file; the second call for a file returns the first one's module.

    Raises whatever the file raises, and leaves nothing of it in `sys.modules` then.
    """
    name = _importable_name(file) or _private_name(file, root)
    if module := sys.modules.get(name):
        return module
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python source file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:  # a `sys.exit` in the user's file, too: the next import must not find a half-made module
        sys.modules.pop(name, None)
        raise
    parent, _, child = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], child, module)  # as an ordinary import does
    return module


def load_attribute(setting: str, path: str, folders: Sequence[Path]) -> Any:
    """What `path.py:attribute` or `package.module:attribute` names, None if the module has no such attribute.

    `folders` are the project's, that of langgraph.json last. Raises ConfigError of one line that names the setting.
    """
    place, _, attribute = path.rpartition(":")
    if not place or not attribute.isidentifier():
        raise ConfigError(f'{setting}: {path!r} is not of the form "path.py:attribute" or "package.module:attribute"')
    put_on_path(folders)
    file = Path(place).resolve()
    if place.endswith(".py") and not file.is_file():
        raise ConfigError(f"{setting}: {file} does not exist")
    root = folders[-1] if folders else file.parent
    try:
        module = load_file(file, root) if place.endswith(".py") else importlib.import_module(place)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever user code raises is for its author to read
        why = Failure(error, folders or [file.parent]).text
        raise ConfigError(f"{setting}: {path} does not load: {why}") from None
    return getattr(module, attribute, None)


def sources(config: Config) -> list[str]:
    """Files of the project on which what is loaded by now depends: langgraph.json and the modules that it led to."""
    loaded = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    graphs = (str(spec.file) for spec in config.graphs.values() if spec.file)
    found = [file for file in loaded if file and _in_project(file, config.dependencies)]
    return sorted({str(config.file), *graphs, *found})


def forget(names: Iterable[str], folders: Sequence[Path]) -> list[Path]:
    """Drop the project's own among these modules, so that the next attempt reads them anew; returns their files."""
    files = []
    for name in names:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and _in_project(file, folders):
            del sys.modules[name]
            files.append(Path(file))
    return files


class Failure:
    """An exception of user code that was being loaded: one line about it, and the files that may hold the cure."""

    def __init__(self, error: BaseException, folders: Sequence[Path]) -> None:
        places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
        message = str(error)
        if isinstance(error, SyntaxError) and error.filename:
            places.append((error.filename, error.lineno))
            message = error.msg
        ours = [(file, line) for file, line in places if _in_project(file, folders)]
        self.files = [Path(file) for file, _ in ours]
        text = f"{type(error).__name__}: {' '.join(message.split())}"
        if ours:
            file, line = ours[-1]
            text += f" ({shown(Path(file), folders)}, line {line})"
        self.text = text


def shown(file: Path, folders: Sequence[Path]) -> str:
    """A file's path as its author knows it: relative to the project."""
    for folder in folders:
        if file.is_relative_to(folder):
            return str(file.relative_to(folder))
    return str(file)


def _in_project(file: str, folders: Sequence[Path]) -> bool:
    """Whether a file is the user's own; a virtual environment inside the project is not."""
    path = Path(file)
    return "site-packages" not in path.parts and any(path.is_relative_to(folder) for folder in folders)


def _importable_name(file: Path) -> str | None:
    """The name under which `import` would find this file, if it would."""
    folders = {Path(entry).resolve() for entry in sys.path}
    above = [folder for folder in file.parents if folder in folders]
    # Nearest first, but a folder that is itself a package is a worse start: its modules have its name in front.
    above.sort(key=lambda folder: (folder / "__init__.py").exists())
    for folder in above:
        parts = file.relative_to(folder).with_suffix("").parts
        if all(part.isidentifier() for part in parts) and _is_found(parts[0], folder):
            return ".".join(parts)
    return None


def _is_found(top: str, folder: Path) -> bool:
    """Whether `import top` looks into `folder`, and not at an installed package of the same name."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # ValueError: a module in sys.modules without a spec, like __main__
        return False
    if spec is None:
        return False
    packages = [Path(place).resolve() for place in spec.submodule_search_locations or []]
    return folder / top in packages or (bool(spec.origin) and Path(str(spec.origin)).resolve() == folder / f"{top}.py")


def _private_name(file: Path, root: Path) -> str:
    """A name for a file that `import` cannot reach; the digest keeps `a-b.py` and `a_b.py` apart."""
    relative = os.path.relpath(file, root)
    digest = hashlib.blake2b(relative.encode(), digest_size=4).hexdigest()
    return f"lineshaft_graph_{re.sub(r'[^A-Za-z0-9]', '_', relative.removesuffix('.py'))}_{digest}"
