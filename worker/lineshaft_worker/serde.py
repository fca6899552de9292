"""How state is serialised: langgraph's msgpack, made strict, so that reading a checkpoint can never run code.

Strict means: a class is rebuilt only if langgraph knows it to be safe (messages, documents, dates, sets, ...) or if the
graph's own schema names it. Everything else comes back as plain data, a Pydantic model as a dict. Pickle is off.
`LANGGRAPH_STRICT_MSGPACK=false` opts out of strictness: then whoever can write to Redis can run code in workers.

Import this module before any graph is loaded: langgraph reads the variable when it is imported itself, with the other
default, and graphs collect the classes of their schema when they are compiled, only if strictness is on by then.
"""

import os

from langgraph._internal import _serde
from langgraph.checkpoint.serde import _msgpack
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

STRICT = os.environ.get("LANGGRAPH_STRICT_MSGPACK", "true").lower() not in ("0", "false", "no")
_msgpack.STRICT_MSGPACK_ENABLED = STRICT
_serde.STRICT_MSGPACK_ENABLED = STRICT  # type: ignore[attr-defined]  # a private module: pinned by a test


def serializer() -> JsonPlusSerializer:
    """The serializer of our checkpointer; a graph adds the classes of its schema by `with_allowlist`."""
    return JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None if STRICT else True)
