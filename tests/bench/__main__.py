"""`python -m tests.bench`: what a run costs on this machine, beside langgraph alone in the same minute."""

import argparse
import sys
import tempfile
from pathlib import Path

import uvloop

from tests.bench import large, recovery, search, sizing, streams
from tests.bench.client import connect
from tests.bench.report import medians, table
from tests.bench.scenarios import SCENARIOS, Figures, Target
from tests.system.server import DevServer

CONFIG = Path(__file__).parent / "langgraph.json"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of which the medians are shown (default 5)")
    parser.add_argument("--only", default="", help="scenarios whose name contains this")
    parser.add_argument("--recovery", action="store_true", help="how soon cancels, hand-backs and crashes are over")
    parser.add_argument("--large", action="store_true", help="what large things cost Redis, gateway and worker")
    parser.add_argument("--sizing", type=int, default=0, metavar="N", help="memory and CPU to plan for, of N threads")
    parser.add_argument("--streams", type=int, default=0, metavar="N", help="what N open streams cost a gateway")
    parser.add_argument("--threads", type=int, default=0, help="how long searches take among so many threads")
    return parser.parse_args()


async def measure(server: DevServer, rounds: int, only: str) -> str:
    chosen = [scenario for scenario in SCENARIOS if only in scenario.name]
    if not chosen:
        sys.exit(f"no scenario's name contains {only!r}: {', '.join(scenario.name for scenario in SCENARIOS)}")
    measured: dict[str, list[Figures]] = {scenario.name: [] for scenario in chosen}
    async with connect(server.url) as client:
        target = Target(client=client, pid=server.pid, data=server.folder / ".lineshaft")
        for graph in ("echo", "steps", "clock"):  # the server's caches, and the first use of its code paths
            await client.wait(graph, await client.thread())
        for round_number in range(rounds):
            for scenario in chosen:
                if scenario.rounds is None or round_number < scenario.rounds:
                    sys.stderr.write(f"round {round_number + 1} of {rounds}: {scenario.name}\n")
                    measured[scenario.name].append(await scenario.measure(target))
    return table([(scenario, medians(measured[scenario.name])) for scenario in chosen])


def main() -> None:
    arguments = options()
    if arguments.recovery:
        with tempfile.TemporaryDirectory(prefix="ls-bench-") as folder:
            sys.stdout.write(recovery.report(Path(folder), arguments.rounds))
        return
    if arguments.streams:
        with tempfile.TemporaryDirectory(prefix="ls-bench-") as folder:
            sys.stdout.write(streams.report(Path(folder), arguments.streams))
        return
    if arguments.sizing:
        with tempfile.TemporaryDirectory(prefix="ls-bench-") as folder:
            sys.stdout.write(sizing.report(Path(folder), arguments.sizing))
        return
    if arguments.large:
        with tempfile.TemporaryDirectory(prefix="ls-bench-") as folder:
            sys.stdout.write(large.report(Path(folder), arguments.only))
        return
    if arguments.threads:
        with tempfile.TemporaryDirectory(prefix="ls-bench-") as folder:
            sys.stdout.write(search.report(Path(folder), arguments.threads, CONFIG))
        return
    with tempfile.TemporaryDirectory(prefix="ls-bench-") as folder, DevServer(Path(folder), config=CONFIG) as server:
        # The loop that the worker uses, so that the floor is measured on the same.
        sys.stdout.write(uvloop.run(measure(server, arguments.rounds, arguments.only)))


if __name__ == "__main__":
    main()
