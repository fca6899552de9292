"""CPU time of a server: every process below the one that was started, Redis included."""

import os
from pathlib import Path

from tests.system.server import descendants

TICKS = os.sysconf("SC_CLK_TCK")
# What a process that the supervisor starts is, by its command line. Those below it belong to it.
ROLES = {"-m lineshaft_api": "gateway", "-m lineshaft_worker": "worker", "-server ": "redis"}


class Usage(dict[str, float]):
    """CPU seconds by role."""

    @property
    def total(self) -> float:
        return sum(self.values())

    def since(self, earlier: "Usage") -> "Usage":
        return Usage({role: seconds - earlier.get(role, 0.0) for role, seconds in self.items()})


def usage(root: int) -> Usage:
    """CPU used so far by `root` and everything below it. Empty where there is no /proc (macOS)."""
    found = Usage()
    for pid, role in by_role(root).items():
        found[role] = found.get(role, 0.0) + _seconds(pid)
    return found


def by_role(root: int) -> dict[int, str]:
    """The role of `root` and of everything below it, by process id. Empty where there is no /proc (macOS)."""
    if not Path("/proc/self/stat").exists():
        return {}
    roles = {root: "supervisor"}
    for process in descendants(root):  # parents come before their children
        if process.parent == root:
            roles[process.pid] = next((role for sign, role in ROLES.items() if sign in process.command), "supervisor")
        else:
            roles[process.pid] = roles[process.parent]
    return roles


def _seconds(pid: int) -> float:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return 0.0
    user, system = stat.rpartition(")")[2].split()[11:13]  # the name before it may hold spaces
    return (int(user) + int(system)) / TICKS
