"""What a body and a query must look like to become a Struct, and the sentence that says what is wrong with one."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from yarl import URL

from lineshaft.errors import Invalid
from lineshaft_api import decode
from lineshaft_api.decode import MAX_DEPTH
from lineshaft_api.v2.envelope import read_command


class Config(Struct, kw_only=True):
    recursion_limit: int | UnsetType = UNSET


class Body(Struct, kw_only=True):
    name: str
    limit: Annotated[int, Meta(ge=1, le=1000)] = 10
    version: int | UnsetType = UNSET
    config: Config | UnsetType = UNSET
    input: Raw | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    mode: Literal["one", "two"] = "one"
    counts: list[int] | UnsetType = UNSET


class Query(Struct, kw_only=True):
    limit: Annotated[int, Meta(ge=1)] = 10
    wait: bool = False
    select: list[Literal["a", "b"]] | UnsetType = UNSET
    status: str | None = None


read_body = decode.body(Body)
read_query = decode.query(Query)


def refusal(data: bytes | str) -> str:
    with pytest.raises(Invalid) as caught:
        read_body(data.encode() if isinstance(data, str) else data)
    return str(caught.value)


def test_a_body_is_decoded_into_its_struct() -> None:
    body = read_body(b'{"name":"n","unknown":1,"input":{"b": 1.0, "a":[]}}')
    assert (body.name, body.limit, body.version) == ("n", 10, UNSET)
    assert bytes(body.input) == b'{"b": 1.0, "a":[]}'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"name":"n"}x',
        b'{"name":"n","input":NaN}',
        b'{"name":"n","input":-Infinity}',
        b'{"name":"n","input":1e400}',
        b'{"name":"n","metadata":{"k":[1e400]}}',
        b'{"name":"n","unknown":1e400}',
        b'{"name":"n","input":' + b"9" * 400 + b"}",
        b'{"name":"n","metadata":{"k":-' + b"9" * 400 + b"}}",
        b'{"name":"n","input":"\\ud800"}',
        b'{"name":"n","unknown":{"\\udc00":1}}',
        b'{"name":"\xff"}',
        b'{"name":"n","input":"\xff"}',
        b'{"name":"n","unknown":"\xc3\x28"}',
        b'\xef\xbb\xbf{"name":"n"}',
    ],
)
def test_what_is_not_json_is_refused_wherever_it_stands(data: bytes) -> None:
    assert refusal(data) == "Invalid JSON in request body"


@pytest.mark.parametrize("levels", [MAX_DEPTH, 1900])
def test_deep_nesting_is_refused_with_the_limit(levels: int) -> None:
    said = refusal('{"name":"n","input":' + "[" * levels + "]" * levels + "}")
    assert said == f"Invalid JSON in request body: nested too deeply (limit: {MAX_DEPTH} levels)"


def test_nesting_up_to_the_limit_and_brackets_in_texts_are_fine() -> None:
    levels = MAX_DEPTH - 1
    text = '["' * 300
    data = '{"name":' + msgspec.json.encode(text).decode() + ',"input":' + "[" * levels + "]" * levels + "}"
    assert read_body(data.encode()).name == text


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        ("[]", "Request body: Expected `object`, got `array`"),
        ("null", "Request body: Expected `object`, got `null`"),
        ('"x"', "Request body: Expected `object`, got `str`"),
        ("{}", "Request body: Object missing required field `name`"),
        ('{"name":5}', "Request body: Expected `str`, got `int` - at `$.name`"),
        ('{"name":"n","limit":"1"}', "Request body: Expected `int`, got `str` - at `$.limit`"),
        ('{"name":"n","limit":1.5}', "Request body: Expected `int`, got `float` - at `$.limit`"),
        ('{"name":"n","limit":0.0}', "Request body: Expected `int` >= 1 - at `$.limit`"),
        ('{"name":"n","limit":1001}', "Request body: Expected `int` <= 1000 - at `$.limit`"),
        ('{"name":"n","limit":1.0,"version":1.5}', "Request body: Expected `int`, got `float` - at `$.version`"),
        ('{"name":"n","limit":true}', "Request body: Expected `int`, got `bool` - at `$.limit`"),
        ('{"name":"n","metadata":null}', "Request body: Expected `object`, got `null` - at `$.metadata`"),
        ('{"name":"n","mode":"three"}', "Request body: Invalid enum value 'three' - at `$.mode`"),
        ('{"name":"n","counts":[1.5]}', "Request body: Expected `int`, got `float` - at `$.counts[0]`"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(data: str, detail: str) -> None:
    assert refusal(data) == detail


def test_an_integer_beyond_64_bits_is_a_float() -> None:
    data = b'{"name":"0000000000000000000","input":{"n":%d},"metadata":{"n":%d}}' % (2**65, 2**65)
    body = read_body(data)
    assert body.name == "0" * 19
    assert msgspec.json.decode(body.input) == body.metadata == {"n": float(2**65)}
    assert isinstance(body.metadata["n"], float)
    largest = read_body(b'{"name":"n","input":[18446744073709551615,-9223372036854775808]}')
    assert msgspec.json.decode(largest.input) == [2**64 - 1, -(2**63)]


def test_a_command_of_protocol_v2_is_read_in_the_same_way() -> None:
    command = read_command(b'{"id":1,"method":"m","params":{"n":%d,"m":2.0}}' % (2**65))
    assert msgspec.json.decode(command.params) == {"n": float(2**65), "m": 2.0}
    assert b"." in command.params.partition(b",")[0]
    assert read_command(b'{"id":1,"method":"m"}').params == b"{}"


def test_an_integral_float_is_an_integer_where_one_is_wanted() -> None:
    body = read_body(
        b'{"name":"n","limit":5.0,"version":2e2,"config":{"recursion_limit":7.0},"input":[1.0],"metadata":{"y":2.0}}'
    )
    assert (body.limit, body.version, body.config.recursion_limit) == (5, 200, 7)
    assert bytes(body.input) == b"[1.0]"
    assert isinstance(body.metadata["y"], float)


def test_a_list_of_structs_is_a_body_too() -> None:
    read_list = decode.body(list[Body])
    assert [body.name for body in read_list(b'[{"name":"a"},{"name":"b"}]')] == ["a", "b"]
    with pytest.raises(Invalid, match=r"missing required field `name` - at `\$\[1\]`"):
        read_list(b'[{"name":"a"},{}]')


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("", {"limit": 10, "wait": False, "status": None}),
        ("limit=5&status=x&status=y&other=1", {"limit": 5, "wait": False, "status": "y"}),
        ("select=a&select=b", {"limit": 10, "wait": False, "select": ["a", "b"], "status": None}),
        ("select=a", {"limit": 10, "wait": False, "select": ["a"], "status": None}),
        ("wait=TRUE", {"limit": 10, "wait": True, "status": None}),
        ("wait=Yes", {"limit": 10, "wait": True, "status": None}),
        ("wait=1", {"limit": 10, "wait": True, "status": None}),
        ("wait=on", {"limit": 10, "wait": False, "status": None}),
    ],
)
def test_a_query_is_decoded(text: str, answer: dict[str, Any]) -> None:
    assert msgspec.to_builtins(read_query(URL(f"/?{text}").query)) == answer


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("limit=x", "Query: Expected `int`, got `str` - at `$.limit`"),
        ("limit=0", "Query: Expected `int` >= 1 - at `$.limit`"),
        ("select=a&select=c", "Query: Invalid enum value 'c' - at `$.select[1]`"),
    ],
)
def test_a_wrong_query_is_named_with_its_place(text: str, detail: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_query(URL(f"/?{text}").query)
    assert str(caught.value) == detail
