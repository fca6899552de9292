"""Names of the keys in Redis that hold the queues of runs: a part of `keys.py`."""


class QueueKeys:
    """A part of `Keys`."""

    prefix: str

    def queue(self, queue: str) -> str:
        """ZSET run id -> due time in ms; a claimed run is hidden by a score in the far future."""
        return f"{self.prefix}arq:queue:{queue}"

    def line(self, queue: str) -> str:
        """ZSET of the runs that can be claimed -> their place, see lua/lib/line.lua."""
        return f"{self.prefix}ls:line:{queue}"

    def share(self, queue: str) -> str:
        """HASH, whose turn it is in a queue's line, and how many runs wait: see lua/lib/line.lua."""
        return f"{self.prefix}ls:share:{queue}"

    def parked(self, queue: str, cause: str) -> str:
        """ZSET of due runs for which a limit has no slot -> their place; see lua/lib/limits.lua."""
        return f"{self.prefix}ls:parked:{queue}:{cause}"

    def holders(self, cause: str) -> str:
        """SET of the runs that a limit counts."""
        return f"{self.prefix}ls:holders:{cause}"

    def limited(self) -> str:
        """SET of the causes (`tenant <name>`, `graph <id>`) for which a limit was ever asked."""
        return f"{self.prefix}ls:limited"

    def queues(self) -> str:
        """HASH queue -> what was ordered for it (open, paused, draining); all that were ever used stand in it."""
        return f"{self.prefix}ls:queues"

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
