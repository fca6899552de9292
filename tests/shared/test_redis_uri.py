"""REDIS_URI: what is understood, what is refused at start, and that no message shows a password."""

from pathlib import Path
from typing import Any

import pytest

from lineshaft.config.settings import Settings
from lineshaft.errors import ConfigError
from lineshaft.redis.client import Client
from lineshaft.redis.connections import PlainConnection, TLSConnection
from lineshaft.redis.sentinel import PrimaryConnection, PrimaryTLSConnection
from lineshaft.redis.uri import pool_options, shown


def options(uri: str, **settings: Any) -> dict[str, Any]:
    return pool_options(Settings(redis_uri=uri, **settings), silence=5.0)


def test_a_plain_uri() -> None:
    chosen = options("redis://user:p%40ss%2F%3A%23@h:7/3?client_name=me")
    assert chosen["connection_class"] is PlainConnection
    assert (chosen["host"], chosen["port"], chosen["db"]) == ("h", 7, 3)
    assert (chosen["username"], chosen["password"], chosen["client_name"]) == ("user", "p@ss/:#", "me")


def test_tls_checks_the_certificate_and_its_name_unless_told_not_to() -> None:
    chosen = options("rediss://h")
    assert chosen["connection_class"] is TLSConnection
    assert (chosen["ssl_cert_reqs"], chosen["ssl_check_hostname"]) == ("required", True)
    chosen = options("rediss://h?ssl_cert_reqs=none")
    assert (chosen["ssl_cert_reqs"], chosen["ssl_check_hostname"]) == ("none", False)


@pytest.mark.parametrize(
    ("uri", "addresses"),
    [
        ("redis+sentinel://a/main", [("a", 26379)]),
        ("redis+sentinel://a:1,b,c:3/main/2", [("a", 1), ("b", 26379), ("c", 3)]),
        ("redis+sentinel://u:p%40w@a:1,[::1]:2,[fe80::1]/main/2", [("a", 1), ("::1", 2), ("fe80::1", 26379)]),
    ],
)
def test_a_sentinel_uri_names_several(uri: str, addresses: list[tuple[str, int]]) -> None:
    chosen = options(uri)
    assert chosen["connection_class"] is PrimaryConnection
    assert "host" not in chosen
    sentinels = chosen["sentinels"]
    assert (sentinels.service, sentinels._addresses) == ("main", addresses)
    assert chosen["db"] == (2 if uri.endswith("/2") else 0)
    assert (chosen.get("username"), chosen.get("password")) == (("u", "p@w") if "@" in uri else (None, None))


def test_sentinels_have_credentials_of_their_own_and_the_same_tls() -> None:
    uri = "rediss+sentinel://u:p@a/s%20x?sentinel_username=su&sentinel_password=s%26p&ssl_check_hostname=no"
    chosen = options(uri, redis_connect_timeout=0.5)
    assert chosen["connection_class"] is PrimaryTLSConnection
    assert (chosen["username"], chosen["password"], chosen["ssl_check_hostname"]) == ("u", "p", False)
    assert chosen["sentinels"].service == "s x"
    asking = chosen["sentinels"]._connect(("a", 1))
    assert isinstance(asking, TLSConnection)
    assert (asking.username, asking.password, asking.check_hostname) == ("su", "s&p", False)
    assert (asking.socket_connect_timeout, asking._silence) == (0.5, 2.0)


FORM = r"expected redis\+sentinel://\[user:password@\]host\[:port\]\[,host\[:port\]\.\.\.\]/service\[/db\]"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("http://:secret@h", "must specify one of the following schemes"),
        ("redis+sentinel://a:1", FORM),
        ("redis+sentinel:///main", FORM),
        ("redis+sentinel://a:1,/main", FORM),
        ("redis+sentinel://a:x/main", FORM),
        ("redis+sentinel://a:70000/main", FORM),
        ("redis+sentinel://a:1/main/first", FORM),
        ("redis+sentinel://u:se/cret@a:1/main", FORM),
        ("redis+sentinel://a/main?sentinel_host=b", "unknown option sentinel_host; there are client_name, "),
        ("redis://h?sentinel_password=secret", "unknown option sentinel_password"),
        ("redis://h?socket_timeout=1", "unknown option socket_timeout"),
        ("redis://h?decode_responses=true", "unknown option decode_responses"),
        ("redis://h?health_check_interval=often", "Invalid value for 'health_check_interval'"),
        ("redis://:se/cret@h:1", "host or port cannot be read. In a user or password / @ : # "),
        ("redis://:secret@h:port", "host or port cannot be read"),
        ("redis://h?ssl_ca_certs=x", "unexpected keyword argument 'ssl_ca_certs'"),
        ("rediss://h?ssl_ca_certs=/nowhere.pem", "No such file"),
        ("rediss://h?ssl_cert_reqs=maybe", "Invalid SSL Certificate Requirements Flag: maybe"),
        ("rediss://h?ssl_cert_reqs=none&ssl_check_hostname=yes", "check_hostname"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line_without_the_password(uri: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        Client(Settings(redis_uri=uri))
    text = str(caught.value)
    assert text.startswith("REDIS_URI ")
    assert "\n" not in text
    assert "cret" not in text
    assert "':se'" not in text and "'se'" not in text


def test_a_ca_file_is_read_at_start(tmp_path: Path) -> None:
    missing, garbage = tmp_path / "missing.pem", tmp_path / "garbage.pem"
    garbage.write_text("no certificate\n")
    for file in (missing, garbage):
        with pytest.raises(ConfigError, match=f"^REDIS_TLS_CA_CERT={file}: cannot be read as PEM certificates: "):
            options("rediss://h", redis_tls_ca_cert=str(file))
    with pytest.raises(ConfigError, match="REDIS_URI does not ask for TLS"):
        options("redis://:secret@h", redis_tls_ca_cert=str(garbage))
    # `dev` gives its own Redis to those who have set the variable for another one.
    assert options("unix:///socket", redis_tls_ca_cert=str(missing))["path"] == "/socket"


def test_what_is_shown_of_a_uri() -> None:
    assert shown("redis://h:1/0") == "redis://h:1/0"
    assert shown("rediss://user:p@ss@h:1/0") == "rediss://***@h:1/0"
    assert shown("redis+sentinel://u:p@a,b/main?sentinel_password=x") == "redis+sentinel://***@a,b/main"
