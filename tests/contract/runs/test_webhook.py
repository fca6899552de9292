"""webhook: one POST when a run ends.

The server must be allowed to call loopback addresses, as the project's langgraph.json says.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.contract.runs.calls import create_run, start_slow, until, until_status, wait_run

pytestmark = pytest.mark.webhook


@pytest.fixture
def receiver():
    """A local HTTP server; `.calls` holds (path, headers, decoded body) per request."""
    calls = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            calls.append((self.path, dict(self.headers), json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.calls = calls
    server.url = f"http://127.0.0.1:{server.server_port}/hook?x=1"
    worker = threading.Thread(target=server.serve_forever, daemon=True)
    worker.start()
    yield server
    server.shutdown()
    worker.join()
    server.server_close()


async def one_call(receiver):
    async def called():
        return receiver.calls

    (call,) = await until(called)
    return call


async def test_error_payload(http, thread, receiver):
    await wait_run(http, thread, "linear", {"fail_at": "b"}, webhook=receiver.url)
    _, _, body = await one_call(receiver)
    assert body["status"] == "error"
    assert body["error"] == {"error": "ValueError", "message": "boom at b"}
    assert body["values"] == {"fail_at": "b", "log": ["a"]}


async def test_interrupt_payload_is_a_success(http, thread, receiver):
    await wait_run(http, thread, "ask", {"topic": "x"}, webhook=receiver.url)
    _, _, body = await one_call(receiver)
    assert body["status"] == "success"
    assert body["values"] == {"topic": "x", "log": ["prepare"]}


async def test_cancelled_payload(http, thread, receiver):
    run = await start_slow(http, thread, webhook=receiver.url)
    await http.post(f"/threads/{thread}/runs/{run}/cancel")
    _, _, body = await one_call(receiver)
    assert (body["run_id"], body["status"]) == (run, "interrupted")
    assert body["error"]["error"] == "UserInterrupt"
    assert body["values"]["n"] >= 1


async def test_stateless_payload(http, receiver):
    run = await create_run(http, None, "linear", {"log": []}, webhook=receiver.url)
    _, _, body = await one_call(receiver)
    assert (body["run_id"], body["status"]) == (run["run_id"], "success")


async def test_a_failing_receiver_does_not_harm_the_run(http, thread):
    run = await create_run(http, thread, "linear", {}, webhook="http://127.0.0.1:9/none")
    assert await until_status(http, thread, run["run_id"], "success", "error") == "success"


@pytest.mark.parametrize("url", ["", "ftp://example.com/x", "nonsense"])
async def test_bad_urls_are_refused(http, thread, url):
    response = await wait_run(http, thread, "linear", {}, webhook=url)
    assert response.status_code == 422
