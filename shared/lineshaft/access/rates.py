"""How often somebody may do something: token buckets in Redis, so that all gateways count together."""

import hashlib
from typing import Literal

from lineshaft.errors import TooMany
from lineshaft.redis.client import Client

Kind = Literal["requests", "runs"]
_PERIODS: dict[Kind, tuple[int, str]] = {"requests": (60_000, "minute"), "runs": (86_400_000, "day")}  # ms, in words


async def take(client: Client, kind: Kind, who: str, limit: int, wanted: int = 1) -> None:
    """Count what `who` does against `limit` for a minute (requests) or a day (runs). Raises TooMany.

    All of it may be used at once, and comes back evenly.
    """
    period, word = _PERIODS[kind]
    says = f"You may have {limit} {kind if limit > 1 else kind.removesuffix('s')} a {word}"
    if wanted > limit:
        raise TooMany(f"{says}; these are {wanted} at once")
    name = hashlib.blake2b(who.encode(), digest_size=16).hexdigest()  # an identity may be of any length
    wait = await client.script("rate_take", bucket=f"{kind}:{name}", capacity=limit, period_ms=period, wanted=wanted)
    if wait:
        seconds = -(-int(wait) // 1000)
        raise TooMany(f"{says}: wait {seconds} s", retry_after=seconds)
