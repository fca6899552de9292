"""Alerts and dashboard ask for what the code counts, and lead to the runbook."""

import json
import re
from pathlib import Path
from typing import Any

import promql_parser
import yaml

import generate

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
ALERTS: dict[str, Any] = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/lineshaft.json").read_text())
# A sample of a histogram is called by one of these beside the family's own name.
PART = re.compile("_(bucket|sum|count)$")
SELECTOR = re.compile(r"(?<![\w:])(lineshaft_\w+)(?!\w*:)(?:\{([^}]*)\})?")
# What Prometheus adds to what we serve, and the bound of a histogram's bucket.
ADDED = {"instance", "namespace", "le"}


def queries() -> list[str]:
    """All of alerts and dashboard, with something in place of Grafana's variables."""
    shown = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    asked = [re.sub(r"\$__rate_interval", "1m", re.sub(r"\$[a-z]+", "x", expr)) for expr in shown]
    return [*asked, *(rule["expr"] for rule in RULES)]


def test_what_is_made_of_something_else_is_made_of_it() -> None:
    """Else: make generated."""
    assert (DEPLOY / "grafana/lineshaft.json").read_text() == generate.dashboard()
    assert generate.RULES.read_text() == generate.rules()
    assert yaml.safe_load(generate.rules())["spec"] == ALERTS


def test_every_query_is_one() -> None:
    assert len(queries()) > 60
    for query in queries():
        promql_parser.parse(query)


def metrics() -> dict[str, set[str]]:
    """Name -> labels, from the table that tests/deploy compares with the code."""
    rows = re.findall(r"^\| `(lineshaft_\w+)` \| \w+ \| (.*?) \|", (DEPLOY / "metrics.md").read_text(), re.MULTILINE)
    return {name: set(re.findall("`(\\w+)`", labels)) for name, labels in rows}


def test_every_query_asks_for_what_is_counted() -> None:
    known = metrics()
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    asked = 0
    for query in queries():
        for record in re.findall(r"\b[a-z_]+:[a-z0-9_:]+", query):
            assert record in recorded
        for name, matchers in SELECTOR.findall(query):
            labels = known.get(name) or known.get(PART.sub("", name))
            assert labels is not None, f"{name} is not in metrics.md"
            named = set(re.findall(r'(\w+)(?:=~|!~|!=|=)"', matchers))
            assert named <= labels | ADDED, query
            asked += 1
    assert asked > 80


def test_an_alert_leads_to_its_section_and_is_tried_both_ways() -> None:
    tried: dict[str, set[bool]] = {}
    for case in yaml.safe_load((DEPLOY / "alerts_test.yaml").read_text())["tests"]:
        for look in case["alert_rule_test"]:
            tried.setdefault(look["alertname"], set()).add(bool(look["exp_alerts"]))
    alerts = {rule["alert"]: rule for rule in RULES if "alert" in rule}
    assert len(alerts) == 21
    sections = re.findall(r"^### (\w+)$", (DEPLOY / "runbook.md").read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(alerts)
    for name, alert in alerts.items():
        assert alert["annotations"]["runbook"] == f"deploy/runbook.md#{name.lower()}"
        assert alert["labels"]["severity"] in ("page", "ticket")
        assert tried[name] == {True, False}, f"{name} is not tried where it fires and where it is quiet"


def test_panels_do_not_cover_one_another() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
                assert x < 24
