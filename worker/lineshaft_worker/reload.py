"""Hot reload, for `dev`: notices that the graphs' source has changed, tries it, and asks for a child with the new code.

The files are those that the child has really imported, a few dozen, looked at three times a second. Watching folders
would mean thousands of files of virtual environments, and the data of the Redis below them, which change all the time.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from lineshaft.config import langgraph_json as config
from lineshaft.errors import ConfigError
from lineshaft.health.parent_watch import Tether

from .rehearsal import Result, rehearse

# Seconds. A person has just saved a file; what saves many at once (git, a formatter) is done when nothing changes
# between two looks.
_LOOK = 0.3

Stamp = tuple[int, int]


class Reload:
    """Watches for one parent, whatever child it has. `tell` takes news for the person at the terminal."""

    def __init__(self, file: str, tether: Tether, tell: Callable[[dict[str, Any]], None], *, everything: bool) -> None:
        """Without `everything` only what graphs that do not load are waiting for."""
        self._file = file
        self._everything = everything
        self._tether = tether
        self._tell = tell
        self._seen: dict[str, Stamp] = {}
        self._loaded: set[str] = set()  # graphs that the child has
        self._fixed = self._fixed_part()

    def hear(self, event: dict[str, Any], began: float) -> None:
        """News from the child; it `began` at this time of the host."""
        if event["event"] == "graph":
            (self._loaded.discard if event.get("error") else self._loaded.add)(event["graph"])
        self._watch(event.get("files", ()), began)

    def _watch(self, files: Iterable[str], began: float) -> None:
        for file in files:
            if file in self._seen:
                continue
            stamp = _stamp(file)
            # What was saved while the child was loading may have come too late for it.
            late = began * 1e9 < stamp[0] < time.time_ns()
            self._seen[file] = (0, -1) if late else stamp

    async def run(self, replace: Callable[[], None]) -> None:
        """Call `replace` whenever there is new code that loads."""
        while True:
            await asyncio.sleep(_LOOK)
            if not (changed := self._changed()):
                continue
            while await self._goes_on():
                changed |= self._changed()
            self._tell({"event": "changed", "files": self._names(changed)})
            self._seen = {file: _stamp(file) for file in self._seen}
            if self._is_good(await rehearse(self._tether, self._file)):
                replace()

    def _is_good(self, result: Result) -> bool:
        """Whether all that the child has loads. If not, the child is better than what there is now."""
        now = time.time()
        if self._everything:
            self._watch(result.files, now)
        lost = {graph: broken for graph, broken in result.graphs.items() if graph in self._loaded}
        if not result.config and not lost:
            # Folders change whenever anything is made in them: only somebody who has broken code is helped by that.
            self._seen = {file: stamp for file, stamp in self._seen.items() if not Path(file).is_dir()}
            self._note_fixed_part()
            return True
        for graph, broken in lost.items():
            self._tell({"event": "graph", "graph": graph, "error": broken.text})
            self._watch(broken.files, now)
        # The cure may be a file that is not there yet.
        self._watch(self._folders(), now)
        self._tell({"event": "kept", "error": result.config})
        return False

    async def _goes_on(self) -> bool:
        before = {file: _stamp(file) for file in self._seen}
        await asyncio.sleep(_LOOK)
        return any(_stamp(file) != stamp for file, stamp in before.items())

    def _changed(self) -> set[str]:
        return {file for file, stamp in self._seen.items() if _stamp(file) != stamp}

    def _names(self, changed: Iterable[str]) -> list[str]:
        root = Path(self._file).parent.resolve()
        files = [file for file in map(Path, changed) if not file.is_dir()]
        names = sorted(str(file.relative_to(root)) if file.is_relative_to(root) else str(file) for file in files)
        return names or ["there are other files"]

    def _folders(self) -> list[str]:
        try:
            return [str(folder) for folder in config.load(Path(self._file)).dependencies]
        except ConfigError:
            return []

    # what a new child does not change

    def _fixed_part(self) -> dict[str, str]:
        try:
            return config.load(Path(self._file)).env
        except ConfigError:
            return {}

    def _note_fixed_part(self) -> None:
        before, self._fixed = self._fixed, self._fixed_part()
        if self._fixed != before:
            self._tell({"event": "note", "text": "what has changed beside graphs and dependencies takes a new start"})


def _stamp(file: str) -> Stamp:
    try:
        found = os.stat(file)  # noqa: PTH116 - a Path for each of them, three times a second, costs more than the look
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)
