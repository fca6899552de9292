"""Numbers about a worker's parent and its child."""

from prometheus_client import Counter, Gauge, ProcessCollector

from lineshaft.telemetry.metrics import Registry

PARENT = Registry()

READY = Gauge("lineshaft_worker_ready", "1 while the graphs are loaded.", registry=PARENT)
RENEWED = Gauge(
    "lineshaft_worker_last_renewal_timestamp_seconds", "Unix time at which the lease was last renewed.", registry=PARENT
)
CHILDREN_ENDED = Counter(
    "lineshaft_worker_children_ended", "Processes for graphs that are over, by why.", ["reason"], registry=PARENT
)

_child = {"pid": 0}
ProcessCollector("lineshaft_worker_child", lambda: _child["pid"], registry=PARENT)


def watch_child(pid: int) -> None:
    """Tell the memory and CPU of this process from now on."""
    _child["pid"] = pid


for _reason in ("stopped", "replaced", "died", "silent", "lease_lost"):
    CHILDREN_ENDED.labels(_reason)
