"""Single values out of threads: `values.messages[-1].content` in place of a whole state."""

import re
from typing import Any

import msgspec

from lineshaft.errors import Invalid

from .thread import Thread

MAX_PATHS = 10
_MAX_PATH = 4096  # characters
_ROOTS = ("values", "metadata", "config", "interrupts")
_PATH = re.compile(rf"({'|'.join(_ROOTS)})((?:\.[^.\[\]]+|\[-?[0-9]{{1,9}}\])*)")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(-?[0-9]+)\]")
_Step = str | int


class Extract:
    """What to take out of each thread, by alias."""

    def __init__(self, paths: dict[str, str]) -> None:
        """Raises Invalid for an alias or a path that cannot be."""
        if len(paths) > MAX_PATHS:
            raise Invalid(f"extract: {len(paths)} paths (limit: {MAX_PATHS})")
        self._paths = {_alias(alias): _parse(path) for alias, path in paths.items()}

    @property
    def needs_state(self) -> bool:
        """Whether it looks at what is stored with a thread's state."""
        return any(root in ("values", "interrupts") for root, _ in self._paths.values())

    def of(self, thread: Thread) -> dict[str, Any]:
        """The values by alias; null where there is none."""
        roots: dict[str, Any] = {}
        found: dict[str, Any] = {}
        for alias, (root, steps) in self._paths.items():
            if root not in roots:
                value = getattr(thread, root)
                if isinstance(value, msgspec.Raw):
                    value = msgspec.json.decode(value)
                roots[root] = None if value is msgspec.UNSET else value
            found[alias] = _walk(roots[root], steps)
        return found


def _alias(alias: str) -> str:
    if not alias.isidentifier() or alias in Thread.__struct_fields__:
        raise Invalid(f"extract: {alias!r} is no alias: it must be an identifier, and no field of a thread")
    return alias


def _parse(path: str) -> tuple[str, list[_Step]]:
    if len(path) > _MAX_PATH:
        raise Invalid(f"extract: a path of {len(path)} characters (limit: {_MAX_PATH})")
    match = _PATH.fullmatch(path)
    if match is None:
        raise Invalid(f"extract: {path!r} is no path: it begins with one of {', '.join(_ROOTS)}; then .key or [n]")
    return match[1], [key or int(index) for key, index in _STEP.findall(match[2])]


def _walk(value: Any, steps: list[_Step]) -> Any:
    for step in steps:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        elif isinstance(value, list) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
        if value is None:
            return None  # a path may have many more steps
    return value
