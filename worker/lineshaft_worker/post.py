"""One call: a POST to a URL that a client has named, which reaches nothing that it may not.

Imported only by who has something to send: an HTTP client would make every worker's parent a third larger.
"""

import asyncio
import importlib.metadata
import ipaddress
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import Struct
from yarl import URL

from lineshaft.webhooks.policy import WebhookConfig

_USER_AGENT = f"lineshaft/{importlib.metadata.version('lineshaft')}"
# Threads of their own: a lookup cannot be stopped, and the loop's other threads wait for the worker's child.
_LOOKUPS = ThreadPoolExecutor(4, thread_name_prefix="webhook lookup")
# Answers of a receiver that may take the same call later, beside all of 500 and above.
_LATER = frozenset({408, 425, 429})
_LONGEST_WISH = 3600  # seconds that a receiver may ask us to wait


class Answer(Struct):
    """What became of a call."""

    said: str
    arrived: bool = False
    again: bool = False  # another attempt may help
    wait: float = 0  # seconds that the receiver asked for


class _Pinned(AbstractResolver):
    """Answers with addresses that were looked at: a second lookup could bring others."""

    def __init__(self, addresses: list[ResolveResult]) -> None:
        self._addresses = addresses

    async def resolve(
        self,
        host: str,  # noqa: ARG002 - aiohttp's signature
        port: int = 0,  # noqa: ARG002
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002
    ) -> list[ResolveResult]:
        """The same for every host: a connection is made for one call."""
        return self._addresses

    async def close(self) -> None:
        """Nothing is open."""


async def post(url: str, body: bytes, headers: Mapping[str, str], policy: WebhookConfig, seconds: float) -> Answer:
    """Call once. No redirect is followed, no proxy used, and of the answer only the status is read."""
    try:
        async with asyncio.timeout(seconds):
            # As it was given: quoting it again could change what it says.
            return await _post(URL(url, encoded=url.isascii()), body, headers, policy)
    except TimeoutError:
        return Answer(f"no answer within {seconds:g} s", again=True)
    except socket.gaierror as error:
        return Answer(f"its host cannot be resolved: {error.strerror}", again=True)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Answer(f"{type(error).__name__}: {error}", again=True)


async def _post(url: URL, body: bytes, headers: Mapping[str, str], policy: WebhookConfig) -> Answer:
    found = await _lookup(url.raw_host or "", url.port or 0)
    permitted = [one for one in found if not policy.refusal(ipaddress.ip_address(one["host"]))]
    if not permitted:
        refused = ipaddress.ip_address(found[0]["host"])
        return Answer(f"refused: its host is at {refused} ({policy.refusal(refused)})")
    connector = aiohttp.TCPConnector(resolver=_Pinned(permitted), use_dns_cache=False, force_close=True)
    async with (
        aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # ours is around all of it
            auto_decompress=False,
        ) as session,
        session.post(url, data=body, headers={"User-Agent": _USER_AGENT, **headers}, allow_redirects=False) as response,
    ):
        return _answer(response)


def _answer(response: aiohttp.ClientResponse) -> Answer:
    status = response.status
    said = f"HTTP {status}"
    if 200 <= status < 300:
        return Answer(said, arrived=True)
    if 300 <= status < 400:
        return Answer(f"{said}: redirects are not followed")
    wish = response.headers.get("Retry-After", "")
    wait = min(int(wish), _LONGEST_WISH) if wish.isascii() and wish.isdecimal() and len(wish) < 10 else 0
    return Answer(said, again=status in _LATER or status >= 500, wait=wait)


async def _lookup(host: str, port: int) -> list[ResolveResult]:
    look = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    rows = await asyncio.get_running_loop().run_in_executor(_LOOKUPS, look)
    return [
        ResolveResult(
            hostname=host, host=str(address[0]), port=port, family=family, proto=proto, flags=socket.AI_NUMERICHOST
        )
        for family, _, proto, _, address in rows
    ]
