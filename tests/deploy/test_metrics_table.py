"""deploy/metrics.md is what operators write queries by: it names every metric, and none that is not there."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from lineshaft.telemetry.installation import Families
from lineshaft.telemetry.metrics import COMMON, Registry
from lineshaft.telemetry.upkeep_metrics import UPKEEP
from lineshaft_api.metrics import HttpMetrics
from lineshaft_worker.parent_metrics import PARENT
from lineshaft_worker.run_metrics import RUNS

ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| `(lineshaft_\w+)` \| (\w+) \| (.*?) \| (\w+) \|", re.MULTILINE)

Row = tuple[str, str, str, str]


def families(where: str, collector: Collector) -> Iterator[Row]:
    parts: Iterable[Collector] = collector._collector_to_names if isinstance(collector, Registry) else [collector]
    for part in parts:
        for family in part.collect():
            labels = getattr(family, "_labelnames", ()) or getattr(part, "_labelnames", ())
            if family.name.startswith("lineshaft_"):  # not what prometheus_client tells of any process
                yield row(family, labels, "gateway" if family.name == "lineshaft_redis_up" else where)


def row(family: Metric, labels: Iterable[str], where: str) -> Row:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return name, family.type, ", ".join(f"`{label}`" for label in labels), where


def test_the_table_is_what_the_code_has() -> None:
    declared = {
        *families("every", COMMON),
        *families("gateway", HttpMetrics().registry),
        *families("worker", RUNS),
        *families("worker", PARENT),
        *families("worker", UPKEEP),
        *families("installation", Families(None)),
    }
    assert set(_ROW.findall((ROOT / "deploy/metrics.md").read_text())) == declared


def test_labels_have_few_values() -> None:
    allowed = {
        "action", "attempt", "code", "graph", "kind", "langgraph", "method", "mode", "operation", "outcome", "phase",
        "process", "queue", "reason", "result", "role", "route", "source", "state", "status", "version",
    }  # fmt: skip
    text = (ROOT / "deploy/metrics.md").read_text()
    assert {label for _, _, labels, _ in _ROW.findall(text) for label in re.findall(r"\w+", labels)} <= allowed


def test_what_every_gateway_tells_alike_is_never_added_up() -> None:
    """With three gateways a sum would show three times as many runs as there are."""
    installation = {
        name for name, _, _, where in _ROW.findall((ROOT / "deploy/metrics.md").read_text()) if where == "installation"
    }
    files = [ROOT / "deploy" / name for name in ("alerts.yaml", "grafana/lineshaft.json", "runbook.md", "metrics.md")]
    summed = {
        name
        for file in files
        for name in re.findall(r"sum(?: by \([^)]*\))? ?\((?:\w+\()?(lineshaft_\w+)", file.read_text())
    }
    assert "lineshaft_runs_finished_total" in summed
    assert summed & installation == set()
