"""`lineshaft migrate`, from one installation to another."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from tests.system.fleet import Fleet
from tests.system.server import COMMAND, START_PATIENCE, clean_environment, wait_until

pytestmark = pytest.mark.xdist_group("migrate")
PROJECT = Path(__file__).parents[1] / "contract" / "runs_project" / "langgraph.json"


@pytest.fixture(scope="module")
def fleet_of_two() -> Iterator[Fleet]:
    with Fleet() as fleet:
        yield fleet


@pytest.fixture(scope="module")
def urls(fleet_of_two: Fleet) -> tuple[str, str]:
    """Of two installations on one Redis."""
    fleet = fleet_of_two
    gateways = [fleet.gateway(REDIS_KEY_PREFIX=prefix) for prefix in ("", "new:")]
    for prefix in ("", "new:"):
        fleet.worker(PROJECT, REDIS_KEY_PREFIX=prefix)
    wait_until(lambda: all(gateway.events("listening") for gateway in gateways), "both listen", START_PATIENCE)
    urls = (gateways[0].url, gateways[1].url)
    for url in urls:
        wait_until(lambda url=url: len(graphs(url)) == 13, "there are graphs", START_PATIENCE)  # type: ignore[misc]
    return urls


def graphs(url: str) -> list[Any]:
    found: list[Any] = httpx.post(f"{url}/assistants/search", json={"limit": 100}).json()
    return found


@pytest.fixture(scope="module")
def old(urls: tuple[str, str]) -> Iterator[SyncLangGraphClient]:
    with get_sync_client(url=urls[0]) as client:
        yield client


@pytest.fixture(scope="module")
def new(urls: tuple[str, str]) -> Iterator[SyncLangGraphClient]:
    with get_sync_client(url=urls[1]) as client:
        yield client


def migrate(urls: tuple[str, str], *options: str, code: int) -> str:
    done = subprocess.run(
        [*COMMAND, "migrate", "--from", urls[0], "--to", urls[1], *options],
        env=clean_environment(), capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def say(client: SyncLangGraphClient, thread: str, graph: str, **asked: Any) -> None:
    for _ in client.runs.stream(thread, graph, input=asked):
        pass


@pytest.fixture(scope="module")
def made(old: SyncLangGraphClient) -> dict[str, str]:
    """Threads of every kind by name, and an assistant."""
    threads = {
        name: str(old.threads.create(metadata={"name": name})["thread_id"])
        for name in ("chat", "fanout", "nested", "ask", "failed", "by hand", "empty", "left")
    }
    for text in ("hi", "and then?"):
        say(old, threads["chat"], "chat", messages=[{"role": "user", "content": text}])
    say(old, threads["fanout"], "fanout", items=[1, 2, 3])
    say(old, threads["nested"], "nested")
    say(old, threads["ask"], "ask")
    say(old, threads["failed"], "fanout", items=["x"])
    say(old, threads["by hand"], "linear")
    old.threads.update_state(threads["by hand"], {"log": ["by hand"]}, as_node="a")
    say(old, threads["left"], "linear")
    first = old.threads.get_history(threads["left"])[-2]["checkpoint"]
    for _ in old.runs.stream(threads["left"], "linear", input=None, checkpoint_id=first["checkpoint_id"]):
        pass
    assistant = old.assistants.create(
        "chat", name="one", metadata={"team": "red"}, config={"configurable": {"x": 1}}, description="of many words"
    )["assistant_id"]
    old.assistants.update(assistant, name="two")
    old.assistants.update(assistant, name="three")
    old.assistants.set_latest(assistant, 2)
    old.assistants.create("linear", name="of no words")
    old.store.put_item(["a", "b"], "k", {"list": [], "large": 2**53 + 1})
    for number in range(101):
        old.store.put_item(["n"], str(number), {"n": number})
    old.crons.create("chat", schedule="0 0 1 1 *", input={"messages": []}, metadata={"mine": True})
    old.crons.create_for_thread(threads["chat"], assistant, schedule="0 0 1 1 *", timezone="Europe/Berlin")
    return {**threads, "assistant": assistant}


@pytest.fixture(scope="module")
def said(urls: tuple[str, str], made: dict[str, str]) -> str:
    """What the command reported, once everything was taken; before that, it would have been."""
    assert made
    planned = migrate(urls, "--dry-run", code=0)
    assert "8 threads would be taken" in planned
    assert httpx.post(f"{urls[1]}/threads/count", json={}).json() == 0
    return migrate(urls, code=1)


def shown(client: SyncLangGraphClient, thread: str) -> list[Any]:
    """A thread's history, less what is of its place and its time."""
    history = client.threads.get_history(thread, limit=100)
    return [(state["values"], state["next"], [task["name"] for task in state["tasks"]]) for state in history]


