"""A client that counts how many commands each script has run: for how long one holds Redis up, whatever the machine."""

from typing import Any

from typing_extensions import override

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client


class CountingClient(Client):
    """For one call at a time; nobody else may ask this Redis meanwhile."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.most: dict[str, int] = {}  # of one call, by script

    @override
    async def script(self, name: str, **args: Any) -> Any:
        before = await self._run_so_far()
        try:
            return await super().script(name, **args)
        finally:
            self.most[name] = max(self.most.get(name, 0), await self._run_so_far() - before)

    async def _run_so_far(self) -> int:
        """Commands that Redis has run, those inside scripts too."""
        stats = await self.redis.info("commandstats")
        return sum(int(row["calls"]) for row in stats.values())
