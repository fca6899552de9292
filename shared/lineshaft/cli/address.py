"""Where a gateway listens: checked before anything is started, and shown to people as URLs."""

import errno
import ipaddress
import socket

from lineshaft.errors import ConfigError


def check_address(host: str, port: int, *, is_safe: bool) -> int:
    """Make sure that a gateway may and can listen there. Returns the port; a free one in place of 0.

    `is_safe`: callers are asked who they are, or the operator has said that nobody needs to be.

    Raises ConfigError if others could reach it without authentication, or if the address is taken or not ours.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"host {host!r} is not known: {error}") from None
    if not is_safe and not all(_is_loopback(str(address[0])) for *_, address in found):
        raise ConfigError(
            f"on {host or 'all addresses'} everybody who reaches port {port} could run your graphs: "
            "listen on 127.0.0.1, ask for API keys with LINESHAFT_AUTH=keys, or accept that with --no-auth"
        )
    failure: OSError | None = None
    bound = 0
    for family, *_, address in found:
        try:
            bound = _bind(family, str(address[0]), bound or port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ConfigError(
                    f"port {port} on {host} is in use: stop what listens there or choose another port with --port"
                ) from None
            failure = error  # as ::1 of localhost where IPv6 is off
    if failure and not bound:
        raise ConfigError(f"cannot listen on port {port} of {host}: {failure.strerror}")
    return bound


def url(host: str, port: int) -> str:
    """The base URL for somebody on this machine."""
    if host in {"", "0.0.0.0"}:  # noqa: S104 - every address, this one among them
        host = "127.0.0.1"
    elif host == "::":
        host = "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host, by its name or address."""
    try:
        return _is_loopback(host)
    except ValueError:  # a name
        return host == "localhost"


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _bind(family: int, address: str, port: int) -> int:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As a server does it: connections of an earlier one that are still closing do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind((address, port))
        return int(probe.getsockname()[1])
