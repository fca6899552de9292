"""Settings from the environment, under the official server's variable names where it has one.

Precedence: flag > environment > `env` of langgraph.json > default. Whoever starts a process puts the `env` of
langgraph.json under the environment first; this module only reads a mapping.
"""

import os
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from lineshaft.errors import ConfigError
from lineshaft.threads.ttl import CheckpointerConfig, DefaultTtl, Ttl
from lineshaft.webhooks.policy import WebhookConfig

from .auth import AuthConfig
from .executor import ExecutorConfig
from .http import HttpConfig
from .store import StoreConfig

_SHOWN = 40  # characters of a value that is wrong: every number and name of a mode is shorter


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """One field per variable; the field's upper-case name is the variable's."""

    redis_uri: str = "redis://127.0.0.1:6379"
    redis_key_prefix: str = ""
    redis_tls_ca_cert: str = ""  # file of CA certificates (PEM) that are trusted beside the system's
    redis_max_connections: int = 200  # connections of one process; each command holds one for its round trip only
    redis_connect_timeout: float = 2.0  # seconds
    redis_health_check_interval: int = 15  # seconds
    n_jobs_per_worker: int = 10
    bg_job_timeout_secs: float = 86_400  # a run's time limit, seconds
    # Attempts that may end with a dead worker, or with an end that could not be stored, before the run becomes a dead
    # letter. An exception of the graph is its run's end and never tried again.
    bg_job_max_retries: int = 3
    bg_job_shutdown_grace_period_secs: float = 180.0  # how long a stopping worker lets its runs go on
    resumable_stream_ttl_seconds: int = 86_400  # events of a resumable run, after its end
    http_max_request_body_bytes: int = 10 * 1024 * 1024
    cors_allow_origins: str = "*"  # comma between them; `cors` of langgraph.json says more, and wins
    mount_prefix: str = ""  # the path that everything is under; wins over that of langgraph.json
    langgraph_http: HttpConfig = HttpConfig()  # JSON; the section `http` of langgraph.json
    langgraph_webhooks: WebhookConfig = WebhookConfig()  # likewise, of `webhooks`
    langgraph_auth: AuthConfig = AuthConfig()  # likewise, of `auth`
    langgraph_store: StoreConfig = StoreConfig()  # likewise, of `store`
    langgraph_checkpointer: CheckpointerConfig = CheckpointerConfig()  # likewise, of `checkpointer`
    langgraph_thread_ttl: DefaultTtl = DefaultTtl()  # JSON; wins over `checkpointer.ttl`
    lineshaft_executor: ExecutorConfig = ExecutorConfig()  # likewise, of `executor`
    log_level: str = "INFO"
    log_json: bool = False
    otel_enabled: bool | None = None  # traces; unset: if an OTLP endpoint is named
    # Ours, no counterpart in the official server:
    lineshaft_requests_per_minute: int = 0  # of each caller that is known, unless their key says another; 0: no limit
    lineshaft_runs_per_day: int = 0  # likewise
    lineshaft_studio: bool = False  # set by `dev` on loopback: Studio may come in without credentials
    lineshaft_auth: Literal["none", "keys"] = "none"  # whether callers need an API key
    lineshaft_gateway_grace_seconds: float = 20.0  # how long a stopping gateway lets requests go on
    lineshaft_queues: str = ""  # that a worker serves, as NAME:WEIGHT with commas between them; empty: all
    lineshaft_lease_seconds: float = 10.0  # a worker that shows no life for this long loses its runs
    lineshaft_events_ttl_seconds: int = 300  # events of other runs, after their end
    lineshaft_input_ttl_seconds: int = 86_400  # a run's input, after its end
    lineshaft_runs_kept_per_thread: int = 1_000
    lineshaft_dead_letter_days: int = 30
    lineshaft_ended_runs_listed: int = (
        100_000  # by the operations API, with their threads or not: 100 bytes of Redis each
    )
    lineshaft_ended_run_days: int = 7  # likewise
    lineshaft_show_content: bool = False  # the operations API shows inputs and events of runs, not only their sizes
    lineshaft_mask_errors: bool = False  # callers are told that a run failed, and not what its exception says
    lineshaft_webhook_secret: str = ""  # calls are signed with it; without it they are not
    lineshaft_webhook_timeout_seconds: float = 10.0  # for one call, from looking up the host to the answer's status
    lineshaft_webhook_retry_seconds: float = (
        10.0  # at most before the second attempt; each next may wait 4 times longer
    )
    lineshaft_webhook_failed_ttl_seconds: int = 86_400  # what could not be delivered
    lineshaft_probes_port: int = 0  # where /livez, /readyz, /startupz are, and a worker's /metrics; 0: nowhere
    lineshaft_probes_host: str = "127.0.0.1"
    lineshaft_livez_seconds: float = 30.0  # an event loop that stands still for longer is taken for dead
    lineshaft_reconcile_seconds: float = 30.0  # between two looks for what is inconsistent or has outlived its time

    @property
    def thread_ttl(self) -> Ttl | None:
        """The lifetime of new threads for which nobody asks for one."""
        return self.langgraph_thread_ttl.ttl or self.langgraph_checkpointer.ttl.ttl

    @property
    def asks_who(self) -> bool:
        """Whether a gateway asks its callers who they are."""
        return self.lineshaft_auth != "none" or self.langgraph_auth.path is not None


def from_environment(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings. Raises ConfigError that names the variable and what it should be."""
    names = {f.encode_name: f for f in msgspec.structs.fields(Settings)}
    values: dict[str, Any] = {}
    for name, field in names.items():
        if (text := environ.get(name)) is None or text == "":
            continue
        try:
            values[field.name] = (
                msgspec.json.decode(text, type=field.type)
                if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
                else msgspec.convert(text, field.type, strict=False)
            )
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            # A short one helps to find where it was set. Whole sections of langgraph.json may have secrets in them.
            shown = f"={text!r}" if len(text) < _SHOWN else ""
            raise ConfigError(f"environment variable {name}{shown}: {error}") from None
    return Settings(**values)
