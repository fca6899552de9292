"""Settings from the environment, under the official server's variable names where it has one.

Precedence: flag > environment > `env` of langgraph.json > default. Whoever starts a process puts the `env` of
langgraph.json under the environment first; this module only reads a mapping.
"""

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from .errors import ConfigError


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """One field per variable; the field's upper-case name is the variable's."""

    redis_uri: str = "redis://127.0.0.1:6379"
    redis_key_prefix: str = ""
    redis_max_connections: int = 200  # connections of one process; each command holds one for its round trip only
    redis_connect_timeout: float = 2.0  # seconds
    redis_health_check_interval: int = 15  # seconds
    n_jobs_per_worker: int = 10
    bg_job_timeout_secs: float = 86_400  # a run's time limit, seconds
    bg_job_shutdown_grace_period_secs: float = 180.0  # how long a stopping worker lets its runs go on
    resumable_stream_ttl_seconds: int = 86_400  # events of a resumable run, after its end
    http_max_request_body_bytes: int = 10 * 1024 * 1024
    log_level: str = "INFO"
    log_json: bool = False
    # Ours, no counterpart in the official server:
    lineshaft_lease_seconds: float = 10.0  # a worker that shows no life for this long loses its runs
    lineshaft_events_ttl_seconds: int = 300  # events of other runs, after their end
    lineshaft_input_ttl_seconds: int = 86_400  # a run's input, after its end
    lineshaft_runs_kept_per_thread: int = 1_000
    lineshaft_max_crashes: int = 3  # workers that may die with a run before it becomes a dead letter


def from_environment(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings. Raises ConfigError that names the variable and what it should be."""
    names = {f.encode_name: f for f in msgspec.structs.fields(Settings)}
    values: dict[str, Any] = {}
    for name, field in names.items():
        if (text := environ.get(name)) is None or text == "":
            continue
        try:
            values[field.name] = msgspec.convert(text, field.type, strict=False)
        except msgspec.ValidationError as error:
            raise ConfigError(f"environment variable {name}={text!r}: {error}") from None
    return Settings(**values)
