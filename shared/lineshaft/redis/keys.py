"""Every key and channel name that Lineshaft uses in Redis, one function each.

The Lua scripts get the same functions as `K.<name>(...)`, generated from these by `script.py`, so a name is written
down once. Names that begin with `arq:` have arq's own formats (arq 0.28, `arq/constants.py`): with an empty prefix
`arq.jobs.Job` reads them.
"""

from .checkpoint_keys import CheckpointKeys
from .cron_keys import CronKeys
from .operation_keys import OperationKeys
from .queue_keys import QueueKeys
from .store_keys import StoreKeys


class Keys(CheckpointKeys, CronKeys, OperationKeys, QueueKeys, StoreKeys):
    """Names under one prefix (`REDIS_KEY_PREFIX`); two installations with different prefixes never meet."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix

    # workers
    def workers(self) -> str:
        """ZSET worker incarnation -> end of its lease in ms."""
        return f"{self.prefix}ls:workers"

    def worker(self, worker: str) -> str:
        """HASH about one incarnation: host, pid, slots, started, queues (`NAME:WEIGHT,...` that share its slots).

        And `graph:<id>` -> revision for each graph it has.
        """
        return f"{self.prefix}ls:worker:{worker}"

    def worker_runs(self, worker: str) -> str:
        """SET of the run ids that one incarnation holds."""
        return f"{self.prefix}ls:worker:{worker}:runs"

    def worker_channel(self, worker: str) -> str:
        """CHANNEL on which a worker hears which of its runs to cancel."""
        return f"{self.prefix}ls:ctl:{worker}"

    def beat(self) -> str:
        """STRING, ms of the last lease renewal by any worker."""
        return f"{self.prefix}ls:beat"

    def grace(self) -> str:
        """STRING that exists while reaping pauses after a fleet-wide silence."""
        return f"{self.prefix}ls:grace"

    def reconciler(self) -> str:
        """STRING, the worker that looks for inconsistencies; its TTL is the lease of that office."""
        return f"{self.prefix}ls:reconciler"

    def repairs(self) -> str:
        """HASH kind of inconsistency -> how many were found and repaired, ever."""
        return f"{self.prefix}ls:repairs"

    def counts(self) -> str:
        """HASH of what only scripts know: `enqueued:<queue>`, `recovered:<result>`, `cancelled:<action>:<phase>`."""
        return f"{self.prefix}ls:counts"

    def memory(self) -> str:
        """STRING, how full Redis is if it is too full for new runs, else empty; looked at once a second at most."""
        return f"{self.prefix}ls:memory"

    def dead(self) -> str:
        """STREAM of dead letters."""
        return f"{self.prefix}ls:dead"

    # runs
    def run(self, run_id: str) -> str:
        """HASH, the run's record."""
        return f"{self.prefix}ls:run:{run_id}"

    def run_input(self, run_id: str) -> str:
        """LIST of slices of the run's input or command (JSON)."""
        return f"{self.prefix}ls:run:{run_id}:input"

    def run_blobs(self, run_id: str) -> str:
        """LIST of the ids of the run's large events."""
        return f"{self.prefix}ls:run:{run_id}:blobs"

    def run_checkpoints(self, run_id: str) -> str:
        """SET of `<thread id>\\0<checkpoint_ns>\\0<checkpoint_id>` that the run wrote."""
        return f"{self.prefix}ls:run:{run_id}:checkpoints"

    def run_kept_writes(self, run_id: str) -> str:
        """HASH, the writes that other runs' checkpoints had before this run added its own.

        `<thread id>\\0<checkpoint_ns>\\0<checkpoint_id>` -> '' marks a checkpoint whose writes are kept, and with
        `\\0<task id>\\0<idx>` behind it the field holds one of these writes.
        """
        return f"{self.prefix}ls:run:{run_id}:kept"

    # calls at the end of runs
    def webhooks(self) -> str:
        """ZSET receiver (host and port) -> ms at which the first of its calls is due."""
        return f"{self.prefix}ls:webhooks:receivers"

    def webhooks_to(self, receiver: str) -> str:
        """ZSET run id -> ms at which its call is due; while an attempt goes on, when it would be taken for lost."""
        return f"{self.prefix}ls:webhooks:to:{receiver}"

    def webhooks_failed(self) -> str:
        """ZSET run id -> ms at which its call was given up."""
        return f"{self.prefix}ls:webhooks:failed"

    def webhook(self, run_id: str) -> str:
        """HASH, the call: url, content (JSON), outcome, attempts.

        And for each attempt: `began:<n>` (ms), `ended:<n>` (ms), `said:<n>` (what became of it).
        """
        return f"{self.prefix}ls:webhook:{run_id}"

    # threads
    def thread(self, thread_id: str) -> str:
        """HASH, the thread's record."""
        return f"{self.prefix}ls:thread:{thread_id}"

    def thread_snapshot(self, thread_id: str) -> str:
        """HASH, the state that the last finished run or state write stored: rev, state, interrupts, error.

        Of a large state there is `s<id>.<bytes>` instead, which names its slices.
        """
        return f"{self.prefix}ls:thread:{thread_id}:snapshot"

    def thread_state(self, thread_id: str, state_id: str) -> str:
        """LIST of slices of a state that is too large for the snapshot; it has a TTL unless the snapshot names it."""
        return f"{self.prefix}ls:thread:{thread_id}:state:{state_id}"

    def thread_waiting(self, thread_id: str) -> str:
        """ZSET of the thread's runs that are not claimed: run id -> due time in ms."""
        return f"{self.prefix}ls:thread:{thread_id}:waiting"

    def thread_runs(self, thread_id: str) -> str:
        """ZSET of all kept runs of the thread: run id -> created_at in ms."""
        return f"{self.prefix}ls:thread:{thread_id}:runs"

    def thread_events(self, thread_id: str) -> str:
        """STREAM, the thread's event log."""
        return f"{self.prefix}ls:thread:{thread_id}:events"

    def thread_inbox(self, thread_id: str) -> str:
        """LIST of posted messages (JSON) that no run has taken."""
        return f"{self.prefix}ls:thread:{thread_id}:inbox"

    def thread_held(self, thread_id: str) -> str:
        """LIST of messages that the active run has taken and not yet made part of the state."""
        return f"{self.prefix}ls:thread:{thread_id}:held"

    def thread_answer(self, thread_id: str) -> str:
        """HASH, a state that a worker was asked for while a run went on: rev, state. It has a TTL."""
        return f"{self.prefix}ls:thread:{thread_id}:answer"

    def thread_bell(self, thread_id: str) -> str:
        """CHANNEL that rings when the thread's log has grown."""
        return f"{self.prefix}ls:bell:{thread_id}"

    def threads_by_created(self) -> str:
        """ZSET of all thread ids -> created_at in ms."""
        return f"{self.prefix}ls:threads:created"

    def threads_by_updated(self) -> str:
        """ZSET of all thread ids -> updated_at in ms."""
        return f"{self.prefix}ls:threads:updated"

    def threads_by_state_updated(self) -> str:
        """ZSET of all thread ids -> state_updated_at in ms."""
        return f"{self.prefix}ls:threads:state_updated"

    def threads_by_id(self) -> str:
        """ZSET, score 0, of all thread ids: the order of the ids themselves."""
        return f"{self.prefix}ls:threads:ids"

    def threads_temporary(self) -> str:
        """ZSET of the ids of all temporary threads, which stand in no other index -> created_at in ms."""
        return f"{self.prefix}ls:threads:temporary"

    def threads_by_expiry(self) -> str:
        """ZSET of the ids of threads with a lifetime -> ms, not later than its end: the thread may have changed."""
        return f"{self.prefix}ls:threads:expiry"

    def threads_disposed(self) -> str:
        """SET of the ids of threads that are gone, and of which checkpoints are left to be deleted."""
        return f"{self.prefix}ls:threads:disposed"

    def threads_unfinished(self) -> str:
        """ZSET of the ids of threads that are being made as copies and are not there yet -> ms of their last piece."""
        return f"{self.prefix}ls:threads:unfinished"

    def threads_with_garbage(self) -> str:
        """SET of the ids of threads in which values may be left that no checkpoint names."""
        return f"{self.prefix}ls:threads:garbage"

    def threads_with_status(self, status: str) -> str:
        """SET of thread ids in one status."""
        return f"{self.prefix}ls:threads:status:{status}"

    def threads_with(self, leaf: str) -> str:
        """SET of thread ids whose metadata has one indexed leaf (`path=value`, or its digest)."""
        return f"{self.prefix}ls:threads:with:{leaf}"

    # assistants
    def assistant(self, assistant_id: str) -> str:
        """HASH, the assistant's current version."""
        return f"{self.prefix}ls:assistant:{assistant_id}"

    def assistant_versions(self, assistant_id: str) -> str:
        """HASH version -> `<created_at in ms> <doc>`, every version that was ever current."""
        return f"{self.prefix}ls:assistant:{assistant_id}:versions"

    def assistants(self) -> str:
        """ZSET of all assistant ids -> created_at in ms."""
        return f"{self.prefix}ls:assistants"

    # graphs
    def graph(self, graph_id: str) -> str:
        """HASH about one graph: descriptor (JSON), revision, error (if it does not load) of what is served.

        And for each revision that a worker has: `doc:<revision>`, `error:<revision>`, `first:<revision>` (ms).
        """
        return f"{self.prefix}ls:graph:{graph_id}"

    def graphs(self) -> str:
        """SET of the ids of all graphs that a worker has published."""
        return f"{self.prefix}ls:graphs"

    # questions only a graph can answer
    def queries(self) -> str:
        """LIST of ids of offered state queries."""
        return f"{self.prefix}ls:queries"

    def query(self, query_id: str) -> str:
        """STRING, one query; it exists while its asker still waits."""
        return f"{self.prefix}ls:query:{query_id}"

    def query_taken(self, query_id: str) -> str:
        """STRING, which worker answers the query, and the id of its attempt to take it."""
        return f"{self.prefix}ls:query:{query_id}:taken"

    def query_answer(self, query_id: str) -> str:
        """LIST with the one answer."""
        return f"{self.prefix}ls:query:{query_id}:answer"

    def format(self) -> str:
        """STRING, the version of the format in which all of this is stored."""
        return f"{self.prefix}ls:format"

    # who may call
    def api_keys(self) -> str:
        """HASH key id -> record (JSON), and `<key id>:used` -> ms of its last use."""
        return f"{self.prefix}ls:api_keys"

    def rate(self, bucket: str) -> str:
        """HASH tokens, at (ms): what is left of one caller's limit. It has a TTL."""
        return f"{self.prefix}ls:rate:{bucket}"

    # calls
    def answered(self, request: str) -> str:
        """STRING, for a minute the answer of a call that is repeated when it got lost."""
        return f"{self.prefix}ls:answered:{request}"

    # large values
    def blob(self, blob_id: str) -> str:
        """LIST of slices of one immutable value; invisible until a header names it."""
        return f"{self.prefix}ls:blob:{blob_id}"
