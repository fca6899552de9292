"""Everything that is in a Redis, readable: for comparing two moments."""

from typing import Any

from lineshaft.redis.client import Client

_READ = """#!lua flags=no-writes
local readers = {
  string = function(key) return redis.call('GET', key) end,
  list = function(key) return redis.call('LRANGE', key, 0, -1) end,
  set = function(key) return redis.call('SMEMBERS', key) end,
  hash = function(key) return redis.call('HGETALL', key) end,
  zset = function(key) return redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end,
  stream = function(key) return redis.call('XRANGE', key, '-', '+') end,
}
local out = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key).ok
  out[#out + 1] = { key, kind, readers[kind](key), redis.call('PTTL', key) }
end
return out
"""

State = dict[str, Any]


async def read(client: Client) -> State:
    """Key -> value as Python has it; a key that expires is shown as `<key> (expires)`."""
    rows = await client.command("EVAL", _READ, 0)
    return {text(key) + (" (expires)" if left >= 0 else ""): _value(kind, value) for key, kind, value, left in rows}


def _value(kind: bytes, value: Any) -> Any:
    match kind:
        case b"set":
            return sorted(map(text, value))
        case b"hash":
            return dict(zip(map(text, value[::2]), map(text, value[1::2]), strict=True))
        case b"zset":
            return dict(zip(map(text, value[::2]), map(float, value[1::2]), strict=True))
        case b"stream":
            return [[text(part) for part in fields] for _, fields in value]
        case b"list":
            return [text(item) for item in value]
        case _:
            return text(value)


def text(value: bytes) -> str:
    return value.decode("latin-1")  # any bytes, one character each
