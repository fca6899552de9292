"""One call, and what it may reach."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lineshaft.webhooks.policy import UrlPolicy, WebhookConfig
from lineshaft_worker import post
from tests.system.certificates import Authority

from .receiver import receiving

OPEN = WebhookConfig(url=UrlPolicy(require_https=False, disable_loopback=False))
# A process of its own: which authorities are trusted is read when aiohttp is imported.
CALL = """
import asyncio, sys
from lineshaft.webhooks.policy import UrlPolicy, WebhookConfig
from lineshaft_worker.post import post
config = WebhookConfig(url=UrlPolicy(disable_loopback=False))
print(asyncio.run(post(sys.argv[1], b"{}", {}, config, 10)).said)
"""


async def test_a_connection_goes_to_the_address_that_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that answers differently the second time (DNS rebinding) gains nothing: it is not asked twice."""
    async with receiving() as receiver:
        looked = [{"hostname": "h", "host": "127.0.0.1", "port": receiver.port, "family": 2, "proto": 6, "flags": 4}]
        asked = []

        async def lookup(host: str, _port: int) -> object:
            asked.append(host)
            return looked

        monkeypatch.setattr(post, "_lookup", lookup)
        answer = await post.post(f"http://hooks.invalid:{receiver.port}/x", b"{}", {}, OPEN, 10)
        assert (answer.said, asked) == ("HTTP 200", ["hooks.invalid"])
        assert receiver.headers[0]["Host"] == f"hooks.invalid:{receiver.port}"


async def test_of_several_addresses_only_those_are_called_that_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as receiver:
        places = [("169.254.169.254", 80), ("127.0.0.1", receiver.port)]
        looked = [
            {"hostname": "h", "host": host, "port": port, "family": 2, "proto": 6, "flags": 4} for host, port in places
        ]

        async def lookup(*_: object) -> object:
            return looked

        monkeypatch.setattr(post, "_lookup", lookup)
        assert (await post.post("http://hooks.invalid/x", b"{}", {}, OPEN, 10)).arrived
        closed = await post.post("http://hooks.invalid/x", b"{}", {}, WebhookConfig(), 10)
        assert closed.said == "refused: its host is at 169.254.169.254 (link-local, metadata or reserved)"
        assert len(receiver.calls) == 1


async def test_a_host_without_an_address_may_have_one_later() -> None:
    answer = await post.post("http://hooks.invalid/x", b"{}", {}, OPEN, 10)
    assert answer.again and answer.said.startswith("its host cannot be resolved")


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would look the host up itself, past all rules."""
    async with receiving() as receiver:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        assert (await post.post(receiver.url, b"{}", {}, OPEN, 10)).arrived


@pytest.mark.parametrize(
    ("name", "trusted", "said"),
    [
        ("DNS:localhost", True, "HTTP 200"),
        ("DNS:other.example", True, "ClientConnectorCertificateError"),
        ("DNS:localhost", False, "ClientConnectorCertificateError"),
    ],
)
async def test_a_certificate_must_be_the_hosts(tmp_path: Path, name: str, trusted: bool, said: str) -> None:
    authority = Authority(tmp_path)
    async with receiving(authority.server(name)) as receiver:
        environment = {**os.environ, **({"SSL_CERT_FILE": str(authority.file)} if trusted else {})}
        url = f"https://localhost:{receiver.port}/hook"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CALL, url, env=environment, stdout=subprocess.PIPE
        )
        output, _ = await process.communicate()
        assert output.decode().startswith(said)
        assert len(receiver.calls) == (said == "HTTP 200")
