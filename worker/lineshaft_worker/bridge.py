"""Lets the user's synchronous code, which langgraph runs in threads, use what lives on the worker's event loop."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Bridge:
    """The event loop on which it was made, for callers in other threads."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def call(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any) -> T:
        """Run an async method on the loop and wait for it. Raises InvalidStateError on the loop's own thread."""
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:  # no loop runs in this thread, as it should be
            here = None
        if here is self._loop:
            name = function.__name__
            # The error langgraph's own stores raise here: waiting would block the loop for ever.
            raise asyncio.InvalidStateError(
                f"A synchronous call in async code would block the event loop: await {name}(...) instead, "
                f"or make the node a plain function (then it runs in a thread)."
            )
        return asyncio.run_coroutine_threadsafe(function(*args, **kwargs), self._loop).result()
