"""What `dev` tells the person at the terminal."""

import asyncio
from collections.abc import Callable
from urllib.parse import quote

from lineshaft import __version__

from .supervisor import Status

# Seconds after which a graph that is still loading is mentioned; then after twice as long, and so on.
_SLOW = 3.0
_NAMED = 3  # files in a line
_SAME = 0.5  # seconds within which the workers notice one change


class Announcer:
    """Turns what the processes report into a few friendly lines."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._loading: dict[str, asyncio.TimerHandle] = {}
        self._said: dict[tuple[str, str], float] = {}
        self._changed_at = 0.0  # 0: nothing has
        self._known: dict[str, str | None] = {}  # graph -> why it does not load, None if it does

    def hello(self, config: str, notes: list[str]) -> None:
        """Who speaks, what is served, and what of the configuration has no effect."""
        self._say(f"Lineshaft {__version__}, serving {config}")
        for note in notes:
            self._say(f"  note: {note}")

    def redis(self, version: str, place: str) -> None:
        """Where everything is kept."""
        self._line("Redis", f"{version}, {place}")

    def on_worker_status(self, status: Status) -> None:
        """Several workers load the same graphs: each is mentioned once, and again when its fate changes."""
        if status.get("event") in ("changed", "kept", "note", "ready"):
            self._on_reload(status)
        graph = status.get("graph")
        if not isinstance(graph, str):
            return
        if status.get("event") == "loading":
            self._expect(graph, _SLOW)
        elif status.get("event") == "graph":
            self._loaded(graph, status.get("error"), status.get("seconds"))

    def _on_reload(self, status: Status) -> None:
        match status:
            case {"event": "changed", "files": list(files)}:
                self._changed_at = self._changed_at or self._loop.time()
                more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
                self._once("Changed", ", ".join(files[:_NAMED]) + more)
            case {"event": "kept", "error": error}:
                self._changed_at = 0.0
                if error:
                    self._once("Wrong", error)
                self._once("Kept", "the code as it was before goes on until this is mended")
            case {"event": "note", "text": text}:
                self._once("Note", text)
            case {"event": "ready"} if self._changed_at:
                self._once("Reloaded", f"in {self._loop.time() - self._changed_at:.1f} s")
                self._changed_at = 0.0

    def _once(self, what: str, text: str) -> None:
        """Each worker says the same of the same change."""
        now = self._loop.time()
        if now - self._said.get((what, text), -_SAME) > _SAME:
            self._line(what, text)
        self._said[what, text] = now

    def ready(self, url: str, graphs: list[str]) -> None:
        """What can be done now."""
        self._line("API", url)
        self._line("Docs", f"{url}/docs")
        self._line("Studio", f"https://smith.langchain.com/studio/?baseUrl={url}")
        assistant = next((graph for graph in graphs if self._known.get(graph) is None), graphs[0])
        chat = f"https://agentchat.vercel.app/?apiUrl={quote(url, safe=':/')}&assistantId={quote(assistant)}"
        self._line("Agent Chat", chat)
        self._say(f"ready in {self._loop.time() - self._started:.1f} s; Ctrl-C stops everything")

    def _loaded(self, graph: str, error: str | None, seconds: float | None) -> None:
        if timer := self._loading.pop(graph, None):
            timer.cancel()
        if graph in self._known and self._known[graph] == error:
            return
        self._known[graph] = error
        took = f" ({seconds:.1f} s)" if seconds is not None else ""
        self._line("Graph", f"{graph} does not load: {error}" if error else f"{graph}{took}")

    def _expect(self, graph: str, after: float) -> None:
        if graph in self._loading or graph in self._known:
            return
        began = self._loop.time()

        def mention(next_time: float) -> None:
            self._say(f"  still loading {graph} ({self._loop.time() - began:.0f} s)...")
            self._loading[graph] = self._loop.call_later(next_time, mention, next_time * 2)

        self._loading[graph] = self._loop.call_later(after, mention, after)

    def _line(self, what: str, text: str) -> None:
        self._say(f"  {what:<11}{text}")