@pytest.mark.parametrize("name", ["chat", "fanout", "nested", "ask", "failed", "empty"])
def test_a_thread_has_its_id_its_metadata_and_all_its_states(
    old: SyncLangGraphClient, new: SyncLangGraphClient, made: dict[str, str], said: str, name: str
) -> None:
    thread = made[name]
    before, after = old.threads.get(thread), new.threads.get(thread)
    assert json.dumps(after["values"]) == json.dumps(before["values"])
    # A server notes the assistant of a thread's runs itself, and takes it from nobody.
    own = {name: value for name, value in (before["metadata"] or {}).items() if name != "assistant_id"}
    assert own == after["metadata"]
    assert shown(new, thread) == shown(old, thread)
    assert ("interrupted" if before["status"] == "error" else before["status"]) == after["status"]
    assert (thread in said) == (name in {"ask", "failed"})


def test_what_no_history_tells_is_named(
    old: SyncLangGraphClient, new: SyncLangGraphClient, made: dict[str, str], said: str
) -> None:
    reasons = {
        "by hand": "only its newest state is taken",
        "left": "4 states of branches that were left are not taken",
    }
    for name, why in reasons.items():
        assert made[name] in said.partition(why)[2].partition(":\n")[2].split(":\n")[0]
        assert shown(new, made[name])[0] == shown(old, made[name])[0]


def test_a_conversation_goes_on(new: SyncLangGraphClient, made: dict[str, str], said: str) -> None:
    assert said
    say(new, made["chat"], "chat", messages=[{"role": "user", "content": "here we are"}])
    values: Any = new.threads.get(made["chat"])["values"]
    assert len(values["messages"]) == 6
    asked: Any = new.runs.wait(made["ask"], "ask", input=None)
    assert asked["__interrupt__"][0]["value"]
    answered: Any = new.runs.wait(made["ask"], "ask", command={"resume": "yes"})
    assert answered["answer"] == "yes"


def test_assistants_have_their_versions_and_the_current_one(
    old: SyncLangGraphClient, new: SyncLangGraphClient, made: dict[str, str], said: str
) -> None:
    assert "2 assistants taken, 13 were there" in said
    fields = ("version", "name", "graph_id", "config", "context", "metadata", "description")
    for client in (old, new):
        assert [row["version"] for row in client.assistants.get_versions(made["assistant"])] == [3, 2, 1]
    before, after = (client.assistants.get(made["assistant"]) for client in (old, new))
    assert {field: after[field] for field in fields} == {field: before[field] for field in fields}  # type: ignore[literal-required]


def test_items_are_what_they_were(new: SyncLangGraphClient, said: str) -> None:
    assert "102 items of the store taken" in said
    assert new.store.get_item(["a", "b"], "k")["value"] == {"list": [], "large": 2**53 + 1}


def test_it_can_be_run_again_and_then_takes_what_is_missing(
    urls: tuple[str, str], old: SyncLangGraphClient, new: SyncLangGraphClient, made: dict[str, str], said: str
) -> None:
    assert "crons are turned off" in said
    assert {(cron["enabled"], cron["thread_id"]) for cron in new.crons.search()} == {
        (False, None), (False, made["chat"]),
    }  # fmt: skip
    # As if it had been ended between making a thread and its states, and before some other things.
    new.threads.delete(made["fanout"])
    new.threads.create(thread_id=made["fanout"], metadata=old.threads.get(made["fanout"])["metadata"])
    new.store.delete_item(["n"], "7")
    new.store.put_item(["n"], "8", {"n": "newer"})
    again = migrate(urls, "--enable-crons", code=1)
    assert "1 threads taken, 7 were there" in again
    assert "1 items of the store taken, 101 were there" in again
    assert "it is there with another value, which stays:\n  item n 8" in again
    assert "0 crons taken, 2 were there" in again
    assert shown(new, made["fanout"]) == shown(old, made["fanout"])
    crons = new.crons.search()
    assert all(cron["enabled"] for cron in crons)
    assert {cron["timezone"] for cron in crons} == {None, "Europe/Berlin"}


def test_a_question_is_asked_again_if_that_is_wanted(
    urls: tuple[str, str], old: SyncLangGraphClient, new: SyncLangGraphClient, said: str
) -> None:
    assert said
    thread = old.threads.create()["thread_id"]
    say(old, thread, "ask")
    migrate(urls, "--only", "threads", "--ask-again", code=0)
    before, after = old.threads.get(thread), new.threads.get(thread)
    assert after["status"] == "interrupted"
    questions = [[each[0]["value"] for each in found["interrupts"].values()] for found in (before, after)]
    assert questions[0] == questions[1] != []


def test_a_wrong_key_ends_it_at_once(urls: tuple[str, str], fleet_of_two: Fleet) -> None:
    guarded = fleet_of_two.gateway(LINESHAFT_AUTH="keys")
    wait_until(lambda: guarded.events("listening"), "it listens", START_PATIENCE)
    said = migrate((urls[0], guarded.url), "--to-key", "lsk_000000000000_wrong", code=1)
    assert f"Error: {guarded.url}/: " in said


def test_addresses_that_cannot_be_right_are_told(urls: tuple[str, str]) -> None:
    assert "is not NAME=VALUE" in migrate(urls, "--from-header", "Authorization", code=2)
    assert "ftp://x is not of the form" in migrate((urls[0], "ftp://x"), code=1)
