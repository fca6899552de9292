"""Copies of a worker's child, which graphs make by forking: they must not act as a second worker."""

import asyncio
import contextlib
import os
import select
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from lineshaft.telemetry import log

logger = log.get("worker")


def disown_copies(loop: asyncio.AbstractEventLoop, life_fd: int) -> None:
    """Make what a graph forks (`os.fork`, `multiprocessing`) a process of its own, and not a second worker.

    A copy has the worker's sockets, signal handlers and pipe. Unless it gives them up, a SIGTERM to it (every
    `multiprocessing.Pool` sends some) does not end it but makes the worker drain: signals travel through a socket that
    both have. It would also seem to the parent that the worker lives on.
    """
    loop_thread = threading.get_ident()
    masks = threading.local()

    def hold_signals() -> None:
        # One that comes to the copy before it has left would still be the worker's: a pool may end its processes while
        # they start.
        masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def release_signals() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    def leave() -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.close(life_fd)
        release_signals()
        if threading.get_ident() == loop_thread:
            # The loop turns once more when a node ends, even by `sys.exit`: it would send what the worker sends, too,
            # and read answers that the worker waits for. And should user code return, all runs would go on twice.
            _hang_up()
            loop.call_soon(end_copy, asyncio.current_task(loop))

    os.register_at_fork(before=hold_signals, after_in_parent=release_signals, after_in_child=leave)


def _hang_up() -> None:
    """Put nothing in the place of a copy's connections, and of what polls them: the worker has the same ones.

    Only where there is a /proc to find them in. Closing them through the loop would change what the worker polls.
    """
    if sys.platform != "linux":
        return
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        with contextlib.suppress(OSError):  # the one by which the folder was read
            kind = str(Path(f"/proc/self/fd/{fd}").readlink())
            if kind.startswith("socket:"):
                with socket.socket(fileno=os.dup(fd)) as end:
                    if end.getpeername():  # not one of a pair, by which a graph may talk to its copy
                        os.dup2(nowhere, fd)
            elif kind == "anon_inode:[eventpoll]":
                with select.epoll() as nothing:
                    os.dup2(nothing.fileno(), fd)


def end_copy(task: "asyncio.Task[Any] | None" = None) -> None:
    """End this process, which is a copy whose graph came back from the code that forked it; `task` was its node."""
    if task is not None and task.done() and isinstance(error := task.exception(), SystemExit):
        exit_as(error)
    logger.error("a process that a graph has forked came back from that graph's code: ended", pid=os.getpid())
    os._exit(1)


def exit_as(error: SystemExit) -> None:
    """End this process, which is a copy, as `sys.exit` would."""
    os._exit(error.code if isinstance(error.code, int) else int(error.code is not None))
