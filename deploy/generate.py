"""Writes what is made of something else: `make generated`. A test finds out when that was forgotten.

- the PrometheusRule, of alerts.yaml;
- the Grafana dashboard, of the rows below: their JSON is too long to be read, let alone reviewed.
"""

import json
from pathlib import Path
from typing import Any

DEPLOY = Path(__file__).parent
RULES = DEPLOY / "kustomize/components/prometheus-operator/rules.yaml"
DASHBOARD = DEPLOY / "grafana/lineshaft.json"
_RULE = """\
# Made of alerts.yaml by `make generated`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: lineshaft
  namespace: lineshaft
spec:
"""
# What the dashboard's variables choose.
_WHERE = 'namespace=~"$namespace"'
_QUEUE = f'{_WHERE},queue=~"$queue"'
_GRAPH = f'{_QUEUE},graph=~"$graph"'
_RATE = "[$__rate_interval]"
_SOURCE = {"type": "prometheus", "uid": "$datasource"}
_WIDTH = 24  # columns of a Grafana row
_HEIGHT = 8

Queries = dict[str, str]  # expr -> legend


def rules() -> str:
    """The PrometheusRule with all of alerts.yaml in it."""
    lines = (DEPLOY / "alerts.yaml").read_text().splitlines()
    return _RULE + "".join(f"  {line}\n" if line else "\n" for line in lines if not line.startswith("#"))


def _panel(title: str, queries: Queries, *, unit: str = "short", kind: str = "timeseries", stack: bool = False) -> Any:
    custom = {"fillOpacity": 30, "stacking": {"mode": "normal"}} if stack else {"fillOpacity": 5}
    targets: list[dict[str, Any]] = [
        {"refId": chr(65 + i), "expr": expr, "legendFormat": legend, "datasource": _SOURCE}
        for i, (expr, legend) in enumerate(queries.items())
    ]
    if kind == "heatmap":
        targets = [{**target, "format": "heatmap"} for target in targets]
    return {
        "title": title,
        "type": kind,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": custom}, "overrides": []},
        "options": {"calculate": False} if kind == "heatmap" else {"legend": {"displayMode": "list"}},
        "targets": targets,
    }


def _quantiles(metric: str, *shares: float, by: str = "", where: str = _QUEUE) -> Queries:
    group = f"{by}, le" if by else "le"
    return {
        f"histogram_quantile({share}, sum by ({group}) (rate({metric}_bucket{{{where}}}{_RATE})))": (
            f"{{{{{by}}}}} p{share * 100:g}" if by else f"p{share * 100:g}"
        )
        for share in shares
    }


def _rate(metric: str, by: str, where: str = _WHERE) -> Queries:
    legend = " ".join(f"{{{{{label}}}}}" for label in by.split(", "))
    return {f"sum by ({by}) (rate({metric}{{{where}}}{_RATE}))": legend}


def _installation(metric: str, by: str = "", where: str = _WHERE) -> Queries:
    """What every gateway tells alike."""
    legend = " ".join(f"{{{{{label}}}}}" for label in by.split(", ")) if by else ""
    return {f"max by ({by}) ({metric}{{{where}}})" if by else f"max({metric}{{{where}}})": legend}


