"""Redis behind TLS with a private CA, and a user that may do just what is needed: with and without Sentinels."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from lineshaft.config.settings import Settings
from lineshaft.errors import ConfigError
from lineshaft.redis import acl as access
from lineshaft.redis.client import Client, check
from tests.system.certificates import Authority
from tests.system.installation import HeldRun, Installation, RedisServer, ends
from tests.system.journal import Journal, until
from tests.system.sentinels import Watched
from tests.system.server import wait_until
from tests.system.tls_proxy import TLSProxy

pytestmark = pytest.mark.xdist_group("redis_access")

USER, PASSWORD = "line@shaft", "p@ss/w:o#r?d %41"
CREDENTIALS = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}"


def admit(redis: RedisServer) -> None:
    redis.client.execute_command("ACL", "SETUSER", USER, "reset", "on", f">{PASSWORD}", *access.rules())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as redis:
        admit(redis)
        yield redis


@pytest.fixture(scope="module")
def proxy(redis: RedisServer, authority: Authority) -> Iterator[TLSProxy]:
    with TLSProxy(redis.port, authority.server()) as proxy:
        yield proxy


async def test_all_that_clients_and_workers_do_is_allowed_and_encrypted(
    tmp_path: Path, redis: RedisServer, proxy: TLSProxy, authority: Authority, journal: Journal
) -> None:
    uri = f"rediss://{CREDENTIALS}@127.0.0.1:{proxy.port}"
    env = {"REDIS_TLS_CA_CERT": str(authority.file), "LOG_LEVEL": "DEBUG"}
    with Installation(tmp_path, redis, uri=uri, env=env) as installation:
        async with HeldRun(installation, journal) as held:
            http = held.http
            body = {"assistant_id": "steps", "input": journal.input(name="streamed"), "stream_mode": "values"}
            async with asyncio.timeout(30):
                stream = await http.post("/runs/stream", json=body)
            assert stream.text.count("event: values") == 11

            thread_id, _ = await held.another()
            cancelled = await http.post(
                f"/threads/{thread_id}/runs",
                json={"assistant_id": "steps", "input": journal.input(name="cancelled", hold=0, gated=False)},
            )
            await until(lambda: [line for line in journal.lines("began", 0) if line.name == "cancelled"], "it runs")
            run_id = cancelled.json()["run_id"]
            assert (await http.post(f"/threads/{thread_id}/runs/{run_id}/cancel?wait=true")).is_success
            assert await ends(http, thread_id, run_id) == "interrupted"

            # The control lane, search, messages, and deleting a thread with all it has.
            assert (await http.post(f"/threads/{thread_id}/history", json={"limit": 9})).is_success
            assert (await http.post("/threads/search", json={"status": "busy"})).json()[0][
                "thread_id"
            ] == held.thread_id
            message = {"role": "user", "content": "hello"}
            assert (await http.post(f"/threads/{thread_id}/messages", json=message)).is_success
            written = {"values": {"done": [7]}, "as_node": "step_9"}
            assert (await http.post(f"/threads/{thread_id}/state", json=written)).is_success
            assert (await http.delete(f"/threads/{thread_id}")).is_success
            await held.goes_on()
        assert redis.client.acl_log() == []
        clients = redis.client.client_list()
        assert {client["user"] for client in clients} == {USER, "default"}
        assert proxy.secured >= len(clients) - 1  # all but ours
        assert not any(word in installation.output for word in (PASSWORD, quote(PASSWORD, safe=""), "w:o#r"))


@pytest.mark.parametrize(
    ("server_name", "trusted", "said"),
    [
        ("IP:127.0.0.1", False, "certificate verify failed: "),
        ("DNS:elsewhere.example", True, "IP address mismatch, certificate is not valid for '127.0.0.1'"),
    ],
)
async def test_a_server_that_cannot_prove_who_it_is_gets_no_password(
    redis: RedisServer, authority: Authority, server_name: str, trusted: bool, said: str
) -> None:
    logins = redis.client.info("commandstats").get("cmdstat_auth", {}).get("calls", 0)
    with TLSProxy(redis.port, authority.server(server_name)) as proxy:
        client = Client(
            Settings(
                redis_uri=f"rediss://{CREDENTIALS}@127.0.0.1:{proxy.port}",
                redis_tls_ca_cert=str(authority.file) if trusted else "",
            )
        )
        with pytest.raises(ConfigError, match=said) as caught:
            await check(client)
        await client.close()
    assert PASSWORD not in str(caught.value)
    assert redis.client.info("commandstats").get("cmdstat_auth", {}).get("calls", 0) == logins


async def test_wrong_passwords_are_said_at_start(redis: RedisServer) -> None:
    client = Client(Settings(redis_uri=f"redis://{quote(USER)}:wrong@127.0.0.1:{redis.port}"))
    with pytest.raises(ConfigError, match=r"is not reachable: invalid username-password pair") as caught:
        await check(client)
    await client.close()
    assert "wrong" not in str(caught.value)
    wait_until(redis.answers, "it still answers us")
    redis.client.acl_log_reset()


async def test_sentinels_and_servers_behind_tls_are_followed_through_a_failover(
    tmp_path: Path, authority: Authority, journal: Journal
) -> None:
    with Watched(tmp_path, authority) as watched:
        admit(watched.primary)
        admit(watched.replica)
        uri = watched.uri.replace("redis+sentinel://", f"rediss+sentinel://{CREDENTIALS}@")
        env = {"REDIS_TLS_CA_CERT": str(authority.file)}
        with Installation(tmp_path, watched.primary, uri=uri, env=env) as installation:
            async with HeldRun(installation, journal) as held:
                wait_until(watched.replicated, "the replica has it all")
                behind_primary, behind_replica, *_ = watched.proxies
                assert behind_primary.secured > 0 and behind_replica.secured == 0
                watched.primary.kill()
                thread_id, run_id = await held.another()
                assert await ends(held.http, thread_id, run_id) == "success"
                await held.goes_on(watched.replica)
                assert behind_replica.secured > 0
            assert watched.replica.client.acl_log() == []
            assert USER in {client["user"] for client in watched.replica.client.client_list(_type="pubsub")}
            assert not any(word in installation.output for word in (PASSWORD, quote(PASSWORD, safe=""), "sesame"))
