"""What people install: the wheel has all it needs, and serves the demo from an empty environment."""

import signal
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_sync_client

from tests.system.server import START_PATIENCE, Program, free_port

ROOT = Path(__file__).parents[2]
HATCH = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]
WHEEL = HATCH["build"]["targets"]["wheel"]
PACKAGES = WHEEL["packages"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as pip does it, with the hatchling of this environment, so that no registry is asked."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", folder, ROOT], check=True)
    (path,) = folder.glob("lineshaft-*.whl")
    return path


def files(*below: str) -> list[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *below]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return [name for name in listed if name and (ROOT / name).is_file()]


def test_the_wheel_holds_exactly_the_packages(wheel: Path) -> None:
    """Also what is not Python: the Lua scripts, the viewer behind /docs, the demo's langgraph.json."""
    # api/lineshaft_api/app.py lies in the wheel as lineshaft_api/app.py, what `lineshaft manifests` writes beside it.
    expected = {name.partition("/")[2] for name in files(*PACKAGES)}
    for folder, place in WHEEL["force-include"].items():
        expected |= {name.replace(folder, place, 1) for name in files(folder)}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == expected
    assert {"lineshaft/lua/run_enqueue.lua", "lineshaft_api/docs/index.html", "lineshaft_demo/langgraph.json"} <= held
    assert {"lineshaft/deployment/kustomize/base/settings.env", "lineshaft/deployment/grafana/lineshaft.json"} <= held


def test_the_wheel_says_who_may_use_it_and_what_starts_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (about,) = {name.partition("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        assert archive.read(f"{about}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
        assert "License-Expression: MIT" in archive.read(f"{about}/METADATA").decode()
        assert "lineshaft = lineshaft.cli:main" in archive.read(f"{about}/entry_points.txt").decode()


@pytest.mark.slow  # asks a registry for all dependencies
@pytest.mark.timeout(600)  # seconds; mostly downloads
def test_the_wheel_serves_the_demo_from_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin/python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel], check=True)
    elsewhere = tmp_path / "elsewhere"  # no langgraph.json here: the demo is served
    elsewhere.mkdir()

    port = free_port()
    command = [str(environment / "bin/lineshaft"), "manifests", "kubernetes", "--keda"]
    subprocess.run(command, cwd=elsewhere, check=True)
    assert (elsewhere / "kubernetes/lineshaft/components/keda/scaling.yaml").is_file()

    with Program([str(environment / "bin/lineshaft"), "dev", "--port", str(port)], elsewhere) as server:
        server.wait_for_output("ready in", START_PATIENCE)
        with get_sync_client(url=f"http://127.0.0.1:{port}") as client:
            question: dict[str, Any] = {"messages": [{"role": "user", "content": "What is 6 * 7?"}]}
            state = client.runs.wait(client.threads.create()["thread_id"], "chat", input=question)
        assert server.stop(signal.SIGINT) == 0

    assert isinstance(state, dict)
    assert "42" in state["messages"][-1]["content"]
