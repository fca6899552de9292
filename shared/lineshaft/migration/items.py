"""Items of the long-term store."""

from lineshaft.errors import NotFound, Refused

from .report import Report
from .server import Server


def move_items(source: Server, target: Server, report: Report, *, dry: bool) -> None:
    """Take all that are not there. One that is there with another value stays as it is: it may be newer."""
    roots = source.pages("/store/namespaces", {"max_depth": 1}, of="namespaces")
    for root in sorted({namespace[0] for namespace in roots if namespace}):
        for item in source.pages("/store/items/search", {"namespace_prefix": [root]}, of="items"):
            namespace, key = item["namespace"], item["key"]
            name = f"item {'.'.join(namespace)} {key}"
            try:
                there = target.find("/store/items", namespace=".".join(namespace), key=key)
                if there is None:
                    if not dry:
                        target.ask("PUT", "/store/items", {"namespace": namespace, "key": key, "value": item["value"]})
                    report.take("items")
                    continue
            except (NotFound, Refused) as error:
                report.miss(str(error), name)
                continue
            if there["value"] != item["value"]:
                report.miss("it is there with another value, which stays", name)
            report.find("items")
