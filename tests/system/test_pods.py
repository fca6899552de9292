"""What the manifests start, treated as a kubelet does: probes until it is ready, SIGTERM, and an exit in time."""

import json
import os
import signal
from collections.abc import Iterator
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.system.installation import RedisServer
from tests.system.server import COMMAND, Program, free_port, wait_until

KUSTOMIZE = Path(__file__).parents[2] / "deploy/kustomize"
BASE = KUSTOMIZE / "base"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


def queues() -> dict[str, str]:
    """Which the overlay for the demo has, and which of them the pool `interactive` serves."""
    (settings,) = yaml.safe_load((KUSTOMIZE / "overlays/dev/kustomization.yaml").read_text())["configMapGenerator"]
    executor = dict(literal.split("=", 1) for literal in settings["literals"])["LINESHAFT_EXECUTOR"]
    pool = yaml.safe_load((BASE / "queues/interactive/kustomization.yaml").read_text())
    (patch,) = yaml.safe_load(pool["patches"][0]["patch"])
    return {"LINESHAFT_EXECUTOR": executor, patch["value"]["name"]: patch["value"]["value"]}


class Pod(Program):
    """One container as its Deployment has it, but for addresses: on this machine alone, on ports that are free."""

    def __init__(self, part: str, folder: Path, redis: RedisServer) -> None:
        deployment = yaml.safe_load((BASE / part / "deployment.yaml").read_text())
        self.spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
        (self.container,) = self.spec["containers"]
        self.ports = {port["name"]: free_port() for port in self.container["ports"]}
        lines = (BASE / "settings.env").read_text().splitlines()
        env = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
        env |= {variable["name"]: variable["value"] for variable in self.container["env"] if "value" in variable}
        env |= queues()
        env |= {"LINESHAFT_PROBES_HOST": "127.0.0.1", "LINESHAFT_PROBES_PORT": str(self.ports["probes"])}
        env |= {"REDIS_URI": redis.uri, "PORT": str(self.ports.get("http", 0))}
        args = ["127.0.0.1" if arg == "0.0.0.0" else arg for arg in self.container["args"]]
        super().__init__([*COMMAND, *args], folder, env)

    def answer(self, port: str, path: str) -> int:
        """The status of what is asked, 0 if nobody listens."""
        connection = HTTPConnection("127.0.0.1", self.ports[port], timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    def passes(self, probe: str) -> bool:
        assert self.running, self.output
        asked = self.container[probe]["httpGet"]
        return self.answer(asked["port"], asked["path"]) == 200

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.kill()


@pytest.mark.parametrize("part", ["gateway", "worker"])
def test_a_pod_becomes_ready_and_ends_in_time(part: str, redis: RedisServer, tmp_path: Path) -> None:
    with Pod(part, tmp_path, redis) as pod:
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            patience = pod.container[name]["failureThreshold"] * pod.container[name]["periodSeconds"]
            wait_until(partial(pod.passes, name), name, patience)
        # As monitors.yaml has it.
        assert pod.answer({"gateway": "http", "worker": "probes"}[part], "/metrics") == 200
        assert all(json.loads(line) for line in pod.output.splitlines()), "not every line of the log is JSON"
        os.kill(pod.pid, signal.SIGTERM)
        assert pod.wait(pod.spec["terminationGracePeriodSeconds"]) == 0
