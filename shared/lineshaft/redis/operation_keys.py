"""Names of the keys in Redis by which operators find runs, and what they did: a part of `keys.py`."""


class OperationKeys:
    """A part of `Keys`."""

    prefix: str

    def runs_open(self) -> str:
        """ZSET of the ids of all runs that have not ended -> ms at which they were made."""
        return f"{self.prefix}ls:runs:open"

    def runs_open_in(self, queue: str) -> str:
        """SET of the same ids by queue. Those of them that stand in no queue wait for another run of their thread."""
        return f"{self.prefix}ls:runs:open:{queue}"

    def runs_ended(self) -> str:
        """ZSET of the ids of runs that ended lately -> ms of their end. The reconciler trims it."""
        return f"{self.prefix}ls:runs:ended"

    def runs_failed(self) -> str:
        """ZSET, the same of runs that ended in an error, or by their time limit."""
        return f"{self.prefix}ls:runs:failed"

    def audit(self) -> str:
        """STREAM of what operators did: who, action, target, filter (JSON), count, outcome. Bounded in number."""
        return f"{self.prefix}ls:audit"
