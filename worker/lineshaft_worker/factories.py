"""Graph factories: functions in the user's code that build a graph for each use.

A factory takes nothing, a `RunnableConfig`, a `ServerRuntime`, or both, in any order; it returns a graph or a builder,
directly, awaited, or as a context manager whose exit cleans up.
"""

import inspect
import typing
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import is_dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore

# The two variants are private in langgraph_sdk, which offers a server no other way to make a ServerRuntime.
from langgraph_sdk.runtime import AccessContext, _ExecutionRuntime, _ReadRuntime
from pydantic import BaseModel

_RUNTIME_TYPES = ("ServerRuntime", "_ServerRuntimeBase", "_ExecutionRuntime", "_ReadRuntime")


class Factory:
    """One factory, its signature understood. Raises TypeError when it asks for something we do not have."""

    def __init__(self, function: Callable[..., Any]) -> None:
        if inspect.isasyncgenfunction(function):
            function = asynccontextmanager(function)
        elif inspect.isgeneratorfunction(function):
            function = contextmanager(function)
        self._function = function
        self._positional: list[str] = []  # what each positional argument is: config or runtime
        self._named: dict[str, str] = {}
        self._context_schema: Any = None
        self._read_signature()

    @asynccontextmanager
    async def build(
        self, config: RunnableConfig, *, access: AccessContext, store: BaseStore | None, context: Any
    ) -> AsyncIterator[Pregel[Any, Any, Any, Any]]:
        """A graph for one use; what the factory opened is closed at the end."""
        given: dict[str, Any] = {"config": config}
        if "runtime" in self._positional or "runtime" in self._named.values():
            given["runtime"] = self._runtime(config, access, store, context)
        result = self._function(
            *(given[what] for what in self._positional), **{name: given[what] for name, what in self._named.items()}
        )
        if inspect.isawaitable(result):
            result = await result
        async with AsyncExitStack() as stack:
            if hasattr(result, "__aenter__"):
                result = await stack.enter_async_context(result)
            elif hasattr(result, "__enter__"):
                result = stack.enter_context(result)
            yield as_graph(result)

    def _read_signature(self) -> None:
        try:
            signature = inspect.signature(self._function, eval_str=True)
        except Exception:  # noqa: BLE001 - evaluates annotations of user code; what exists for type checkers only fails
            signature = inspect.signature(self._function)
        parameters = [
            parameter
            for parameter in signature.parameters.values()
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
        roles = {parameter.name: _role(parameter.name, parameter.annotation) for parameter in parameters}
        for parameter in parameters:
            role = roles[parameter.name]
            if role is None and parameter.default is not parameter.empty:
                continue
            # Old factories take the config as their only argument, under any name and without annotation.
            role = role or next((role for role in ("config", "runtime") if role not in roles.values()), None)
            if role is None:
                raise TypeError(
                    f"a factory may take a RunnableConfig and a ServerRuntime; {parameter.name!r} is neither"
                )
            roles[parameter.name] = role
            if role == "runtime" and (arguments := typing.get_args(parameter.annotation)):
                self._context_schema = arguments[0]
            if parameter.kind is parameter.POSITIONAL_ONLY:
                self._positional.append(role)
            else:
                self._named[parameter.name] = role

    def _runtime(self, config: RunnableConfig, access: AccessContext, store: Any, context: Any) -> Any:
        user = config.get("configurable", {}).get("langgraph_auth_user")
        if access != "threads.create_run":
            return _ReadRuntime(access_context=access, user=user, store=store)
        schema = self._context_schema
        if isinstance(context, Mapping) and isinstance(schema, type) and _takes_fields(schema):
            context = schema(**context)
        return _ExecutionRuntime(access_context=access, user=user, store=store, context=context)


def _takes_fields(schema: type) -> bool:
    return is_dataclass(schema) or issubclass(schema, BaseModel)


def as_graph(value: Any) -> Pregel[Any, Any, Any, Any]:
    """A compiled graph from what user code calls a graph. Raises TypeError."""
    if isinstance(value, StateGraph):
        value = value.compile()
    if not isinstance(value, Pregel):
        raise TypeError(f"expected a compiled graph or a StateGraph, got {type(value).__name__}")
    return value


def _role(name: str, annotation: Any) -> str | None:
    """Whether a parameter is for the config or for the runtime; by annotation, else by name."""
    if isinstance(annotation, str):  # could not be evaluated
        head = annotation.partition("[")[0].rpartition(".")[2]
    else:
        head = getattr(typing.get_origin(annotation) or annotation, "__name__", "")
    if head in _RUNTIME_TYPES:
        return "runtime"
    if head == "RunnableConfig":
        return "config"
    return name if name in ("config", "runtime") else None
