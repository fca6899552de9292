"""Numbers about what is done beside the runs, in parents of workers: crons, webhooks, the end of lifetimes."""

from prometheus_client import Counter, Histogram

from .metrics import SHORT, Registry

UPKEEP = Registry()

CRON_FIRES = Counter("lineshaft_cron_fires", "Times of crons that came.", ["outcome"], registry=UPKEEP)
CRON_LATENESS = Histogram(
    "lineshaft_cron_lateness_seconds",
    "How late a cron's run was made.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0),
    registry=UPKEEP,
)
WEBHOOKS = Counter("lineshaft_webhook_attempts", "Calls of webhooks that were made.", ["outcome"], registry=UPKEEP)
WEBHOOK_SECONDS = Histogram(
    "lineshaft_webhook_duration_seconds", "One call of a webhook, to its answer.", buckets=SHORT, registry=UPKEEP
)
SWEPT = Counter("lineshaft_swept", "What was removed since its time was over.", ["kind"], registry=UPKEEP)

# As reconciler.py names them.
for _kind in (
    "expired_thread", "pruned_thread", "expired_item", "unreferenced_value", "unfinished_copy_of_a_thread",
    "rest_of_a_thread", "old_dead_letter",
):  # fmt: skip
    SWEPT.labels(_kind)
for _outcome in ("fired", "passed", "refused", "failed"):
    CRON_FIRES.labels(_outcome)
for _outcome in ("delivered", "waiting", "failed"):
    WEBHOOKS.labels(_outcome)
