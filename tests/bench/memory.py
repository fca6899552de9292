"""Memory of a server's parts: what they hold, and the most they held since they were asked last."""

from pathlib import Path

from tests.bench.cpu import by_role


def restart_peaks(root: int) -> None:
    """Let the peaks be measured from now on."""
    for pid in by_role(root):
        try:
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # resets VmHWM to what is held now, see proc(5)
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue


def held(root: int) -> dict[str, float]:
    """MiB that the processes of each role hold (resident), together."""
    return _sums(root, "VmRSS:")


def resident(root: int) -> list[tuple[str, int, float]]:
    """What each process holds in MiB: its role, its number among those of that role, parents first."""
    found: list[tuple[str, int, float]] = []
    for pid, role in by_role(root).items():
        found.append((role, sum(other == role for other, *_ in found) + 1, _mib(pid, "VmRSS:")))
    return found


def peaks(root: int) -> dict[str, float]:
    """MiB that they held at most since `restart_peaks`, each process at its own moment."""
    return _sums(root, "VmHWM:")


def _sums(root: int, field: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for pid, role in by_role(root).items():
        found[role] = found.get(role, 0.0) + _mib(pid, field)
    return found


def _mib(pid: int, field: str) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return 0.0
    rows = [line.split() for line in status.splitlines()]
    return next((int(row[1]) / 1024 for row in rows if row[0] == field), 0.0)  # kB
