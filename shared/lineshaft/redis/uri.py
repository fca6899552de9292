"""REDIS_URI: where Redis is and how to connect. It is checked in full at start, and never shown with its passwords.

    redis://[user:password@]host[:port][/db]        rediss:// for TLS
    unix://[user:password@]/path/to/socket[?db=n]
    redis+sentinel://[user:password@]host[:port][,host[:port]...]/service[/db]      rediss+sentinel:// for TLS

With Sentinels user and password are those of Redis; `?sentinel_username=...&sentinel_password=...` are those of the
Sentinels, and TLS is for both. A Sentinel names a server as it knows it: certificates must be valid for that name or
address. Characters like / @ : # ? % in a user or password are percent-encoded.
"""

import re
import ssl
from typing import Any
from urllib.parse import unquote

import redis.asyncio
import redis.asyncio.connection as rc
import redis.exceptions as rx

from lineshaft.config.settings import Settings
from lineshaft.errors import ConfigError

from .connections import PlainConnection, TLSConnection, UnixConnection
from .sentinel import Address, PrimaryConnection, PrimaryTLSConnection, Sentinels

# What may stand behind the question mark. Others of redis-py's options would break what we do with a connection: with
# socket_timeout a pop that waits would lose what it has popped, decode_responses makes text of bytes.
_OPTIONS = frozenset(
    """
    username password db client_name health_check_interval socket_connect_timeout socket_keepalive max_connections
    ssl_ca_certs ssl_certfile ssl_keyfile ssl_cert_reqs ssl_check_hostname ssl_ciphers
    """.split()  # noqa: SIM905 - reads better than a dozen quoted names
)
_OPTIONS_OF_SENTINEL = frozenset({"sentinel_username", "sentinel_password"})
_OURS: dict[Any, type[PlainConnection | TLSConnection | UnixConnection]] = {
    redis.asyncio.Connection: PlainConnection,
    redis.asyncio.SSLConnection: TLSConnection,
    redis.asyncio.UnixDomainSocketConnection: UnixConnection,
}
_SENTINEL = re.compile(
    r"(?P<scheme>rediss?)\+sentinel://(?:(?P<credentials>[^@/?#]*)@)?(?P<hosts>[^@/?#]+)"
    r"/(?P<service>[^@/?#]+)(?:/(?P<db>\d*))?(?:\?(?P<query>[^#]*))?"
)
_HOST = re.compile(r"(?P<host>\[[^\]]+\]|[^:\[\]]+)(?::(?P<port>\d{1,5}))?")
_SENTINEL_FORM = "[user:password@]host[:port][,host[:port]...]/service[/db]"
_SENTINEL_PORT = 26379  # where a Sentinel listens unless it is told otherwise
# Seconds that a Sentinel has for its answer, which it always has at hand: others wait to be asked.
_SENTINEL_PATIENCE = 2.0


def pool_options(settings: Settings, silence: float) -> dict[str, Any]:
    """The class of connection and its arguments, for a pool of redis-py. Raises ConfigError, one line.

    `silence` is how long (seconds) such a connection waits for Redis.
    """
    uri = settings.redis_uri
    sentinel = _SENTINEL.fullmatch(uri)
    if sentinel is None and re.match(r"rediss?\+sentinel:", uri):
        raise _wrong(uri, f"expected {uri.partition(':')[0]}://{_SENTINEL_FORM}")
    if sentinel is not None:
        credentials, query = sentinel["credentials"] or "", sentinel["query"] or ""
        uri_of_redis = f"{sentinel['scheme']}://{credentials}@named-by-sentinel/{sentinel['db'] or '0'}?{query}"
    else:
        uri_of_redis = uri
    try:
        named = dict(rc.parse_url(uri_of_redis))
    except ValueError as error:
        # What urllib says of a port may be a piece of the password.
        known = "scheme" in str(error) or "Invalid value for" in str(error)
        raise _wrong(uri, str(error) if known else "host or port cannot be read") from None
    # The class follows from the scheme; the rest of what is no option is the address.
    connection_class = _OURS[named.pop("connection_class", redis.asyncio.Connection)]
    allowed = _OPTIONS | (_OPTIONS_OF_SENTINEL if sentinel else frozenset())
    if unknown := sorted(named.keys() - allowed - {"host", "port", "path"}):
        raise _wrong(uri, f"unknown option {', '.join(unknown)}; there are {', '.join(sorted(allowed))}")
    options: dict[str, Any] = {
        "connection_class": connection_class,
        "silence": silence,
        "socket_connect_timeout": settings.redis_connect_timeout,
        "health_check_interval": settings.redis_health_check_interval,
        "max_connections": settings.redis_max_connections,
    }
    if connection_class is not UnixConnection:
        options["socket_keepalive"] = True
    options |= _tls(settings, named, is_tls=connection_class is TLSConnection)
    options |= named
    if sentinel is not None:
        options = _through_sentinels(uri, sentinel, options)
    return _tried(uri, options)


