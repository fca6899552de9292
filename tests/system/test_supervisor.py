"""The supervisor of `dev`, with small programs in place of ours."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.server import Program, is_alive, wait_until

SUPERVISE = """
import asyncio, os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests that run under nohup would hand down that it is ignored
from lineshaft.cli.supervisor import Part, Supervisor
from lineshaft.errors import ConfigError

async def main():
    supervisor = Supervisor(lambda line: os.write(1, f"{line}\\n".encode()))
    async def start_up():
        for number, code in enumerate(sys.argv[1:], 1):
            argv = [sys.executable, "-c", code]
            supervisor.start(Part(name=f"part {number}", role="worker", argv=argv, env=dict(os.environ)))
    await supervisor.run(start_up())
    return 130 if supervisor.hurried else 0

try:
    sys.exit(asyncio.run(main()))
except ConfigError as error:
    print(f"ended by: {error}")
    sys.exit(1)
"""
READY = """
import os, signal, subprocess, sys
def ready():
    os.write(int(os.environ["LINESHAFT_STATUS_FD"]), b'{"event":"ready"}\\n')
    os.write(1, b"up %d\\n" % os.getpid())  # in one piece: others write to the same file
"""
OBEDIENT = READY + "ready()\nsignal.pause()"
STUBBORN = READY + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nready()\nwhile True: signal.pause()"
BROKEN = "import sys\nprint('the reason', file=sys.stderr)\nsys.exit(3)"

Supervise = Callable[..., Program]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Supervise]:
    programs: list[Program] = []

    def start(*parts: str) -> Program:
        programs.append(Program([sys.executable, "-c", SUPERVISE, *parts], tmp_path).start())
        return programs[-1]

    yield start
    for program in programs:
        if program.running:
            program.kill()


def part_pids(program: Program) -> list[int]:
    return [int(line.split()[1]) for line in program.output.splitlines() if line.startswith("up ")]


def test_a_part_that_dies_is_started_again_with_a_message(supervise: Supervise) -> None:
    program = supervise(OBEDIENT)
    program.wait_for_output("up")
    os.kill(part_pids(program)[0], signal.SIGKILL)
    program.wait_for_output("up", count=2)
    assert "part 1 stopped (SIGKILL), starting it again in 1 s" in program.output
    os.kill(part_pids(program)[1], signal.SIGKILL)
    program.wait_for_output("part 1 stopped (SIGKILL), starting it again in 2 s")  # backs off
    assert program.stop() == 0


def test_a_part_that_cannot_start_ends_everything(supervise: Supervise) -> None:
    program = supervise(OBEDIENT, BROKEN)
    assert program.wait() == 1
    assert "the reason" in program.output
    assert "ended by: part 2 did not start (exit code 3)" in program.output
    assert "starting it again" not in program.output
    assert not any(is_alive(pid) for pid in part_pids(program))


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything(supervise: Supervise, signum: signal.Signals) -> None:
    program = supervise(OBEDIENT, OBEDIENT)
    program.wait_for_output("up", count=2)
    assert program.stop(signum) == 0
    assert not any(is_alive(pid) for pid in part_pids(program))


def test_a_part_that_ignores_sigterm_is_gone_within_5_seconds(supervise: Supervise) -> None:
    program = supervise(STUBBORN, OBEDIENT)
    program.wait_for_output("up", count=2)
    began = time.monotonic()
    assert program.stop() == 0
    assert time.monotonic() - began < 5
    assert not any(is_alive(pid) for pid in part_pids(program))


def test_a_second_signal_kills(supervise: Supervise) -> None:
    program = supervise(STUBBORN)
    program.wait_for_output("up")
    began = time.monotonic()
    os.kill(program.pid, signal.SIGINT)
    program.wait_for_output("stopping")
    assert program.stop(signal.SIGINT) == 130
    assert time.monotonic() - began < 3  # before the time at which a stubborn part is killed anyway


def test_parts_live_in_their_own_session(supervise: Supervise) -> None:
    """So that Ctrl-C in the terminal does not reach them: runs would die instead of being handed back."""
    program = supervise(OBEDIENT)
    program.wait_for_output("up")
    pid = part_pids(program)[0]
    assert os.getsid(pid) == pid


@pytest.mark.skipif(sys.platform != "linux", reason="these programs do not watch their parent themselves")
def test_no_part_outlives_a_killed_supervisor(supervise: Supervise) -> None:
    program = supervise(STUBBORN, OBEDIENT)
    program.wait_for_output("up", count=2)
    program.kill()
    wait_until(lambda: not any(is_alive(pid) for pid in part_pids(program)), "all are gone")


def test_what_a_dead_part_has_left_running_is_killed(supervise: Supervise) -> None:
    leaves = "subprocess.Popen([sys.executable, '-c', 'import os, signal; os.write(1, b\"up %d\\\\n\" % os.getpid())"
    leaves += "; signal.pause()'])\nsignal.pause()"
    program = supervise(READY + "ready()\n" + leaves)
    program.wait_for_output("up", count=2)
    part, grandchild = part_pids(program)
    os.kill(part, signal.SIGKILL)
    wait_until(lambda: not is_alive(grandchild), "the grandchild is gone")
    assert program.stop() == 0
