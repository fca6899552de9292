"""Signs of life between a worker's child and its parent."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

_lock = threading.Lock()


def say(fd: int, line: bytes) -> None:
    """Write one line, whole: beats and news come from different threads, and a long line takes several writes."""
    rest = line + b"\n"
    with _lock:
        while rest:
            rest = rest[os.write(fd, rest) :]


def beat(fd: int, seconds: float, news: Callable[[], Iterable[bytes]] = tuple) -> None:
    """Write an empty line every `seconds` from a thread of its own: a blocked event loop does not stop it.

    And after it the lines of `news`.
    """

    def run() -> None:
        while True:
            try:
                say(fd, b"")
                for line in news():
                    say(fd, line)
            except OSError:
                return  # the parent is gone, and so are we in a moment
            time.sleep(seconds)

    threading.Thread(target=run, name="beat", daemon=True).start()


def cpu_seconds(pid: int) -> float:
    """CPU time a process has used; 0 when it cannot be told."""
    if sys.platform == "linux":
        try:
            # Fields 14 and 15 (utime, stime) of proc(5), counted behind the name, which may hold spaces.
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    command = ["/bin/ps", "-o", "cputime=", "-p", str(pid)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    total = 0.0
    for part in shown.strip().replace("-", ":").split(":"):
        total = total * 60 + float(part or 0)
    return total
