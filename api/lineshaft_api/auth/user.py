"""A user as the code at auth.path has returned one: what its handlers see, and what graphs are told."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from lineshaft.errors import BadRequest

_OWN = ("identity", "display_name", "is_authenticated", "permissions")


class User:
    """Gives the fields of whatever was returned both ways: `user.team` and `user["team"]`."""

    def __init__(self, source: Any, permissions: list[str] | None = None) -> None:
        """Raises BadRequest if it has no identity."""
        self.source = {"identity": source} if isinstance(source, str) else source
        identity = self._field("identity")
        if not isinstance(identity, str) or not identity:
            raise BadRequest("The authentication of this server returned a user without an identity")
        self.identity = identity
        named = self._field("display_name")
        self.display_name: str = identity if named is None else named
        known = self._field("is_authenticated")
        self.is_authenticated: bool = True if known is None else bool(known)
        given = permissions if permissions is not None else self._field("permissions")
        self.permissions: list[str] = list(given or [])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if isinstance(self.source, Mapping):
            if name in self.source:
                return self.source[name]
            raise AttributeError(name)
        return getattr(self.source, name)

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError:
            raise KeyError(name) from None

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and hasattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*_OWN, *self._names()]))

    def get(self, name: str, default: Any = None) -> Any:
        """As of a dict."""
        return getattr(self, name, default)

    def shown(self) -> dict[str, Any]:
        """All of it as JSON has it; what that has no form for is its text."""
        found: dict[str, Any] = {name: self[name] for name in self if name in self}
        decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found, enc_hook=str))
        return decoded

    def _names(self) -> list[str]:
        source = self.source
        if isinstance(source, Mapping):
            return [name for name in source if isinstance(name, str)]
        fields = getattr(source, "__dict__", {})
        return [name for name in fields if not name.startswith("_")]

    def _field(self, name: str) -> Any:
        if isinstance(self.source, Mapping):
            return self.source.get(name)
        return getattr(self.source, name, None)