def shown(uri: str) -> str:
    """A URI without its passwords, for messages."""
    return re.sub(r"\?.*", "", re.sub("//.*@", "//***@", uri))


def _wrong(uri: str, why: str) -> ConfigError:
    hint = ". In a user or password / @ : # ? % are percent-encoded" if "@" in uri else ""
    return ConfigError(f"REDIS_URI {shown(uri)}: {why}{hint}")


def _tls(settings: Settings, named: dict[str, Any], *, is_tls: bool) -> dict[str, Any]:
    file = settings.redis_tls_ca_cert
    if not is_tls:
        if file and not settings.redis_uri.startswith("unix:"):
            raise ConfigError("REDIS_TLS_CA_CERT is set, but REDIS_URI does not ask for TLS: it begins with rediss")
        return {}
    options: dict[str, Any] = {"ssl_cert_reqs": "required"}
    # The owner may switch the check off, and with it goes that of the name.
    options["ssl_check_hostname"] = named.get("ssl_cert_reqs", "required") == "required"
    if file:
        try:
            ssl.create_default_context(cafile=file)
        except OSError as error:  # ssl.SSLError is one too
            raise ConfigError(f"REDIS_TLS_CA_CERT={file}: cannot be read as PEM certificates: {error}") from None
        options["ssl_ca_certs"] = file
    return options


def _through_sentinels(uri: str, parts: re.Match[str], options: dict[str, Any]) -> dict[str, Any]:
    del options["host"]
    is_tls = options["connection_class"] is TLSConnection
    addresses = [_address(uri, text) for text in parts["hosts"].split(",")]
    asking: dict[str, Any] = {name: value for name, value in options.items() if name.startswith(("ssl_", "socket_"))}
    asking["username"] = options.pop("sentinel_username", None)
    asking["password"] = options.pop("sentinel_password", None)
    asking["silence"] = _SENTINEL_PATIENCE

    def connect(address: Address) -> redis.asyncio.Connection:
        kind = TLSConnection if is_tls else PlainConnection
        return kind(host=address[0], port=address[1], **asking)

    sentinels = Sentinels(unquote(parts["service"]), addresses, connect)
    return {
        **options,
        "connection_class": PrimaryTLSConnection if is_tls else PrimaryConnection,
        "sentinels": sentinels,
    }


def _address(uri: str, text: str) -> Address:
    found = _HOST.fullmatch(text)
    port = int(found["port"] or _SENTINEL_PORT) if found else 0
    if found is None or not 0 < port < 65536:
        raise _wrong(uri, f"expected {uri.partition(':')[0]}://{_SENTINEL_FORM}")
    return found["host"].strip("[]"), port


def _tried(uri: str, options: dict[str, Any]) -> dict[str, Any]:
    """The same options, after a connection could be made of them: at start, not at the first request."""
    arguments = {k: v for k, v in options.items() if k not in ("connection_class", "max_connections")}
    try:
        connection = options["connection_class"](**arguments)
        if isinstance(connection, redis.asyncio.SSLConnection):
            connection.ssl_context.get()
    except (rx.RedisError, ValueError, TypeError, OSError) as error:
        raise _wrong(uri, str(error)) from None
    return options
