"""Names of the keys in Redis that hold the checkpoints of a thread: a part of `keys.py`."""


class CheckpointKeys:
    """A part of `Keys`."""

    prefix: str

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
