"""Every key and channel name that Lineshaft uses in Redis, one function each.

The Lua scripts get the same functions as `K.<name>(...)`, generated from these by `script.py`, so a name is written
down once. Names that begin with `arq:` have arq's own formats (arq 0.28, `arq/constants.py`): with an empty prefix
`arq.jobs.Job` reads them.
"""


class Keys:
    """Names under one prefix (`REDIS_KEY_PREFIX`); two installations with different prefixes never meet."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix

    # the queue
    def queue(self, queue: str) -> str:
        """ZSET run id -> due time in ms; a claimed run is hidden by a score in the far future."""
        return f"{self.prefix}arq:queue:{queue}"

    def job(self, run_id: str) -> str:
        """STRING, arq's job payload (msgpack)."""
        return f"{self.prefix}arq:job:{run_id}"

    def in_progress(self, run_id: str) -> str:
        """STRING '1' while a worker holds the run."""
        return f"{self.prefix}arq:in-progress:{run_id}"

    def wake(self, queue: str) -> str:
        """LIST with at most one resting token: whoever pops it looks for work."""
        return f"{self.prefix}ls:wake:{queue}"

    def timer(self, queue: str) -> str:
        """STRING, the due time in ms for which some idle worker keeps a timer."""
        return f"{self.prefix}ls:timer:{queue}"

    # workers
    def workers(self) -> str:
        """ZSET worker incarnation -> end of its lease in ms."""
        return f"{self.prefix}ls:workers"

    def worker(self, worker: str) -> str:
        """HASH about one incarnation: host, pid, started, graphs."""
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

    # threads
    def thread(self, thread_id: str) -> str:
        """HASH, the thread's record."""
        return f"{self.prefix}ls:thread:{thread_id}"

    def thread_snapshot(self, thread_id: str) -> str:
        """HASH, the state that the last finished run or state write stored: rev, state, interrupts, error."""
        return f"{self.prefix}ls:thread:{thread_id}:snapshot"

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

    def threads_with_status(self, status: str) -> str:
        """SET of thread ids in one status."""
        return f"{self.prefix}ls:threads:status:{status}"

    def threads_with(self, leaf: str) -> str:
        """SET of thread ids whose metadata has one indexed leaf (`path=value`, or its digest)."""
        return f"{self.prefix}ls:threads:with:{leaf}"

    # checkpoints of a thread
    def checkpoint_namespaces(self, thread_id: str) -> str:
        """SET of the thread's checkpoint namespaces."""
        return f"{self.prefix}ls:thread:{thread_id}:ns"

    def checkpoint_ids(self, thread_id: str, ns: str) -> str:
        """ZSET, score 0, of checkpoint ids: lexicographic order is time order."""
        return f"{self.prefix}ls:thread:{thread_id}:ids:{ns}"

    def checkpoint_headers(self, thread_id: str, ns: str) -> str:
        """HASH checkpoint id -> header, `<id>:f` -> parent and blob fields."""
        return f"{self.prefix}ls:thread:{thread_id}:headers:{ns}"

    def checkpoint_blobs(self, thread_id: str, ns: str) -> str:
        """HASH `<channel>\\0<version>` -> value, or a reference to slices."""
        return f"{self.prefix}ls:thread:{thread_id}:blobs:{ns}"

    def checkpoint_writes(self, thread_id: str, ns: str, checkpoint_id: str) -> str:
        """HASH `<task id>\\0<idx>` -> pending write of one checkpoint."""
        return f"{self.prefix}ls:thread:{thread_id}:writes:{ns}:{checkpoint_id}"

    def checkpoint_early_writes(self, thread_id: str) -> str:
        """SET of `<ns>\\0<checkpoint id>` that have pending writes before (perhaps for ever) they have a header."""
        return f"{self.prefix}ls:thread:{thread_id}:early"

    def checkpoint_large_ids(self, thread_id: str) -> str:
        """SET of the ids of large values that some header or write of the thread has named."""
        return f"{self.prefix}ls:thread:{thread_id}:large"

    def checkpoint_large(self, thread_id: str, value_id: str) -> str:
        """HASH slice number -> slice of one large value; it has a TTL until a header or write names it."""
        return f"{self.prefix}ls:thread:{thread_id}:large:{value_id}"

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
        """HASH about one graph: descriptor (JSON), revision, worker, published (ms), error (if it does not load)."""
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
        """STRING, which worker answers the query."""
        return f"{self.prefix}ls:query:{query_id}:taken"

    def query_answer(self, query_id: str) -> str:
        """LIST with the one answer."""
        return f"{self.prefix}ls:query:{query_id}:answer"

    # long-term store
    def store_namespaces(self) -> str:
        """ZSET, score 0, of store namespaces (labels joined by \\0)."""
        return f"{self.prefix}ls:store:namespaces"

    def store_items(self, namespace: str) -> str:
        """HASH item key -> document, of one namespace."""
        return f"{self.prefix}ls:store:items:{namespace}"

    def store_order(self, namespace: str) -> str:
        """ZSET item key -> created_at in us, of one namespace: the order in which a search walks it."""
        return f"{self.prefix}ls:store:order:{namespace}"

    def store_expiry(self) -> str:
        """ZSET `<namespace>\\0\\0<key>` -> expiry in ms."""
        return f"{self.prefix}ls:store:expiry"

    # large values
    def blob(self, blob_id: str) -> str:
        """LIST of slices of one immutable value; invisible until a header names it."""
        return f"{self.prefix}ls:blob:{blob_id}"
