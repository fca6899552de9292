"""Names of the keys in Redis that hold crons: a part of `keys.py`."""


class CronKeys:
    """A part of `Keys`."""

    prefix: str

    def cron(self, cron_id: str) -> str:
        """HASH, the cron: head (JSON), payload (JSON), version, next, ends, enabled, thread, assistant, times in ms.

        And how it went last: fired (ms), fired_for (ms, the time that it was for), fired_run, outcome.
        """
        return f"{self.prefix}ls:cron:{cron_id}"

    def crons(self) -> str:
        """ZSET of all cron ids -> created_at in ms."""
        return f"{self.prefix}ls:crons"

    def crons_due(self) -> str:
        """ZSET of the ids of crons that are to fire -> when they do next, in ms."""
        return f"{self.prefix}ls:crons:due"

    def crons_of_thread(self, thread_id: str) -> str:
        """SET of the ids of the crons on a thread; they go with it."""
        return f"{self.prefix}ls:crons:thread:{thread_id}"

    def crons_of_assistant(self, assistant_id: str) -> str:
        """SET of the ids of the crons that run an assistant; they go with it."""
        return f"{self.prefix}ls:crons:assistant:{assistant_id}"
