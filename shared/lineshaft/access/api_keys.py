"""API keys: who may call the gateway, and what with. Only digests are stored, a key itself is shown once."""

import hashlib
import hmac
import re
import secrets
import time
from typing import Literal

import msgspec
from msgspec import Struct

from lineshaft.errors import Invalid, NotFound
from lineshaft.redis.client import Client

Scope = Literal["read", "write", "admin"]
# Each may do what those before it may.
SCOPES: tuple[Scope, ...] = ("read", "write", "admin")

# The id is no secret: it finds the record, so that nothing has to be searched by a digest. The rest is 256 random bits,
# of which a plain SHA-256 gives nothing away; slow hashes are for what people choose.
_TOKEN = re.compile(r"lsk_([0-9a-f]{12})_[0-9a-f]{64}")
_MAX_NAME = 100  # characters; it stands in lists and logs


class ApiKey(Struct, kw_only=True, omit_defaults=True):
    """What is known of a key. Times in ms since the epoch."""

    key_id: str
    name: str
    digest: str  # SHA-256 of the key, hexadecimal
    scope: Scope
    created: int
    graphs: list[str] = []  # only these; none: all
    expires: int | None = None
    requests_per_minute: int | None = None  # None: as the server's settings have it
    runs_per_day: int | None = None
    used: int | None = None  # when it was last used, to a minute; stored apart

    @property
    def is_expired(self) -> bool:
        """By this machine's clock: whoever can change that needs no key."""
        return self.expires is not None and self.expires <= time.time() * 1000


class ApiKeys:
    """API keys in Redis."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._key = client.keys.api_keys()

    async def create(
        self,
        name: str,
        scope: Scope,
        *,
        graphs: list[str] | None = None,
        seconds: float | None = None,
        requests_per_minute: int | None = None,
        runs_per_day: int | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key: its record, and the key itself, which nobody can read again. It expires in `seconds`.

        Raises Invalid.
        """
        if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
            raise Invalid(f"A key needs a name of 1 to {_MAX_NAME} printable characters, to know it by")
        key_id = secrets.token_hex(6)
        token = f"lsk_{key_id}_{secrets.token_hex(32)}"
        now = int(time.time() * 1000)
        key = ApiKey(
            key_id=key_id,
            name=name,
            digest=_digest(token),
            scope=scope,
            created=now,
            graphs=graphs or [],
            expires=None if seconds is None else now + int(seconds * 1000),
            requests_per_minute=requests_per_minute,
            runs_per_day=runs_per_day,
        )
        await self._client.command("HSET", self._key, key_id, msgspec.json.encode(key))
        return key, token

    async def list(self) -> list[ApiKey]:
        """All keys, the oldest first; expired ones too, until they are revoked."""
        flat = await self._client.command("HGETALL", self._key)
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        found = [_read(doc, fields.get(field + b":used")) for field, doc in fields.items() if b":" not in field]
        return sorted(found, key=lambda key: (key.created, key.key_id))

    async def revoke(self, key_id: str) -> None:
        """Make a key worthless: gateways that know it stop taking it within seconds. Raises NotFound."""
        if not await self._client.command("HEXISTS", self._key, key_id) or ":" in key_id:
            raise NotFound(f"There is no key {key_id!r}; `lineshaft keys list` shows all")
        await self._client.command("HDEL", self._key, key_id, f"{key_id}:used")

    async def check(self, token: str) -> ApiKey | None:
        """The record of a key that is good now."""
        found = _TOKEN.fullmatch(token)
        if found is None:
            return None
        doc, used = await self._client.command("HMGET", self._key, found[1], f"{found[1]}:used")
        if doc is None:
            return None
        key = _read(doc, used)
        return key if hmac.compare_digest(key.digest, _digest(token)) and not key.is_expired else None

    async def note_use(self, key_id: str) -> None:
        """Remember that a key is used now."""
        await self._client.script("key_used", key_id=key_id)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _read(doc: bytes, used: bytes | None) -> ApiKey:
    key = msgspec.json.decode(doc, type=ApiKey)
    key.used = int(used) if used else None
    return key
