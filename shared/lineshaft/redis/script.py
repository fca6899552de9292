"""Loads the Lua scripts: one file, one state transition, one round trip.

A script file begins with comment lines that declare it:

    -- <one sentence: what the transition does>
    -- FLAGS allow-oom                 script flags (optional); without the line a full Redis refuses the script
    -- USES lib/fence lib/queue        files from lua/lib that are put before it, with those that they use (optional)
    -- CALLS run_enqueue               another script that it may call as a function of its arguments (optional)
    -- ARGV run_id token events...     its arguments by name; a last name with dots takes all the rest, as a table

Bodies use the declared names and `K.<name>(...)` for keys (see `keys.py`); they never index KEYS or ARGV. Scripts take
no KEYS: Redis Cluster is not a target, and which keys a transition touches depends on what it reads.
"""

import hashlib
import inspect
import re
from importlib import resources
from typing import Any

from .keys import Keys

_HEADER = re.compile(r"^-- (FLAGS|USES|CALLS|ARGV) (.*)$", re.MULTILINE)


class Script:
    """One Lua file, bound to a key prefix. `encode(**args)` gives the argument list of EVALSHA."""

    def __init__(self, name: str, keys: Keys) -> None:
        self.name = name
        body = _read(name)
        declared = dict(_HEADER.findall(body))
        self.args: list[str] = declared.get("ARGV", "").split()
        self.rest = self.args.pop().removesuffix("...") if self.args and self.args[-1].endswith("...") else None
        called = {other: _read(other) for other in declared.get("CALLS", "").split()}
        headers = [dict(_HEADER.findall(text)) for text in called.values()] + [declared]
        libraries: dict[str, str] = {}
        for header in headers:
            _add_libraries(libraries, header)
        above = [*libraries.values(), *(_function(other, text) for other, text in called.items())]
        shebang = f"#!lua flags={declared['FLAGS']}" if "FLAGS" in declared else "#!lua"
        # With its name, so that operators recognise it in Redis' slow log.
        parts = [f"{shebang}\n-- {name}", _key_functions(keys, "\n".join([*above, body])), *above]
        # Bindings stay on one line and the body comes last, so a Lua error's line is easy to find.
        parts.append(" ".join(f"local {arg} = ARGV[{i}]" for i, arg in enumerate(self.args, 1)))
        if self.rest:
            first = len(self.args) + 1
            parts.append(
                f"local {self.rest} = {{}} for i = {first}, #ARGV do {self.rest}[#{self.rest} + 1] = ARGV[i] end"
            )
        self.source = "\n".join([*parts, body])
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()  # what EVALSHA is keyed by

    def encode(self, args: dict[str, Any]) -> list[bytes | str | int | float]:
        """Order and encode named arguments; raises TypeError for a missing or unknown name."""
        names = {*self.args, *([self.rest] if self.rest else [])}
        if args.keys() != names:
            raise TypeError(f"script {self.name}: wrong arguments {sorted(names ^ args.keys())}")
        out = [_encode(args[name]) for name in self.args]
        if self.rest:
            out += [_encode(value) for value in args[self.rest]]
        return out


def load_all(keys: Keys) -> dict[str, Script]:
    """Every script of the package by its file name without `.lua`."""
    folder = resources.files("lineshaft").joinpath("lua")
    names = sorted(f.name.removesuffix(".lua") for f in folder.iterdir() if f.name.endswith(".lua"))
    return {name: Script(name, keys) for name in names}


def _read(name: str) -> str:
    return resources.files("lineshaft").joinpath("lua", f"{name}.lua").read_text()


def _add_libraries(found: dict[str, str], header: dict[str, str]) -> None:
    """Put the text of each library that a header names behind those which it uses itself, once."""
    for library in header.get("USES", "").split():
        if library not in found:
            text = _read(library)
            _add_libraries(found, dict(_HEADER.findall(text)))
            found[library] = text


def _function(name: str, body: str) -> str:
    """Another script as a Lua function: its rest arguments are a table in the last parameter."""
    params = dict(_HEADER.findall(body)).get("ARGV", "").removesuffix("...").split()
    return f"local function {name}({', '.join(params)})\n{body}\nend"


def _encode(value: Any) -> bytes | str | int | float:
    if value is None:
        return b""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, bytes | str | int | float):
        return value
    raise TypeError(f"a script argument must be a scalar, not {type(value).__name__}")


def _key_functions(keys: Keys, source: str) -> str:
    """Lua for the functions of `K` that `source` uses, made by calling those of `keys.py` with marked parameters."""
    functions = []
    for name in sorted(set(re.findall(r"\bK\.(\w+)", source))):
        method = getattr(keys, name)
        params = list(inspect.signature(method).parameters)
        text = method(*(f"\1{p}\2" for p in params))
        pieces = re.split("\1(.*?)\2", text)
        lua = " .. ".join(p if i % 2 else _lua_string(p) for i, p in enumerate(pieces) if p)
        functions.append(f"K.{name} = function({', '.join(params)}) return {lua} end")
    return "local K = {} " + " ".join(functions)


def _lua_string(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
