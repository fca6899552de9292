"""Lets no child process outlive the process that started it, however that one dies: SIGKILL leaves it no last word.

On Linux the kernel does it (PDEATHSIG). Elsewhere a child watches a pipe whose other end only its parent holds; a
program that cannot watch (the embedded Redis) is started by `python -m lineshaft.health.parent_watch PROGRAM ARGS...`.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO

# The file descriptor of the pipe to watch. Never set on Linux.
PARENT_FD = "LINESHAFT_PARENT_FD"
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def die_with_parent() -> None:
    """The first call in the `main` of a long-lived child."""
    # Taken out of the environment: this process's own children do not have the descriptor.
    if fd := os.environ.pop(PARENT_FD, None):
        _at_end_of_file(int(fd), lambda: os._exit(1))


class Tether:
    """Starts child processes that die with this one. Use it from the main thread only."""

    def __init__(self) -> None:
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None
        # The write end stays open, and with us, for as long as this process lives: nobody ever writes to it.
        self._read_end, self._write_end = (-1, -1) if self._prctl else os.pipe()

    def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        death_signal: signal.Signals = signal.SIGKILL,
        watches: bool = True,
        pass_fds: Sequence[int] = (),
        stdout: IO[bytes] | int | None = None,
    ) -> "subprocess.Popen[bytes]":
        """Start a child in its own session, so that Ctrl-C in the terminal reaches only us.

        `death_signal` is what it gets when we die, on Linux. `watches=False`: the child does not call die_with_parent.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("PDEATHSIG fires when the thread that forked ends: start children from the main thread")
        if self._prctl is None:
            env = {**env, PARENT_FD: str(self._read_end)}
            pass_fds = [*pass_fds, self._read_end]
            if not watches:
                argv = [sys.executable, "-P", "-m", __name__, *argv]
        return subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stdout,
            pass_fds=pass_fds,
            start_new_session=True,
            preexec_fn=self._before_exec(death_signal),  # noqa: PLW1509 - makes system calls only
        )

    def _before_exec(self, death_signal: signal.Signals) -> Callable[[], None] | None:
        if (prctl := self._prctl) is None:
            return None
        parent = os.getpid()

        def tie() -> None:  # runs in the child, between fork and exec: only system calls here
            prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:  # it died before the call above, which then never fires
                os._exit(1)

        return tie


def _at_end_of_file(fd: int, then: Callable[[], object]) -> None:
    def watch() -> None:
        while os.read(fd, 1):
            pass
        then()

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def _run(argv: Sequence[str]) -> int:
    """Run a program that cannot watch its parent; it gets SIGTERM when the parent is gone."""
    fd = int(os.environ.pop(PARENT_FD))
    program = subprocess.Popen(argv, close_fds=False)  # it keeps what we were given, as the lock of its data

    def pass_on(signum: int, _frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            program.send_signal(signum)

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, pass_on)
    _at_end_of_file(fd, lambda: os.kill(os.getpid(), signal.SIGTERM))
    code = program.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(_run(sys.argv[1:]))
