"""Which URLs may be called, and what calls carry."""

import ipaddress
from typing import Any

import msgspec
import pytest

from lineshaft.errors import ConfigError, Invalid
from lineshaft.webhooks.policy import WebhookConfig


def policy(**fields: Any) -> WebhookConfig:
    return msgspec.convert(fields, WebhookConfig)


def refusal(config: WebhookConfig, url: str) -> str:
    with pytest.raises(Invalid) as caught:
        config.checked_url(url)
    return str(caught.value).removeprefix("webhook: ")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "HTTPS://Example.com:8443/a?b=c%2Fd&e=#f",
        "http://user:secret@example.com/x",
        "http://10.0.0.1/x",
        "http://[fd12::1]:80/x",
        "http://hooks.internal./x",
        "https://b\u00fccher.example/x",
    ],
)
def test_any_other_machine_may_be_called_by_default(url: str) -> None:
    assert policy().checked_url(url) == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("/hook", "give a whole URL"),
        ("nonsense", "give a whole URL"),
        ("ftp://example.com/x", "give a whole URL"),
        ("//example.com/x", "give a whole URL"),
        ("http://", "names no host"),
        ("http:///x", "names no host"),
        ("http://:80/x", "names no host"),
        ("http://example.com:99999/", "ort out of range"),
        ("http://[::1/", "Invalid IPv6 URL"),
        ("http://a b/", "it has a space"),
        ("http://example.com/\r\nX: y", "not printable"),
        ("http://127.0.0.1\\@example.com/", "a backslash"),
        ("http://%31%32%37.0.0.1/", "percent-encoded"),
        ("http://example.com/" + "x" * 4096, "4096 are allowed"),
    ],
)
def test_what_is_no_url_to_call(url: str, why: str) -> None:
    assert why in refusal(policy(), url)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.8.8.8", "[::1]", "127.1", "0x7f.1", "2130706433",
     "0177.0.0.1", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"],
)  # fmt: skip
def test_this_machine_is_called_only_where_the_operator_says_so(host: str) -> None:
    assert "loopback" in refusal(policy(), f"http://{host}/x")
    opened = policy(url={"disable_loopback": False, "require_https": False})
    assert opened.checked_url(f"http://{host}/x")


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "0.0.0.0", "0", "[fe80::1]", "[::]", "[fd00:ec2::254]", "100.100.100.200", "224.0.0.1",
     "255.255.255.255", "[::ffff:169.254.169.254]", "0xa9fea9fe", "[ff02::1]"],
)  # fmt: skip
def test_some_addresses_are_never_called(host: str) -> None:
    opened = policy(url={"disable_loopback": False, "require_https": False})
    assert "link-local, metadata or reserved" in refusal(opened, f"http://{host}/x")


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "172.31.0.1", "192.168.1.1", "100.64.0.1", "[fc00::1]", "[::ffff:10.0.0.1]"]
)
def test_private_networks_may_be_closed(host: str) -> None:
    closed = policy(url={"disable_private_ips": True})
    assert "(private)" in refusal(closed, f"https://{host}/x")
    assert not closed.refusal(ipaddress.ip_address("172.32.0.1"))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://hooks.example.com/x", "https:// URLs only"),
        ("https://example.org/x", "does not call the host example.org"),
        ("https://corp.com/x", "does not call the host corp.com"),
        ("https://evilcorp.com/x", "does not call the host evilcorp.com"),
        ("https://hooks.example.com:444/x", "does not call port 444"),
        ("https://hooks.example.com/" + "x" * 2048, "2048 are allowed"),
    ],
)
def test_a_policy_narrows_what_may_be_called(url: str, why: str) -> None:
    narrow = policy(url={"allowed_domains": ["Hooks.example.com", "*.corp.com"], "allowed_ports": [443]})
    assert narrow.checked_url("https://hooks.example.com/x")
    assert narrow.checked_url("https://a.b.corp.com:443/x")
    assert why in refusal(narrow, url)


def test_headers_may_name_variables_with_the_prefix() -> None:
    config = policy(headers={"Authorization": "Bearer ${{ env.LG_WEBHOOK_TOKEN }}", "X-Plain": "a"})
    assert config.resolved_headers({"LG_WEBHOOK_TOKEN": "t"}) == {"Authorization": "Bearer t", "X-Plain": "a"}


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"A": "${{ env.HOME }}"}, "HOME does not begin with LG_WEBHOOK_"),
        ({"A": "${{ env.LG_WEBHOOK_GONE }}"}, "LG_WEBHOOK_GONE is not set"),
        ({"A": "${{ secrets.LG_WEBHOOK_X }}"}, "write variables as"),
        ({"A": "${{ env.LG_WEBHOOK_LINES }}"}, "on one line"),
        ({"Content-Length": "3"}, "cannot be set"),
        ({"a b": "c"}, "cannot be set"),
    ],
)
def test_headers_that_cannot_be_sent_are_named_at_the_start(headers: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        policy(headers=headers).resolved_headers({"HOME": "/", "LG_WEBHOOK_X": "x", "LG_WEBHOOK_LINES": "a\r\nB: c"})
