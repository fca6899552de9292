"""Server-sent events, byte by byte; and how a stream ends."""

import asyncio
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from aiohttp import web

from lineshaft.events.log import GAP, Entry
from lineshaft_api import sse
from lineshaft_api.context import DRAINING, LEAVING
from lineshaft_api.follow import Batches
from tests.shared.until import until

METADATA = Entry("1795292900382-0001", "r", 1, "metadata", b'{"run_id":"r","attempt":1}', 1)
VALUES = Entry("1795292900382-0002", "r", 1, "values|child:1", '{"log":["é"]}'.encode(), 2)
GONE = Entry("1795292900383-0000", "r", 1, GAP, b'{"reason":"x"}', 3)


def test_the_bytes_of_a_frame() -> None:
    assert sse.frame(METADATA, with_id=False) == b'event: metadata\r\ndata: {"run_id":"r","attempt":1}\r\n\r\n'
    assert sse.frame(VALUES, with_id=True) == (
        b'event: values|child:1\r\ndata: {"log":["\xc3\xa9"]}\r\nid: 1795292900382-0002\r\n\r\n'
    )


class Site:
    """An application with one stream, made of the batches that a test gives."""

    def __init__(self) -> None:
        self.batches: Callable[[], Batches] = _none
        self.with_ids = False
        self.ended = asyncio.Event()
        self.app = web.Application()
        self.app[DRAINING] = asyncio.Event()
        self.app[LEAVING] = asyncio.Event()
        self.app.router.add_get("/", self._handle)
        self.url = ""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await sse.stream(request, self.batches(), {"Location": "/here"}, with_ids=self.with_ids)
        finally:
            self.ended.set()


async def _none() -> Batches:
    return
    yield []


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    runner = web.AppRunner(site.app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield site
    await runner.cleanup()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as http:
        yield http


async def test_headers_and_bytes_of_a_stream(site: Site, http: aiohttp.ClientSession) -> None:
    async def batches() -> Batches:
        yield [METADATA, VALUES]
        yield []
        yield [GONE]

    site.batches = batches
    async with http.get(site.url) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.headers["Location"] == "/here"
        assert await response.read() == (
            b'event: metadata\r\ndata: {"run_id":"r","attempt":1}\r\n\r\n'
            b'event: values|child:1\r\ndata: {"log":["\xc3\xa9"]}\r\n\r\n'
            b": heartbeat\r\n\r\n"
            # A gap says where it is, also where nothing else has an id.
            b'event: gap\r\ndata: {"reason":"x"}\r\nid: 1795292900383-0000\r\n\r\n'
        )


async def test_ids_for_streams_that_can_be_resumed(site: Site, http: aiohttp.ClientSession) -> None:
    async def batches() -> Batches:
        yield [METADATA, VALUES]

    site.batches, site.with_ids = batches, True
    async with http.get(site.url) as response:
        body = await response.read()
    assert body == sse.frame(METADATA, with_id=True) + sse.frame(VALUES, with_id=True)


async def test_an_event_is_sent_when_it_comes(site: Site, http: aiohttp.ClientSession) -> None:
    more = asyncio.Event()

    async def batches() -> Batches:
        yield [METADATA]
        await more.wait()
        yield [VALUES]

    site.batches = batches
    async with http.get(site.url) as response:
        assert await response.content.readuntil(b"\r\n\r\n") == sse.frame(METADATA, with_id=False)
        more.set()
        assert await response.content.read() == sse.frame(VALUES, with_id=False)


@pytest.mark.parametrize("busy", [False, True])
async def test_a_client_that_goes_is_fed_no_more(site: Site, http: aiohttp.ClientSession, busy: bool) -> None:
    closed = asyncio.Event()

    async def batches() -> Batches:
        try:
            while True:
                yield [METADATA]
                await (asyncio.sleep(0) if busy else asyncio.Event().wait())
        finally:
            closed.set()

    site.batches = batches
    response = await http.get(site.url)
    await response.content.readuntil(b"\r\n\r\n")
    response.close()
    await until(site.ended.is_set, "the handler ends")
    assert closed.is_set()


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("with_ids", [False, True])
async def test_a_gateway_that_stops_cuts_its_streams_off(
    site: Site, http: aiohttp.ClientSession, *, busy: bool, with_ids: bool
) -> None:
    """Those that can be resumed at once, for the others it waits. None of them may look complete."""
    closed = asyncio.Event()

    async def batches() -> Batches:
        try:
            while True:
                yield [METADATA]
                await (asyncio.sleep(0) if busy else asyncio.Event().wait())
        finally:
            closed.set()

    site.batches, site.with_ids = batches, with_ids
    async with http.get(site.url) as response:
        await response.content.readuntil(b"\r\n\r\n")
        site.app[LEAVING if not with_ids else DRAINING].set()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert closed.is_set()


async def test_a_stream_that_cannot_be_resumed_may_end_while_the_gateway_stops(
    site: Site, http: aiohttp.ClientSession
) -> None:
    async def batches() -> Batches:
        yield [METADATA]
        await site.app[DRAINING].wait()
        yield [VALUES]

    site.batches = batches
    async with http.get(site.url) as response:
        await response.content.readuntil(b"\r\n\r\n")
        site.app[DRAINING].set()
        assert await response.read() == sse.frame(VALUES, with_id=False)


async def test_a_failure_cuts_the_stream_off(site: Site, http: aiohttp.ClientSession) -> None:
    async def batches() -> Batches:
        yield [METADATA]
        raise ConnectionResetError

    site.batches = batches
    async with http.get(site.url) as response:
        await response.content.readuntil(b"\r\n\r\n")
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
