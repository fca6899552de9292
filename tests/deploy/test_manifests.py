"""What deploy/kustomize and deploy/compose.yaml say twice is the same twice, and is what the code reads.

`make manifests-check` has the rest: that the files are valid, and what other people's rules say of them.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from lineshaft.config.settings import Settings
from lineshaft_worker import parent

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUSTOMIZE = DEPLOY / "kustomize"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
FILES = sorted(KUSTOMIZE.rglob("*.yaml"))
PODS = ("gateway", "worker")
# Variables that are not in Settings: what the command line reads by itself.
ELSEWHERE = {"PORT"}
# A worker hands back what has not ended by then, a gateway cuts off what is left; both then say goodbye to Redis.
AFTER_GRACE = 30  # seconds


def load(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def every(kind: str) -> Iterator[dict[str, Any]]:
    return (document for path in FILES for document in load(path) if document.get("kind") == kind)


def settings() -> dict[str, str]:
    lines = (KUSTOMIZE / "base/settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def spec(part: str) -> dict[str, Any]:
    """Of the pods of one part."""
    (deployment,) = load(KUSTOMIZE / "base" / part / "deployment.yaml")
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return found


def container(part: str) -> dict[str, Any]:
    (found,) = spec(part)["containers"]
    return dict(found)


def compose() -> dict[str, Any]:
    (document,) = load(DEPLOY / "compose.yaml")
    return document


def seconds(text: str) -> int:
    assert text.endswith("s")
    return int(text[:-1])


def test_a_worker_is_not_killed_before_it_has_handed_back() -> None:
    grace = int(settings()["BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS"])
    assert grace == Settings().bg_job_shutdown_grace_period_secs
    assert spec("worker")["terminationGracePeriodSeconds"] == grace + AFTER_GRACE
    # Even one whose child hangs in its drain, and that says farewell to a Redis that does not answer.
    assert parent._BLOCKED_SECONDS + parent._FAREWELL_SECONDS + 5 < AFTER_GRACE
    worker = compose()["services"]["worker"]
    assert worker["environment"]["BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS"] == str(grace)
    assert seconds(worker["stop_grace_period"]) == grace + AFTER_GRACE


def test_a_gateway_is_not_killed_before_it_has_let_requests_go_on() -> None:
    grace = int(settings()["LINESHAFT_GATEWAY_GRACE_SECONDS"])
    assert grace == Settings().lineshaft_gateway_grace_seconds
    command, text = container("gateway")["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    assert spec("gateway")["terminationGracePeriodSeconds"] == int(text) + grace + AFTER_GRACE
    gateway = compose()["services"]["gateway"]
    assert gateway["environment"]["LINESHAFT_GATEWAY_GRACE_SECONDS"] == str(grace)
    assert seconds(gateway["stop_grace_period"]) == grace + AFTER_GRACE


@pytest.mark.parametrize("part", PODS)
def test_probes_ask_the_port_and_the_paths_that_are_served(part: str) -> None:
    pod = container(part)
    ports = {port["name"]: port["containerPort"] for port in pod["ports"]}
    assert ports["probes"] == int(settings()["LINESHAFT_PROBES_PORT"])
    assert settings()["LINESHAFT_PROBES_HOST"] == "0.0.0.0"
    asked = {name: pod[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked == {
        "startupProbe": {"path": "/startupz", "port": "probes"},
        "livenessProbe": {"path": "/livez", "port": "probes"},
        "readinessProbe": {"path": "/readyz", "port": "probes"},
    }


def test_ports_are_called_by_names_that_exist() -> None:
    gateway = container("gateway")
    assert {port["name"]: port["containerPort"] for port in gateway["ports"]}["http"] == 8124
    assert {"name": "PORT", "value": "8124"} in gateway["env"]
    names = {port["name"] for part in PODS for port in container(part)["ports"]} | {"redis"}
    called = [port["targetPort"] for service in every("Service") for port in service["spec"]["ports"]]
    for policy in every("NetworkPolicy"):
        rules = [*policy["spec"].get("ingress", []), *policy["spec"].get("egress", [])]
        called += [port["port"] for rule in rules for port in rule["ports"] if isinstance(port["port"], str)]
    called += [end["port"] for monitor in every("ServiceMonitor") for end in monitor["spec"]["endpoints"]]
    called += [end["port"] for monitor in every("PodMonitor") for end in monitor["spec"]["podMetricsEndpoints"]]
    assert len(called) > 8
    assert set(called) <= names


def test_every_variable_is_one_that_is_read() -> None:
    known = {field.encode_name for field in msgspec.structs.fields(Settings)} | ELSEWHERE
    named = set(settings())
    for part in PODS:
        named |= {variable["name"] for variable in container(part)["env"]}
    for service in compose()["services"].values():
        named |= set(service.get("environment", {}))
    assert named - known == set()


@pytest.mark.parametrize("part", PODS)
def test_a_pod_may_do_no_more_than_it_must(part: str) -> None:
    pod, only = spec(part), container(part)
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert (
        f"USER {pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
        in (DEPLOY / "Dockerfile").read_text()
    )
    # Throttled, a parent renews its lease too late; without a limit of memory, one graph takes the node's.
    assert set(only["resources"]["limits"]) == {"memory"}
    assert set(only["resources"]["requests"]) == {"cpu", "memory"}


def test_the_version_is_the_same_everywhere() -> None:
    (base,) = load(KUSTOMIZE / "base/kustomization.yaml")
    assert base["images"] == [{"name": "lineshaft", "newTag": VERSION}]
    assert {container(part)["image"] for part in PODS} == {"lineshaft"}
    assert compose()["services"]["gateway"]["image"] == f"${{LINESHAFT_IMAGE:-lineshaft:{VERSION}}}"
    assert f"lineshaft:{VERSION}-py" in (DEPLOY / "Dockerfile").read_text()


def test_every_redis_of_ours_keeps_what_it_acknowledges() -> None:
    (deployed,) = every("StatefulSet")
    for arguments in (
        deployed["spec"]["template"]["spec"]["containers"][0]["args"],
        compose()["services"]["redis"]["command"],
    ):
        options = dict(zip(arguments[1::2], arguments[2::2], strict=True))
        assert options["--appendonly"] == "yes"
        assert options["--maxmemory-policy"] == "noeviction"


def test_a_pool_is_scaled_by_the_queues_that_it_serves() -> None:
    pools = {}
    for path in (KUSTOMIZE / "base/queues").glob("*/kustomization.yaml"):
        (pool,) = load(path)
        (patch,) = yaml.safe_load(pool["patches"][0]["patch"])
        assert patch["value"]["name"] == container("worker")["env"][0]["name"] == "LINESHAFT_QUEUES"
        served = {queue.partition(":")[0] for queue in patch["value"]["value"].split(",")}
        pools[f"lineshaft-worker{pool['nameSuffix']}"] = served
    assert "runs" in set().union(*pools.values()), "nobody executes runs that name no queue"

    scaled = {}
    for scaler in every("ScaledObject"):
        asked = {trigger["metadata"]["url"] for trigger in scaler["spec"]["triggers"]}
        service = "http://lineshaft-gateway.lineshaft.svc/internal/scaling/"
        assert all(url.startswith(service) for url in asked)
        scaled[scaler["spec"]["scaleTargetRef"]["name"]] = {url.removeprefix(service) for url in asked}
        slots = int(settings()["N_JOBS_PER_WORKER"])
        assert {trigger["metadata"]["targetValue"] for trigger in scaler["spec"]["triggers"]} == {str(slots * 8 // 10)}
    assert scaled == pools


def test_a_budget_covers_the_pods_of_one_part() -> None:
    """An empty selector would cover all, and kustomize adds labels only to one that is there."""
    for budget in every("PodDisruptionBudget"):
        if "metadata" in budget and budget["metadata"]["name"] != "any":
            part = budget["metadata"]["name"].removeprefix("lineshaft-")
            assert budget["spec"]["selector"]["matchLabels"] == {"app.kubernetes.io/component": part}


def test_a_node_can_always_be_drained() -> None:
    """A budget that all pods are needed for would hold it up for ever."""
    (scaler,) = load(KUSTOMIZE / "base/gateway/scaling.yaml")
    (budget,) = load(KUSTOMIZE / "base/gateway/disruption.yaml")
    assert budget["spec"]["minAvailable"] < scaler["spec"]["minReplicas"]
    (prod,) = load(KUSTOMIZE / "overlays/prod/kustomization.yaml")
    changes = {op["path"]: op["value"] for patch in prod["patches"] for op in yaml.safe_load(patch["patch"])}
    assert changes["/spec/minAvailable"] < changes["/spec/minReplicas"]


def test_the_ingress_lets_through_what_the_gateway_takes() -> None:
    (ingress,) = every("Ingress")
    limit = Settings().http_max_request_body_bytes // 2**20
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"] == f"{limit}m"


def test_what_is_scaled_has_no_number_of_its_own() -> None:
    (gateway,) = load(KUSTOMIZE / "base/gateway/deployment.yaml")
    assert "replicas" not in gateway["spec"]


def test_every_file_is_part_of_something() -> None:
    used = {KUSTOMIZE / "base/settings.env"}
    for path in KUSTOMIZE.rglob("kustomization.yaml"):
        (document,) = load(path)
        for name in (*document.get("resources", []), *document.get("components", [])):
            found = (path.parent / name).resolve()
            assert found.exists(), f"{path} names {name}"
            used.add(found / "kustomization.yaml" if found.is_dir() else found)
    tops = set(KUSTOMIZE.glob("overlays/*/kustomization.yaml"))
    assert {path.parent.name for path in tops} == {"dev", "prod", "keda", "prometheus-operator"}
    assert {path for path in KUSTOMIZE.rglob("*") if path.is_file()} == used | tops
