"""`python -m lineshaft_worker.rehearsal`: loads the graphs anew beside the worker that runs, to see whether they would.

A process of its own: what is imported can be imported anew only there, and a file half written must not cost the child
that executes runs.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from lineshaft.errors import ConfigError
from lineshaft.health.parent_watch import Tether, die_with_parent

_RESULT_FD = "LINESHAFT_RESULT_FD"
_LIMIT = 120.0  # seconds; large models are loaded in less, and a person looks at the terminal meanwhile


class Broken(Struct):
    """A graph that does not load: why, with the place, and the files in which the cure may be."""

    text: str
    files: list[str]


class Result(Struct):
    """How it went."""

    config: str = ""  # what is wrong with langgraph.json itself
    graphs: dict[str, Broken] = {}
    files: list[str] = []  # sources of all that was loaded


async def rehearse(tether: Tether, config: str) -> Result:
    """Load it all in a process of its own. Cancelling ends that."""
    read_end, write_end = os.pipe()
    process = tether.start(
        [sys.executable, "-P", "-m", __name__, config],
        env={**os.environ, _RESULT_FD: str(write_end)},
        pass_fds=[write_end],
        stdout=subprocess.DEVNULL,  # what users' modules print, they print again in the child
    )
    os.close(write_end)
    try:
        with os.fdopen(read_end, "rb") as result:
            async with asyncio.timeout(_LIMIT):
                text = await _in_time(result.read, process.kill)
    except TimeoutError:
        return Result(config=f"the graphs did not load within {_LIMIT:.0f} s")
    finally:
        process.kill()
        process.wait()
    return msgspec.json.decode(text, type=Result) if text else Result(config="the graphs' code ended its process")


async def _in_time(read: Callable[[], bytes], end: Callable[[], None]) -> bytes:
    reading = asyncio.ensure_future(asyncio.to_thread(read))
    try:
        return await asyncio.shield(reading)
    except asyncio.CancelledError:
        end()  # then there is nothing more to read, and the thread is free
        with contextlib.suppress(Exception):
            await reading
        raise


def main() -> None:
    """One argument: langgraph.json. The result goes to the file descriptor in LINESHAFT_RESULT_FD."""
    die_with_parent()
    fd = int(os.environ.pop(_RESULT_FD))
    os.write(fd, msgspec.json.encode(_load(Path(sys.argv[1]))))
    os._exit(0)  # threads that users' modules have started need not end


def _load(file: Path) -> Result:
    from lineshaft.config import langgraph_json, modules  # noqa: PLC0415 - the parent, which imports this, must be without langgraph
    from lineshaft.config.settings import from_environment  # noqa: PLC0415 - as above

    from .graphs import Graphs  # noqa: PLC0415 - as above
    from .index import load_index  # noqa: PLC0415 - as above

    try:
        graphs = Graphs.load(langgraph_json.load(file))
        load_index(graphs.config, from_environment().langgraph_store.index)
    except ConfigError as error:
        return Result(config=str(error))
    broken = {graph_id: Broken(error.text, list(error.files)) for graph_id, error in graphs.errors.items()}
    return Result(graphs=broken, files=modules.sources(graphs.config))


if __name__ == "__main__":
    main()
