"""Assistants with their versions."""

from typing import Any

from lineshaft.errors import NotFound, Refused

from .report import Report
from .server import Server

_CONTENT = ("graph_id", "name", "description", "config", "context", "metadata")


def move_assistants(source: Server, target: Server, report: Report, *, dry: bool) -> None:
    """Take all that are not there; one that has fewer versions than its original gets the others."""
    for assistant in source.pages("/assistants/search", {"sort_by": "created_at", "sort_order": "asc"}):
        name = f"assistant {assistant['assistant_id']} ({assistant.get('name') or assistant['graph_id']})"
        try:
            _move(source, target, assistant, report, dry=dry)
        except (NotFound, Refused) as error:
            report.miss(str(error), name)


def _move(source: Server, target: Server, assistant: dict[str, Any], report: Report, *, dry: bool) -> None:
    place = f"/assistants/{assistant['assistant_id']}"
    versions = sorted(source.pages(f"{place}/versions"), key=lambda version: version["version"])
    versions = versions or [assistant]
    there = target.find(place)
    done = len(list(target.pages(f"{place}/versions"))) if there else 0
    if done >= len(versions):
        report.find("assistants")
        return
    if not dry:
        for version in versions[done:]:
            content = _content(version, assistant)
            if there is None:
                there = target.ask("POST", "/assistants", {**content, "assistant_id": assistant["assistant_id"]})
            else:
                target.ask("PUT", place, content)
        numbers = [version["version"] for version in versions]
        if (current := assistant.get("version", numbers[-1])) != numbers[-1] and current in numbers:
            target.ask("POST", f"{place}/latest", {"version": numbers.index(current) + 1})
        if numbers != list(range(1, len(numbers) + 1)):
            report.miss("its versions are numbered anew, from 1", f"assistant {assistant['assistant_id']}")
    report.take("assistants")


def _content(version: dict[str, Any], assistant: dict[str, Any]) -> dict[str, Any]:
    content = {field: version[field] for field in _CONTENT if version.get(field) is not None}
    # Some servers keep the description with the assistant only; one without it is no text, and not null either.
    if assistant.get("description") is not None:
        content.setdefault("description", assistant["description"])
    if (content.get("config") or {}).get("configurable"):
        content.pop("context", None)  # the same once more: each is made of the other, and a request may have one
    return content
