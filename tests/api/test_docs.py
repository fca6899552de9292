"""The page at `/docs` works without any other host, in a real browser."""

import asyncio
import html
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

import lineshaft_api
from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft_api.app import OPERATIONS, build
from lineshaft_api.openapi import document

FOLDER = Path(lineshaft_api.__file__).parent / "docs"
INSTALL = "no chromium: apt-get install chromium (or brew install --cask chromium)"
Api = TestClient[web.Request, web.Application]


@pytest.fixture
async def api(client: Client, settings: Settings) -> AsyncIterator[Api]:
    async with TestClient(TestServer(build(client, settings))) as started:
        yield started


@pytest.fixture
def browser() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(INSTALL)
    return found


async def test_the_page_and_its_files_are_served(api: Api) -> None:
    page = await api.get("/docs")
    assert (page.status, page.content_type) == (200, "text/html")
    names = re.findall(r'(?:src|href)="docs/([^"]+)"', await page.text())
    assert sorted(names) == ["start.js", "swagger-ui-bundle.js", "swagger-ui.css"]
    for name in names:
        response = await api.get(f"/docs/{name}")
        assert response.status == 200
        assert await response.read() == (FOLDER / name).read_bytes()


async def test_nothing_else_is_served_from_the_folder(api: Api) -> None:
    for name in ("README.md", "nope.js", "..%2fapp.py", "%2e%2e%2fapp.py"):
        response = await api.get(f"/docs/{name}")
        assert (response.status, await response.json()) == (404, {"detail": "Not Found"})
        assert (await api.head(f"/docs/{name}")).status == 404


async def test_the_page_names_no_other_host(api: Api) -> None:
    page = await api.get("/docs")
    assert "//" not in await page.text()
    assert "validatorUrl: null" in (FOLDER / "start.js").read_text()
    assert re.findall(r"(?:url\(|@import)\s*['\"]?https?:", (FOLDER / "swagger-ui.css").read_text()) == []
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy


async def test_a_browser_shows_every_operation_with_no_request_leaving_the_host(
    api: Api, browser: str, tmp_path: Path
) -> None:
    log = tmp_path / "net.json"
    process = await asyncio.create_subprocess_exec(
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",  # the browser's own calls home are none of ours
        "--disable-component-update",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        f"--log-net-log={log}",
        "--virtual-time-budget=20000",  # ms that pass at once, as soon as nothing is being loaded
        "--dump-dom",
        str(api.make_url("/docs")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    page, _ = await asyncio.wait_for(process.communicate(), 60)  # seconds; a cold start on a busy machine is slow
    shown = page.decode()
    for path, entries in document("0", OPERATIONS)["paths"].items():
        assert f'data-path="{path}"' in shown
        for entry in entries.values():
            assert f">{html.escape(entry['summary'], quote=False)}</" in shown
    # What a page asks for has the page as its initiator; the browser's own calls home have none.
    events = [event["params"] for event in json.loads(log.read_text())["events"] if "params" in event]
    asked = {str(e["url"]) for e in events if "url" in e and str(e.get("initiator")).startswith("http")}
    here = str(api.make_url("/"))
    names = ("docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/start.js", "openapi.json")
    assert asked == {here + name for name in names}
