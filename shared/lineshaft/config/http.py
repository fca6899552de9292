"""How the gateway is reached: the section `http` of langgraph.json."""

import re
from typing import Annotated, Literal

from msgspec import Meta, Struct

# What says who a client is never becomes part of a run or of a log, whatever is configured.
_SECRET = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key", "x-service-key", "x-tenant-id"})
# One slash before each part and none at the end. Without braces, which would mean something to the router.
MOUNT_PATTERN = r"^(/[A-Za-z0-9._~-]+)+$"


class CorsConfig(Struct, frozen=True, kw_only=True):
    """Which pages in browsers may use this server. It replaces the defaults (any page) as a whole."""

    allow_origins: tuple[str, ...] = ()  # `*`: any
    allow_methods: tuple[str, ...] = ("GET",)  # `*`: any
    allow_headers: tuple[str, ...] = ()  # beside those that browsers always allow; `*`: any
    allow_credentials: bool = False
    allow_origin_regex: str | None = None  # must match the whole origin
    expose_headers: tuple[str, ...] = ()
    max_age: Annotated[int, Meta(ge=0)] = 600  # seconds that browsers keep a preflight's answer

    def __post_init__(self) -> None:
        if self.allow_origin_regex is not None:
            try:
                re.compile(self.allow_origin_regex)
            except re.error as error:
                raise ValueError(f"allow_origin_regex: {error}") from None


class HeaderRules(Struct, frozen=True, kw_only=True):
    """Names of request headers, in lower case; `*` stands for any characters, and what is excluded stays out."""

    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    include: tuple[str, ...] = ()  # another spelling of the same
    exclude: tuple[str, ...] = ()

    def chosen(self, names: frozenset[str]) -> frozenset[str]:
        """Those of `names` (lower case) that the rules take."""
        takes, refuses = _pattern(self.includes + self.include), _pattern(self.excludes + self.exclude)
        return frozenset(name for name in names - _SECRET if takes.fullmatch(name) and not refuses.fullmatch(name))


class HttpConfig(Struct, frozen=True, kw_only=True):
    """The whole section."""

    app: str | None = None  # `file.py:attribute` or `package.module:attribute` of an ASGI application
    cors: CorsConfig | None = None
    configurable_headers: HeaderRules | None = None  # become part of the configurable of the runs that requests make
    logging_headers: HeaderRules | None = None  # stand in what is logged of a request
    mount_prefix: Annotated[str, Meta(pattern=MOUNT_PATTERN)] | None = None  # the path that everything is under
    middleware_order: Literal["auth_first", "middleware_first"] = "middleware_first"
    enable_custom_route_auth: bool = False
    disable_assistants: bool = False
    disable_threads: bool = False
    disable_runs: bool = False
    disable_store: bool = False
    disable_mcp: bool = False
    disable_a2a: bool = False
    disable_meta: bool = False
    disable_internal: bool = False  # ours, no counterpart in the official server: what is for operators
    disable_ui: bool = False  # there is none; known, so that nobody is told that it is not
    folders: tuple[str, ...] = ()  # for `sys.path`; not of the file: whoever reads that adds them


def _pattern(globs: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(glob.lower()).replace(r"\*", ".*") for glob in globs) or r"(?!)")
