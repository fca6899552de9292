"""What a graph forks is no second worker, from its first moment on."""

import subprocess
import sys

# In a process of its own: what is registered for forks stays.
PROGRAM = """
import asyncio, os, signal, time
from lineshaft_worker.copies import disown_copies

# Runs in the copy before ours does: a pool that ends its processes while they start.
os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))

def fork():
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(9)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

async def main():
    heard = []
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, heard.append, "SIGTERM")
    disown_copies(loop, os.open(os.devnull, os.O_RDWR))
    code = await asyncio.to_thread(fork)
    await asyncio.sleep(0)  # a signal's handler is called in the turn after the one that reads of it
    await asyncio.sleep(0)
    print(code, heard)
    # The worker itself still hears.
    os.kill(os.getpid(), signal.SIGTERM)
    while not heard:
        await asyncio.sleep(0.01)
    print(heard)

asyncio.run(main())
"""


def test_a_signal_to_a_copy_that_has_just_begun_is_not_the_worker_s() -> None:
    """The worker drained, and the run began anew elsewhere."""
    # Seconds: it takes tenths of one; without the signal the copy would sleep for a minute.
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=40, check=False)
    assert done.stdout.splitlines() == ["-15 []", "['SIGTERM']"], done.stderr
