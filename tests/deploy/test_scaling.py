"""What KEDA is told to ask is answered, as it will ask it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from lineshaft.access.api_keys import ApiKeys
from lineshaft.assistants.assistant import AssistantStore
from lineshaft.config.executor import ExecutorConfig, QueueConfig
from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client
from lineshaft_api.app import build

FILE = Path(__file__).parents[2] / "deploy/kustomize/components/keda/scaling.yaml"
Api = TestClient[web.Request, web.Application]


def triggers() -> Iterator[dict[str, str]]:
    for document in yaml.safe_load_all(FILE.read_text()):
        for trigger in document["spec"].get("triggers", []):
            assert trigger["type"] == "metrics-api"
            yield trigger["metadata"]


@pytest.fixture
def settings(redis_uri: str) -> Settings:
    queues = {"interactive": QueueConfig(graphs=("chat",)), "batch": QueueConfig()}
    return Settings(redis_uri=redis_uri, lineshaft_auth="keys", lineshaft_executor=ExecutorConfig(queues=queues))


@pytest.fixture
async def api(client: Client, settings: Settings) -> AsyncIterator[Api]:
    async with TestClient(TestServer(build(client, settings))) as started:
        yield started


async def ask(api: Api, trigger: dict[str, str], key: str) -> Any:
    """As the trigger `metrics-api` does: the key in the header that it names, the number at `valueLocation`."""
    assert (trigger["authMode"], trigger["method"]) == ("apiKey", "header")
    response = await api.get(urlsplit(trigger["url"]).path, headers={trigger["keyParamName"]: key})
    assert response.status == 200, await response.text()
    return msgspec.json.decode(await response.read())[trigger["valueLocation"]]


async def test_each_trigger_gets_its_number(api: Api, client: Client) -> None:
    await AssistantStore(client).ensure_system("chat", "chat", None)
    keys = ApiKeys(client)
    _, admin = await keys.create("keda", "admin")
    _, writer = await keys.create("backend", "write")
    thread = await (await api.post("/threads", json={}, headers={"X-Api-Key": writer})).json()
    path = f"/threads/{thread['thread_id']}/runs"
    for _ in range(2):  # of one thread: the second waits for the first, and takes no slot meanwhile
        sent = await api.post(path, json={"assistant_id": "chat"}, headers={"X-Api-Key": writer})
        assert sent.status == 200

    answers = {trigger["url"].rpartition("/")[2]: await ask(api, trigger, admin) for trigger in triggers()}

    assert answers == {"interactive": 1, "runs": 0, "batch": 0}
    trigger = next(triggers())
    refused = await api.get(urlsplit(trigger["url"]).path, headers={"X-Api-Key": writer})
    assert refused.status == 403
    await api.delete(f"/threads/{thread['thread_id']}", headers={"X-Api-Key": writer})
