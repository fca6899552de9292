"""Children die with their parent: by the kernel on Linux, elsewhere by watching a pipe (which works on Linux, too)."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from lineshaft.health.parent_watch import PARENT_FD
from tests.system.server import is_alive, wait_until

WATCHING = """
import signal
from lineshaft.health.parent_watch import die_with_parent
die_with_parent()
print("up", flush=True)
signal.pause()
"""
PARENT = """
import os, signal, sys
from lineshaft.health.parent_watch import Tether
sys.platform = sys.argv[2]
child = Tether().start([sys.executable, "-c", sys.argv[1]], env=dict(os.environ), watches=False)
os.write(1, b"%d\\n" % child.pid)  # in one piece: both write to the same pipe
signal.pause()
"""
SAYS_TERM = """
import os, signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
os.write(1, b"%d\\n" % os.getpid())
while True:
    signal.pause()
"""


@contextlib.contextmanager
def with_pipe(*args: str) -> Iterator[tuple["subprocess.Popen[bytes]", Callable[[], None]]]:
    """Start python with `args` and a pipe to watch; yields the process and what closes the pipe's other end."""
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb"), os.fdopen(write_end, "wb") as other_end:
        env = {**os.environ, PARENT_FD: str(read_end)}
        argv = [sys.executable, *args]
        with subprocess.Popen(argv, env=env, pass_fds=[read_end], stdout=subprocess.PIPE) as process:
            try:
                yield process, other_end.close
            finally:
                process.kill()


def first_line(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stdout
    return process.stdout.readline()


def test_a_child_that_watches_ends_when_the_other_end_of_the_pipe_closes() -> None:
    with with_pipe("-c", WATCHING) as (child, close):
        assert first_line(child) == b"up\n"
        assert child.poll() is None
        close()
        assert child.wait(10) == 1


def test_the_watch_is_not_handed_on_to_the_childs_own_children() -> None:
    code = "import os; from lineshaft.health.parent_watch import *; die_with_parent(); print(os.environ.get(PARENT_FD))"
    with with_pipe("-c", code) as (child, _close):
        assert first_line(child) == b"None\n"


def test_a_program_that_cannot_watch_gets_sigterm_when_the_pipe_closes() -> None:
    with with_pipe("-m", "lineshaft.health.parent_watch", sys.executable, "-c", SAYS_TERM) as (wrapper, close):
        assert first_line(wrapper)
        close()
        assert wrapper.wait(10) == 7


def test_a_program_that_cannot_watch_gets_the_signals_of_its_wrapper() -> None:
    with with_pipe("-m", "lineshaft.health.parent_watch", sys.executable, "-c", SAYS_TERM) as (wrapper, _close):
        assert first_line(wrapper)
        wrapper.terminate()
        assert wrapper.wait(10) == 7


@pytest.mark.parametrize(
    "platform",
    [pytest.param("linux", marks=pytest.mark.skipif(sys.platform != "linux", reason="PDEATHSIG is Linux's")), "darwin"],
)
def test_a_child_ends_whose_parent_was_killed(platform: str) -> None:
    argv = [sys.executable, "-c", PARENT, SAYS_TERM, platform]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as parent:
        pids = {int(first_line(parent)), int(first_line(parent))}  # the child, and what it says itself when it is up
        assert len(pids) == (1 if platform == "linux" else 2)  # elsewhere the child is a wrapper
        parent.kill()
        parent.wait(10)
        wait_until(lambda: not any(is_alive(pid) for pid in pids), "the child is gone")
