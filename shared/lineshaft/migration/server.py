"""One of the two servers, asked over HTTP."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from lineshaft.errors import ConfigError, NotFound, Refused, Unauthorized, Unavailable

_TIMEOUT = 120.0  # seconds: a large thread's history takes a while to read, and to write
_AGAIN = 8  # attempts while a server is busy or away: with the waits below about two minutes
_LONGEST_WAIT = 30.0  # seconds
_PAGE = 100  # rows of a search; every server allows that many
# A page of states may be large: each has all values of the thread.
_STATES = 50
# A client error that another attempt does not mend; a proxy's 502 and 504 it may.
_BUSY = (429, 502, 503, 504)


class Server:
    """Methods raise NotFound, Unauthorized, Refused for other errors of a client, Unavailable when it stays away."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        """Raises ConfigError for what is no URL."""
        try:
            self._http = httpx.Client(base_url=url, headers=dict(headers), timeout=_TIMEOUT, follow_redirects=True)
        except (httpx.InvalidURL, TypeError, ValueError) as error:
            raise ConfigError(f"{url}: {error}") from None
        if self._http.base_url.scheme not in {"http", "https"}:
            raise ConfigError(f"{url} is not of the form http://host:port")
        self.url = url

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """One request; the answer's JSON, None if it has no body. Tries again while the server is busy or away."""
        problem = ""
        for attempt in range(_AGAIN):
            wait = min(_LONGEST_WAIT, 0.5 * 2**attempt)
            try:
                answer = self._http.request(method, path, json=body, params=query or None)
            except httpx.TransportError as error:
                # What was sent may have been done: every write here says what it makes, and can be said twice.
                problem = f"{self.url} cannot be reached: {str(error) or type(error).__name__}"
            else:
                if answer.status_code not in _BUSY:
                    return _read(answer)
                problem = f"{self.url}: {answer.status_code} for {method} {path}: {_detail(answer)}"
                if (after := answer.headers.get("Retry-After", "")).isdecimal():
                    wait = min(_LONGEST_WAIT, max(wait, float(after)))
            if attempt < _AGAIN - 1:
                time.sleep(wait)
        raise Unavailable(problem)

    def find(self, path: str, **query: Any) -> Any:
        """What is at a path; None if there is nothing."""
        try:
            return self.ask("GET", path, **query)
        except NotFound:
            return None

    def pages(self, path: str, body: dict[str, Any] | None = None, *, of: str = "") -> Iterator[Any]:
        """All rows of a search, which are in the answer, or in its field `of`."""
        offset = 0
        while True:
            answer = self.ask("POST", path, {**(body or {}), "limit": _PAGE, "offset": offset})
            rows = answer[of] if of else answer
            yield from rows
            if len(rows) < _PAGE:
                return
            offset += len(rows)

    def states(self, thread_id: str) -> Iterator[dict[str, Any]]:
        """The history of a thread, newest first."""
        body: dict[str, Any] = {"limit": _STATES}
        seen: set[str] = set()
        while True:
            rows = self.ask("POST", f"/threads/{thread_id}/history", body)
            new = [row for row in rows if row["checkpoint"]["checkpoint_id"] not in seen]
            yield from new
            # A server that does not know `before` would send the same page for ever.
            if len(new) < _STATES:
                return
            seen.update(row["checkpoint"]["checkpoint_id"] for row in new)
            body["before"] = {"configurable": {"checkpoint_id": new[-1]["checkpoint"]["checkpoint_id"]}}


def _read(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json() if answer.content else None
    place = f"{answer.request.method} {answer.request.url.path}"
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        # Nothing else will go better, and who goes on asking is shut out.
        raise Unauthorized(f"{answer.request.url.copy_with(raw_path=b'/')}: {_detail(answer)}")
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise NotFound(f"{place}: {_detail(answer)}")
    raise Refused(answer.status_code, f"{answer.status_code} for {place}: {_detail(answer)}", {})


def _detail(answer: httpx.Response) -> str:
    try:
        said = answer.json()
    except ValueError:
        said = answer.text
    return str(said.get("detail", said) if isinstance(said, dict) else said)[:300]
