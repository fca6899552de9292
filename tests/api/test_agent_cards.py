"""Agent cards: what another agent reads before it talks to an assistant."""

from collections.abc import AsyncIterator

import pytest

from lineshaft.config.settings import Settings
from lineshaft.redis.client import Client

from .agent import AGENT, Agent
from .gateway import publish, serving

CARD = "/.well-known/agent-card.json"
NOBODY = "01a20056-5bd2-76fa-8e52-c19bdc138892"  # an assistant that there is not


@pytest.fixture
async def agent(client: Client, settings: Settings) -> AsyncIterator[Agent]:
    async with serving(client, settings) as gateway:
        agent = Agent(gateway)
        await agent.begin()
        yield agent


async def test_a_card(agent: Agent, client: Client) -> None:
    card = await agent.gateway.json("GET", f"{CARD}?assistant_id={AGENT}")
    assert card["url"] == f"http://127.0.0.1:{agent.gateway.runner.addresses[0][1]}/a2a/{AGENT}"
    assert card["supportedInterfaces"] == [{"url": card["url"], "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}]
    assert (card["name"], card["version"], card["protocolVersion"]) == ("g", "1", "0.3.0")
    assert card["capabilities"]["streaming"] is True
    assert card["defaultInputModes"] == ["text/plain", "application/json"]
    assert len(card["skills"]) == 1
    assert await agent.gateway.json("GET", agent.path + CARD) == card
    assert await agent.result("GetExtendedAgentCard", None) == card
    await publish(client, "g", type="object", properties={})
    assert (await agent.gateway.json("GET", agent.path + CARD))["defaultInputModes"] == ["application/json"]


async def test_a_card_behind_a_proxy_that_ends_tls(agent: Agent) -> None:
    headers = {"Host": "agents.example", "X-Forwarded-Proto": "https"}
    card = await agent.gateway.json("GET", f"{CARD}?assistant_id={AGENT}", headers=headers)
    assert card["url"] == f"https://agents.example/a2a/{AGENT}"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (CARD, 400),
        (f"{CARD}?assistant_id=g", 400),
        (f"{CARD}?assistant_id={NOBODY}", 404),
        (f"/a2a/{NOBODY}{CARD}", 404),
        ("/.well-known/agent.json", 404),
    ],
)
async def test_no_card(agent: Agent, path: str, status: int) -> None:
    assert (await agent.gateway.json("GET", path, status))["detail"]