def _rows() -> dict[str, list[Any]]:
    failed = 'outcome=~"timeout|dead_letter|graph_changed|no_graph"'
    return {
        "Service levels": [
            _panel(
                "Runs that fail for reasons of the server, over what 99 % allow",
                {
                    f"sum by (queue) (rate(lineshaft_runs_finished_total{{{_QUEUE},{failed}}}[1h]))"
                    f" / sum by (queue) (rate(lineshaft_runs_finished_total{{{_QUEUE}}}[1h])) / 0.01": "{{queue}}"
                },
            ),
            _panel("Wait for a worker", _quantiles("lineshaft_run_queue_wait_seconds", 0.5, 0.95, 0.99), unit="s"),
            _panel("From due to ended", _quantiles("lineshaft_run_end_to_end_seconds", 0.5, 0.95), unit="s"),
            _panel("To the first event", _quantiles("lineshaft_run_time_to_first_event_seconds", 0.5, 0.95), unit="s"),
        ],
        "Queues": [
            _panel("Runs by state", _installation("lineshaft_queue_runs", "queue, state", _QUEUE), stack=True),
            _panel(
                "The first that is ready has waited",
                _installation("lineshaft_queue_oldest_ready_age_seconds", "queue", _QUEUE),
                unit="s",
            ),
            _panel(
                "Slots: running of all",
                {
                    f'max by (queue) (lineshaft_queue_runs{{{_QUEUE},state="running"}})': "{{queue}} running",
                    f"max by (queue) (lineshaft_queue_slots{{{_QUEUE}}})": "{{queue}} slots",
                },
            ),
            _panel(
                "Accepted and ended",
                {
                    f"max by (queue) (rate(lineshaft_runs_enqueued_total{{{_QUEUE}}}{_RATE}))": "{{queue}} accepted",
                    f"sum by (queue) (rate(lineshaft_runs_finished_total{{{_QUEUE}}}{_RATE}))": "{{queue}} ended",
                },
                unit="ops",
            ),
        ],
        "Runs": [
            _panel("Outcomes", _rate("lineshaft_runs_finished_total", "outcome", _GRAPH), unit="ops", stack=True),
            _panel(
                "Duration of attempts",
                {f"sum by (le) (increase(lineshaft_run_duration_seconds_bucket{{{_GRAPH}}}{_RATE}))": "{{le}}"},
                unit="s",
                kind="heatmap",
            ),
            _panel("Attempts by reason", _rate("lineshaft_run_attempts_total", "reason", _QUEUE), unit="ops"),
            _panel(
                "Taken from workers that died, and writes that were refused",
                {
                    f"max by (result) (increase(lineshaft_runs_recovered_total{{{_WHERE}}}{_RATE}))": "{{result}}",
                    f"sum(increase(lineshaft_fenced_writes_total{{{_WHERE}}}{_RATE}))": "fenced writes",
                },
            ),
            _panel(
                "Cancels",
                {
                    "max by (action, phase)"
                    f" (increase(lineshaft_run_cancellations_total{{{_WHERE}}}{_RATE}))": "{{action}} {{phase}}"
                },
            ),
            _panel(
                "A cancelled run's end",
                _quantiles("lineshaft_run_cancel_latency_seconds", 0.5, 0.95, where=_WHERE),
                unit="s",
            ),
        ],
        "Workers": [
            _panel("Workers that are alive", _installation("lineshaft_workers")),
            _panel("Slots by state", {f"sum by (state) (lineshaft_worker_slots{{{_QUEUE}}})": "{{state}}"}, stack=True),
            _panel(
                "Event loops come late by",
                _quantiles("lineshaft_event_loop_lag_seconds", 0.99, by="instance", where=_WHERE),
                unit="s",
            ),
            _panel("Processes for graphs that ended", _rate("lineshaft_worker_children_ended_total", "reason")),
            _panel("Draining", {f"sum(lineshaft_worker_draining{{{_WHERE}}})": "workers"}),
        ],
        "Gateways": [
            _panel("Requests", _rate("lineshaft_http_requests_total", "code"), unit="reqps", stack=True),
            _panel(
                "Failed",
                {f'sum by (route) (rate(lineshaft_http_requests_total{{{_WHERE},code=~"5.."}}{_RATE}))': "{{route}}"},
                unit="reqps",
            ),
            _panel(
                "Latency",
                _quantiles("lineshaft_http_request_duration_seconds", 0.95, by="route", where=_WHERE),
                unit="s",
            ),
            _panel("Open streams", {f"sum by (kind) (lineshaft_http_streams_open{{{_WHERE}}})": "{{kind}}"}),
            _panel(
                "Refused by a limit (429)",
                {f'sum(rate(lineshaft_http_requests_total{{{_WHERE},code="429"}}{_RATE}))': "429"},
                unit="reqps",
            ),
            _panel("Streams that went on elsewhere", _rate("lineshaft_stream_resumes_total", "outcome")),
        ],
        "Redis": [
            _panel(
                "Memory",
                {
                    f"max(lineshaft_redis_memory_used_bytes{{{_WHERE}}})": "used",
                    f"max(lineshaft_redis_memory_max_bytes{{{_WHERE}}})": "limit",
                },
                unit="bytes",
            ),
            _panel(
                "Round trips",
                _quantiles("lineshaft_redis_call_duration_seconds", 0.5, 0.99, where=_WHERE),
                unit="s",
            ),
            _panel("Round trips that failed", _rate("lineshaft_redis_errors_total", "reason"), unit="ops"),
            _panel(
                "Connections, replicas",
                {
                    f"max(lineshaft_redis_clients{{{_WHERE}}})": "connections",
                    f"max(lineshaft_redis_replicas{{{_WHERE}}})": "replicas",
                },
            ),
        ],
        "Beside the runs": [
            _panel("Crons", _rate("lineshaft_cron_fires_total", "outcome")),
            _panel("Crons fire late by", _quantiles("lineshaft_cron_lateness_seconds", 0.95, where=_WHERE), unit="s"),
            _panel("Webhooks", _rate("lineshaft_webhook_attempts_total", "outcome")),
            _panel("Removed since its time was over", _rate("lineshaft_swept_total", "kind")),
            _panel(
                "Given up",
                {
                    f"max(lineshaft_dead_letter_runs{{{_WHERE}}})": "dead letters",
                    f"max(lineshaft_webhooks_failed{{{_WHERE}}})": "webhooks",
                },
            ),
            _panel(
                "Mended by the reconciler",
                {f"max by (kind) (increase(lineshaft_repairs_total{{{_WHERE}}}[1h]))": "{{kind}}"},
            ),
        ],
    }


def _variable(name: str, metric: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": _SOURCE,
        "query": f"label_values({metric}, {name})",
        "refresh": 2,  # when the time range changes
        "includeAll": True,
        "allValue": ".*",  # also what has no such label, as outside of Kubernetes
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard() -> str:
    """The dashboard's JSON, as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in _rows().items():
        place = {"h": 1, "w": _WIDTH, "x": 0, "y": top}
        panels.append({"type": "row", "title": title, "gridPos": place, "collapsed": False, "panels": []})
        top += 1
        width = _WIDTH // (3 if len(row) % 3 == 0 else 2)
        left = 0
        for panel in row:
            panels.append({**panel, "gridPos": {"h": _HEIGHT, "w": width, "x": left, "y": top}})
            left = (left + width) % _WIDTH
            top += _HEIGHT if left == 0 else 0
        top += _HEIGHT if left else 0
    document = {
        "title": "Lineshaft",
        "uid": "lineshaft",
        "tags": ["lineshaft"],
        "schemaVersion": 39,  # of Grafana 10.4; later ones bring it up to theirs
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus"},
                _variable("namespace", "lineshaft_workers"),
                _variable("queue", "lineshaft_queue_runs"),
                _variable("graph", "lineshaft_runs_finished_total"),
            ]
        },
        "panels": [{"id": i, **panel} for i, panel in enumerate(panels, 1)],
    }
    return json.dumps(document, indent=1) + "\n"


def main() -> None:
    """Write both files."""
    DASHBOARD.parent.mkdir(exist_ok=True)
    RULES.write_text(rules())
    DASHBOARD.write_text(dashboard())


if __name__ == "__main__":
    main()
