"""Asks what only a graph can answer: a gateway and the control lane in one."""

import json
from typing import Any

import msgspec

from lineshaft.assistants.queries import Kind, StateQuery
from lineshaft.errors import LineshaftError
from lineshaft.ids import uuid7
from lineshaft.redis.client import Client
from lineshaft.threads.state import stored_state
from lineshaft_worker.control import States
from lineshaft_worker.graphs import Graphs


class Asker:
    """Asks without the lane; a query exists while it is answered, unless its asker has `gone`."""

    def __init__(self, client: Client, graphs: Graphs, worker: str) -> None:
        self.client = client
        self.states = States(client, graphs, worker)

    async def outcome(self, kind: Kind, thread: str, graph: str = "linear", *, gone: bool = False, **args: Any) -> Any:
        """The answer, decoded, or the error that the asker would get."""
        query = StateQuery(query_id=uuid7(), kind=kind, thread_id=thread, graph_id=graph, args=args)
        if not gone:
            await self.client.command("SET", self.client.keys.query(query.query_id), b"", "EX", 10)
        answer = await self.states.answer(query)
        return answer if isinstance(answer, LineshaftError) else msgspec.json.decode(answer)

    async def ask(self, *args: Any, **options: Any) -> Any:
        outcome = await self.outcome(*args, **options)
        if isinstance(outcome, LineshaftError):
            raise outcome
        return outcome

    async def stored(self, thread: str) -> Any:
        """The stored state, None when it is not the present one."""
        state = (await stored_state(self.client, thread)).state
        return state and json.loads(state)
