"""`lineshaft manifests`: a kustomization of one's own, with the numbers that belong together."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from lineshaft.cli import main
from lineshaft.cli.pools import pools_of, scalers

KUSTOMIZE = Path(__file__).parents[2] / "deploy/kustomize"


def call(*args: str | Path) -> Result:
    return CliRunner().invoke(main, ["manifests", *map(str, args)])


def write(folder: Path, *args: str) -> dict[str, Any]:
    """The kustomization that was written."""
    result = call(folder, *args)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return found


def tree(folder: Path) -> dict[str, Any]:
    """What is in each file; comments aside."""
    found = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        text = file.read_text()
        name = file.relative_to(folder).as_posix()
        found[name] = list(yaml.safe_load_all(text)) if file.suffix == ".yaml" else text
    return found


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no langgraph.json here
    monkeypatch.delenv("LINESHAFT_EXECUTOR", raising=False)


def test_two_queues_are_what_the_repository_has(tmp_path: Path) -> None:
    queues = {"interactive": {"graphs": ["chat"]}, "batch": {}}
    (tmp_path / "langgraph.json").write_text(
        json.dumps({"graphs": {"chat": "./a.py:b"}, "executor": {"queues": queues}})
    )
    write(tmp_path, "--keda", "--prometheus-operator")
    assert tree(tmp_path / "lineshaft/base") == tree(KUSTOMIZE / "base")
    assert tree(tmp_path / "lineshaft/components") == tree(KUSTOMIZE / "components")
    assert (KUSTOMIZE / "components/keda/scaling.yaml").read_text() == scalers(
        pools_of(list(queues)), namespace="lineshaft", jobs=10
    )


def test_without_queues_there_is_one_pool(tmp_path: Path) -> None:
    assert write(tmp_path)["replicas"] == [{"name": "lineshaft-worker-runs", "count": 2}]
    pool = yaml.safe_load((tmp_path / "lineshaft/base/queues/runs/kustomization.yaml").read_text())
    (patch,) = yaml.safe_load(pool["patches"][0]["patch"])
    assert patch["value"] == {"name": "LINESHAFT_QUEUES", "value": "runs"}


def test_grace_is_one_number(tmp_path: Path) -> None:
    document = write(tmp_path, "--grace", "600")
    assert "BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS=600" in document["configMapGenerator"][0]["literals"]
    (patch,) = yaml.safe_load(document["patches"][0]["patch"])
    assert patch == {"op": "replace", "path": "/spec/template/spec/terminationGracePeriodSeconds", "value": 630}


def test_pools_are_as_they_were_asked_for(tmp_path: Path) -> None:
    document = write(
        tmp_path,
        "--pool",
        "chat=chat:2,runs",
        "--pool",
        "nightly=nightly",
        "--replicas",
        "chat=4",
        "--namespace",
        "agents",
    )
    assert document["replicas"] == [
        {"name": "lineshaft-worker-chat", "count": 4},
        {"name": "lineshaft-worker-nightly", "count": 2},
    ]
    base = tmp_path / "lineshaft/base"
    assert {path.name for path in (base / "queues").iterdir()} == {"chat", "nightly"}
    resources = yaml.safe_load((base / "kustomization.yaml").read_text())["resources"]
    assert [name for name in resources if name.startswith("queues/")] == ["queues/chat", "queues/nightly"]


def test_keda_asks_the_gateway_of_that_namespace_for_each_queue(tmp_path: Path) -> None:
    document = write(
        tmp_path, "--keda", "--namespace", "agents", "--pool", "all=interactive:3,runs", "--jobs-per-worker", "4",
        "--replicas", "all=30",
    )  # fmt: skip
    # A number of its own would undo what KEDA has set.
    assert "replicas" not in document
    _, scaler = yaml.safe_load_all((tmp_path / "lineshaft/components/keda/scaling.yaml").read_text())
    assert (scaler["spec"]["minReplicaCount"], scaler["spec"]["maxReplicaCount"]) == (30, 120)
    asked = {trigger["metadata"]["url"]: trigger["metadata"]["targetValue"] for trigger in scaler["spec"]["triggers"]}
    place = "http://lineshaft-gateway.agents.svc/internal/scaling"
    assert asked == {f"{place}/interactive": "3", f"{place}/runs": "3"}


@pytest.mark.parametrize(
    ("image", "shown"),
    [
        ("registry.example.com:5000/agents:7", {"newName": "registry.example.com:5000/agents", "newTag": "7"}),
        ("agents@sha256:0a", {"newName": "agents", "digest": "sha256:0a"}),
    ],
)
def test_an_image_is_named_by_tag_or_digest(tmp_path: Path, image: str, shown: dict[str, str]) -> None:
    assert write(tmp_path, "--image", image)["images"] == [{"name": "lineshaft", **shown}]


def test_what_somebody_has_changed_is_not_overwritten(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "kustomization.yaml").write_text("mine")
    result = call(tmp_path)
    assert result.exit_code == 1
    assert "--force replaces it" in result.output
    assert (tmp_path / "kustomization.yaml").read_text() == "mine"
    assert write(tmp_path, "--force")["resources"] == ["lineshaft/base"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--pool", "chat"], "expected NAME=QUEUE:WEIGHT"),
        (["--pool", "Chat=runs"], "expected NAME=QUEUE:WEIGHT"),
        (["--pool", "chat=runs:0"], "'runs:0' is not of the form NAME or NAME:WEIGHT"),
        (["--pool", "chat=chat"], "no pool serves the queue `runs`"),
        (["--replicas", "nobody=2"], "the name being one of runs"),
        (["--image", "registry.example.com:5000/agents"], "expected NAME:TAG or NAME@DIGEST"),
    ],
)
def test_a_choice_that_cannot_work_is_refused_in_a_line(tmp_path: Path, arguments: list[str], why: str) -> None:
    result = call(tmp_path / "new", *arguments)
    assert result.exit_code == 1
    assert why in result.output
    assert not (tmp_path / "new/kustomization.yaml").exists()


def test_without_a_folder_somebody_must_be_there_to_print_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    result = call()
    assert result.exit_code == 1
    assert "neither kubectl nor kustomize is on PATH" in result.output
