"""Crons. They are taken without being turned on: two servers would fire each of them."""

from typing import Any

from lineshaft.errors import NotFound, Refused

from .report import Report
from .server import Server

# In a cron's metadata: its id where it came from, by which it is found again.
ORIGIN = "migrated_from"
_ASIDE = ("schedule", "timezone", "end_time", "on_run_completed")


def move_crons(source: Server, target: Server, report: Report, *, dry: bool, enable: bool) -> None:
    """Take all that are not there; with `enable` those that are on at the source are turned on, and it must be off."""
    for cron in source.pages("/runs/crons/search", {"sort_by": "created_at", "sort_order": "asc"}):
        name = f"cron {cron['cron_id']} ({cron['schedule']})"
        try:
            _move(target, cron, report, dry=dry, enable=enable)
        except (NotFound, Refused) as error:
            report.miss(str(error), name)


def _move(target: Server, cron: dict[str, Any], report: Report, *, dry: bool, enable: bool) -> None:
    enabled = enable and cron.get("enabled", True)
    there = next(target.pages("/runs/crons/search", {"metadata": {ORIGIN: cron["cron_id"]}}), None)
    if there:
        if enabled and not there["enabled"] and not dry:
            target.ask("PATCH", f"/runs/crons/{there['cron_id']}", {"enabled": True})
        report.find("crons")
        return
    if not dry:
        thread = cron.get("thread_id")
        body = {
            **(cron.get("payload") or {}),
            **{field: cron[field] for field in _ASIDE if cron.get(field) is not None},
            "assistant_id": cron["assistant_id"],
            "metadata": {**(cron.get("metadata") or {}), ORIGIN: cron["cron_id"]},
            "enabled": enabled,
        }
        body = {field: value for field, value in body.items() if value is not None and field not in _IDS}
        target.ask("POST", f"/threads/{thread}/runs/crons" if thread else "/runs/crons", body)
    report.take("crons")


_IDS = ("thread_id", "cron_id", "user_id")
