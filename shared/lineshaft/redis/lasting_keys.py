"""Which keys may stand in Redis without a time to live: all others would be left for ever if somebody forgot them."""

LASTING = (
    "ls:thread:*",
    "ls:threads:*",
    "ls:run:*",  # a run's record lives with its thread
    "ls:runs:*",  # indexes of these, bounded in number
    "ls:audit",  # likewise
    "ls:assistant:*",
    "ls:assistants",
    "ls:cron:*",
    "ls:crons*",
    "ls:graph:*",
    "ls:graphs",
    "ls:store:*",
    "ls:format",
    "ls:api_keys",
    "ls:repairs",
    "ls:counts",
    "ls:dead",
    "ls:queues",
    "ls:share:*",
    "ls:limited",
    "ls:webhooks:receivers",  # what waits to be sent; its records have a TTL
    "ls:webhooks:to:*",
    "ls:wake:*",  # one token, which rests until a worker wants work
)
# Those that stand as long as workers or runs do, which see to it that they go.
LIVING = ("arq:*", "ls:line:*", "ls:parked:*", "ls:holders:*", "ls:queries", "ls:worker:*:runs", "ls:workers")
