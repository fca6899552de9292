"""Every operation of the OpenAPI document is asked for what nobody thought of: no 5xx, and answers as the document has
them. `make fuzz` asks for more, and for something else each time.
"""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok

from .server import DevServer

PROJECT = Path(__file__).parents[1] / "contract" / "resources_project" / "langgraph.json"
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2"))  # of each operation, sound ones and broken ones each
# A body may fit its schema and yet name an assistant that is not there: those statuses are in the document too.
EXCLUDED = ["positive_data_acceptance"]
# These tell of a broken request in their own protocol, with status 200.
OWN_ERRORS = ("POST /a2a/", "POST /mcp", "POST /threads/{thread_id}/commands")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    with DevServer(tmp_path_factory.mktemp("fuzz"), config=PROJECT) as started:
        yield started


@pytest.mark.timeout(120 + 60 * EXAMPLES)  # seconds; an example takes some milliseconds, or a run
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_request_breaks_the_server_or_contradicts_the_document(server: DevServer, mode: GenerationMode) -> None:
    thread = httpx.post(f"{server.url}/threads", json={}).json()["thread_id"]
    failures: dict[str, Any] = {}
    for found in schemathesis.openapi.from_url(f"{server.url}/openapi.json").get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        try:
            ask(operation, mode, thread)
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE  # nothing in such a request can be wrong
        except (Exception, FailureGroup) as failure:  # noqa: BLE001 - the rest of the operations is asked all the same
            failures[operation.label] = failure
    assert not failures, "\n\n".join(f"{label}: {shown(failure)}" for label, failure in failures.items())


def ask(operation: Any, mode: GenerationMode, thread: str) -> None:
    load_all_checks()
    own = ["negative_data_rejection"] if operation.label.startswith(OWN_ERRORS) else []
    excluded = CHECKS.get_by_names([*EXCLUDED, *own])
    asked = 0

    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        derandomize=not os.environ.get("FUZZ_RANDOM"),
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def once(case: Any) -> None:
        nonlocal asked
        asked += 1
        if asked % 2:  # else nearly all of them would be about what does not exist
            if is_id((case.path_parameters or {}).get("thread_id")):  # what is wrong stays wrong
                case.path_parameters["thread_id"] = thread
            if isinstance(case.body, dict) and "assistant_id" in case.body:
                case.body["assistant_id"] = "echo"
        case.validate_response(case.call(timeout=30), excluded_checks=excluded)

    once()


def is_id(value: Any) -> bool:
    try:
        return bool(uuid.UUID(value))
    except (ValueError, TypeError, AttributeError):
        return False


def shown(failure: BaseException) -> str:
    if isinstance(failure, BaseExceptionGroup):
        return "\n".join(map(shown, failure.exceptions))
    return f"{type(failure).__name__}: {failure}"
