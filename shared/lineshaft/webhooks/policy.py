"""Which URLs may be called when a run ends, and what the calls carry: the section `webhooks` of langgraph.json.

A client names the URL, so without rules it could make the server call what only the server can reach. A URL is checked
when its run is created, as far as its text tells, and each address that its host resolves to before every call.
"""

import ipaddress
import re
import socket
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from msgspec import Meta, Struct

from lineshaft.errors import ConfigError, Invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_PORTS = {"http": 80, "https": 443}
_LONGEST = 4096  # characters; half of it once the operator has a policy, as on the official server
# Never called, whatever the policy: services that tell a cloud machine its own credentials, and no host's addresses.
_NEVER = [
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "169.254.0.0/16", "fe80::/10", "::/128",  # this host, link-local (most metadata services)
        "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "fd00:ec2::/32", "fd20:ce::/32",  # other metadata
        "224.0.0.0/4", "240.0.0.0/4", "ff00::/8",  # multicast, reserved
    )
]  # fmt: skip
_PRIVATE = [
    ipaddress.ip_network(text)
    for text in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15", "192.0.0.0/24",
        "fc00::/7", "fec0::/10",
    )
]  # fmt: skip
# Prefixes after which an IPv6 address carries an IPv4 address, which is the one that is reached: (network, first bit).
_CARRIERS = [
    (ipaddress.IPv6Network("::ffff:0:0/96"), 96),
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 96),
    (ipaddress.IPv6Network("64:ff9b::/96"), 96),
    (ipaddress.IPv6Network("64:ff9b:1::/48"), 96),
    (ipaddress.IPv6Network("2002::/16"), 16),
]
_TEMPLATE = re.compile(r"\$\{\{\s*env\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# What describes the call itself: with another value it would not arrive, or arrive as another call.
_OURS = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "host", "te", "transfer-encoding"}
)


class UrlPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The URLs that clients may name. A misspelt rule is refused: it would otherwise permit what it was to forbid."""

    require_https: bool = True
    allowed_domains: list[str] = []  # hosts, or `*.example.com` for all below it; empty: any
    allowed_ports: list[Annotated[int, Meta(ge=1, le=65535)]] = []  # empty: any
    max_url_length: Annotated[int, Meta(ge=1)] = _LONGEST // 2
    disable_loopback: bool = True  # this machine itself
    disable_private_ips: bool = False  # networks that the internet does not reach


class WebhookConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole section. Without a `url` in it: any http or https URL of another machine."""

    env_prefix: str = "LG_WEBHOOK_"
    url: UrlPolicy = UrlPolicy(require_https=False, max_url_length=_LONGEST)
    headers: dict[str, str] = {}  # values may contain `${{ env.NAME }}`
    allowed_fields: list[str] | None = None  # fields of the payload that are sent; None: all

    def checked_url(self, url: str) -> str:
        """The URL, if a run may name it. Raises Invalid with the rule that it breaks."""
        if len(url) > self.url.max_url_length:
            raise _invalid(f"it is {len(url)} characters long; {self.url.max_url_length} are allowed")
        if not url.isprintable() or " " in url or "\\" in url:
            raise _invalid("it has a space, a backslash or a character that is not printable: encode them")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise _invalid(str(error)) from None
        self._check(parts, port)
        return url

    def _check(self, parts: SplitResult, port: int | None) -> None:
        if parts.scheme not in _PORTS:
            raise _invalid("give a whole URL that begins with https:// or http://")
        if self.url.require_https and parts.scheme != "https":
            raise _invalid("this server calls https:// URLs only")
        host = (parts.hostname or "").rstrip(".")
        if not host:
            raise _invalid("it names no host")
        if "%" in host:
            raise _invalid("its host may not be percent-encoded or have a zone")
        if self.url.allowed_domains and not any(_matches(host, allowed) for allowed in self.url.allowed_domains):
            raise _invalid(f"this server does not call the host {host}")
        port = _PORTS[parts.scheme] if port is None else port
        if self.url.allowed_ports and port not in self.url.allowed_ports:
            raise _invalid(f"this server does not call port {port}")
        if self.url.disable_loopback and (host == "localhost" or host.endswith(".localhost")):
            raise _invalid("this server does not call itself (loopback)")
        address = _literal(host)
        if address is not None and (why := self.refusal(address)):
            raise _invalid(f"this server does not call {address} ({why})")

    def refusal(self, address: Address) -> str:
        """Why this address may not be called; empty if it may."""
        for reached in _reached(address):
            if any(reached in network for network in _NEVER if network.version == reached.version):
                return "link-local, metadata or reserved"
            if reached.is_loopback:
                if self.url.disable_loopback:
                    return "loopback"
            elif self.url.disable_private_ips and any(
                reached in network for network in _PRIVATE if network.version == reached.version
            ):
                return "private"
        return ""

    def resolved_headers(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The configured headers, with the values of the variables they name. Raises ConfigError."""
        headers = {}
        for name, template in self.headers.items():
            if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
                raise ConfigError(f'webhooks: "headers": {name!r} cannot be set')
            for variable in _TEMPLATE.findall(template):
                if not variable.startswith(self.env_prefix):
                    raise ConfigError(
                        f'webhooks: "headers": {name}: variable {variable} does not begin with {self.env_prefix}, '
                        "as those must that calls may carry"
                    )
                if variable not in environ:
                    raise ConfigError(f'webhooks: "headers": {name}: environment variable {variable} is not set')
            value = _TEMPLATE.sub(lambda found: environ[found[1]], template)
            if "${{" in value or not value.isprintable():
                raise ConfigError(f'webhooks: "headers": {name}: write variables as ${{{{ env.NAME }}}}, on one line')
            headers[name] = value
        return headers


def _invalid(why: str) -> Invalid:
    return Invalid(f"webhook: {why}")


def _matches(host: str, allowed: str) -> bool:
    allowed = allowed.lower()
    return host.endswith(allowed[1:]) and host != allowed[2:] if allowed.startswith("*.") else host == allowed


def _literal(host: str) -> Address | None:
    """The address that a host is by itself, also in the short and hexadecimal forms that resolvers accept."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeEncodeError):
        return None


def _reached(address: Address) -> list[Address]:
    """The address, and the one it carries: either may be where a packet ends."""
    carried = [
        ipaddress.IPv4Address((int(address) >> (96 - first)) & 0xFFFFFFFF)
        for network, first in _CARRIERS
        if isinstance(address, ipaddress.IPv6Address) and address in network
    ]
    return [address, *carried]
