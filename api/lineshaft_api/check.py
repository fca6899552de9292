"""`python -m lineshaft_api.check`: puts a gateway together as it would be served, and shows its OpenAPI document."""

import os
import sys

from lineshaft.config import settings
from lineshaft.errors import ConfigError
from lineshaft.redis.client import Client
from lineshaft.telemetry import log

from .app import build
from .context import OPENAPI


def main() -> int:
    """With `openapi`, write the document. Exit code 1 if a gateway would not start. No Redis is asked."""
    try:
        chosen = settings.from_environment()
        log.configure("ERROR")
        # The address is only kept: nothing is connected to before something is asked.
        app = build(Client(chosen), chosen)
    except ConfigError as error:
        print(f"wrong  {error}")  # noqa: T201 - what the command is for
        return 1
    if sys.argv[1:] == ["openapi"]:
        os.write(sys.stdout.fileno(), app[OPENAPI] + b"\n")
        return 0
    for name, path in (("auth.path", chosen.langgraph_auth.path), ("http.app", chosen.langgraph_http.app)):
        if path:
            print(f"ok     {name} loads")  # noqa: T201 - as above
    return 0


if __name__ == "__main__":
    sys.exit(main())
