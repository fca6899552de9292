"""Signs of life between a worker's child and its parent."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from lineshaft_worker.life import cpu_seconds, say

# A child whose event loop is blocked for good.
BLOCKED = """
import asyncio, sys, time
from lineshaft_worker.life import beat
beat(int(sys.argv[1]), 0.02)
async def block():
    time.sleep(60)
asyncio.run(block())
"""
# A child that keeps the GIL: no thread of it can beat.
BUSY = """
import sys
print("begun", flush=True)
sys.setswitchinterval(3600)
while True: pass
"""
IDLE = """
print("begun", flush=True)
input()
"""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_a_blocked_event_loop_does_not_stop_the_beat(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    with subprocess.Popen([sys.executable, "-c", BLOCKED, str(writing)], pass_fds=[writing]) as child:
        beats = b""
        while len(beats) < 5:
            beats += os.read(reading, 1)
        child.kill()
    assert beats == b"\n" * 5


@pytest.mark.parametrize("program", [BUSY, IDLE])
def test_cpu_time_tells_who_works(program: str) -> None:
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        used = cpu_seconds(child.pid)
        if program is BUSY:
            while cpu_seconds(child.pid) <= used + 0.02:
                assert child.poll() is None
        else:
            before = cpu_seconds(os.getpid())
            while cpu_seconds(os.getpid()) < before + 0.1:
                pass  # we work, and it does not
            assert cpu_seconds(child.pid) <= used + 0.05  # some ticks of its start; half of what a worker would have
        child.kill()


def test_nobody_has_used_no_time() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
        assert cpu_seconds(child.pid) == 0


def test_lines_from_many_threads_stay_whole(pipe: tuple[int, int]) -> None:
    """Longer ones than a pipe takes at once."""
    reading, writing = pipe
    lines = [letter * 200_000 for letter in (b"a", b"b", b"", b"c")]
    threads = [threading.Thread(target=say, args=(writing, line)) for line in lines]
    for thread in threads:
        thread.start()
    read = b""
    while read.count(b"\n") < len(lines):
        read += os.read(reading, 65_536)
    for thread in threads:
        thread.join()
    assert sorted(read.splitlines()) == sorted(lines)
