"""How callers are asked who they are by code of the user's: the section `auth` of langgraph.json."""

from typing import Annotated, Any

from msgspec import Meta, Struct


class AuthCache(Struct, frozen=True, kw_only=True):
    """For how long an answer of `authenticate` stands for requests with the same headers."""

    cache_keys: Annotated[list[str], Meta(min_length=1)]  # names of headers
    ttl_seconds: Annotated[float, Meta(gt=0)] = 60.0
    max_size: Annotated[int, Meta(ge=1)] = 1_000  # answers, in each gateway


class AuthOpenApi(Struct, frozen=True, rename="camel"):
    """What /openapi.json says of how callers are asked."""

    security_schemes: dict[str, Any] = {}
    security: list[dict[str, list[str]]] = []


class AuthConfig(Struct, frozen=True, kw_only=True):
    """The whole section."""

    path: str | None = None  # `file.py:attribute` or `package.module:attribute` of a langgraph_sdk.Auth
    disable_studio_auth: bool = False
    openapi: AuthOpenApi = AuthOpenApi()
    cache: AuthCache | None = None
    folders: list[str] = []  # for `sys.path`; not of the file: whoever reads that adds them
