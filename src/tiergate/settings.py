"""Settings of a deployment: from arguments, else environment variables `TIERGATE_...`, else defaults."""

from __future__ import annotations

import difflib
import ipaddress
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tiergate.errors import SettingsError
from tiergate.records.schema import Retention

Dialect = Literal["openai", "anthropic"]
"""Whose API is spoken."""


class Settings(BaseSettings):
    """Everything `tiergate serve` can be told. Unknown fields are errors."""

    model_config = SettingsConfigDict(env_prefix="TIERGATE_", extra="forbid", frozen=True)

    data: Path = Field(Path("data"), description="Data folder: control database, exchange log, sketch key.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    public_url: str | None = Field(None, description="Address customers reach us at, for links in answers.")
    watch: bool = Field(False, description="Run `tiergate watch` beside the gateway.")
    watch_every_s: float = Field(300.0, ge=1, description="Seconds from one look's start to the next's.")
    console: bool = Field(True, description="Run the console and the control API beside the gateway.")
    console_port: int = Field(8090, ge=1, le=65535, description="Port of loopback that the console listens on.")
    appeal_contact: str = Field("your provider's support", description="Whom a customer turns to about a verdict.")

    packs: Path | None = Field(None, description="Folder of rule packs of your own, added to ours.")
    log_name: str = Field("tiergate", description="Name of the decision log when it is made, as example.com/decisions.")

    routes: Path | None = Field(
        None, description="Upstreams, models and groups; gateway.yaml in the data folder if not given."
    )

    upstream_url: str | None = Field(None, description="API that answers where no file has routes, with /v1.")
    upstream_dialect: Dialect = Field("openai", description="Whose API the upstream speaks: `openai`, `anthropic`.")
    upstream_stream_usage: bool = Field(
        True, description="Ask for the usage of streams by stream_options; an upstream that refuses it: estimated."
    )
    upstream_api_key: SecretStr | None = Field(None, description="Key for the upstream; callers never see it.")
    provider: str | None = Field(None, description="Name of the upstream in the exchange log.")
    connect_timeout_s: float = Field(10.0, gt=0, description="Longest wait for a connection to the upstream.")
    read_timeout_s: float = Field(600.0, gt=0, description="Longest silence of the upstream within an answer.")
    answer_timeout_s: float = Field(3_600.0, gt=0, description="Longest time that a whole answer may take.")
    upstream_idle_s: float = Field(
        4.0, gt=0, description="Seconds to keep an unused connection: fewer than the upstream does (uvicorn: 5)."
    )
    upstream_connections: int = Field(1_000, gt=0, description="Most connections to the upstream at once.")
    upstream_link_local: bool = Field(
        False, description="Let the upstream be at a link-local or metadata address, as 169.254.169.254."
    )
    max_answer_bytes: int = Field(64 << 20, gt=0, description="Largest answer that is not a stream; above it 502.")

    retention: Retention = Field("sketches", description="Keep `text` beside the sketches, or `sketches` alone.")
    seal_every_s: float = Field(30.0, gt=0, description="Seconds after which spooled exchanges become a segment.")
    durable: bool = Field(False, description="Sync each record to disk: survives power loss, costs milliseconds.")

    max_body_bytes: int = Field(32 << 20, gt=0, description="Largest request body; above it 413.")
    max_connections: int = Field(4_096, gt=0, description="Connections of callers at once; above it 503.")
    head_timeout_s: float = Field(10.0, gt=0, description="Longest time that the head of a request may take.")
    body_timeout_s: float = Field(30.0, gt=0, description="Longest silence of a caller within a request's body.")
    keep_alive_s: float = Field(75.0, gt=0, description="Seconds to keep a caller's unused connection.")
    write_timeout_s: float = Field(60.0, gt=0, description="Longest time that a caller may not take what it is sent.")
    max_held_bytes: int = Field(
        1 << 30, gt=0, description="Request bodies in memory at once, without the first MiB of each; above it 503."
    )
    max_concurrency: int = Field(1_000, gt=0, description="Requests under way at once; above it 503.")
    max_account_concurrency: int = Field(400, gt=0, description="The same of one account; above it 429.")
    trusted_proxies: Annotated[list[str], NoDecode] = Field(
        [], description="Networks whose X-Forwarded-For, X-JA4 and X-Tiergate-Client-Cert are believed."
    )
    replay_clock: bool = Field(False, description="Let trusted proxies set the time of a request (simulations only).")

    log: Literal["text", "json"] = Field("text", description="What is said on stderr: `text`, or `json` lines.")
    access_log: bool = Field(False, description="Say a line on stderr for each exchange, without text or keys.")
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="Port for /metrics and what /readyz tells operators; none if not given."
    )
    metrics_host: str = Field("127.0.0.1", description="Address of that port. Any but loopback needs a token.")
    metrics_token: SecretStr | None = Field(None, description="Bearer token that readers of /metrics must have.")
    otlp_endpoint: str | None = Field(
        None, description="OTLP/HTTP collector for spans and metrics, as http://127.0.0.1:4318; needs an extra."
    )
    otlp_text: bool = Field(False, description="Let what was asked and answered be in spans.")

    reuse_port: bool = Field(False, description="Share the port with other gateways: workers, rolling restarts.")
    drain_grace_s: float = Field(
        0.0, ge=0, description="Seconds after SIGTERM in which /readyz says no and requests are still taken."
    )
    drain_s: float = Field(20.0, ge=0, description="Seconds that requests under way have to end after that.")

    @field_validator("upstream_url", "otlp_endpoint")
    @classmethod
    def _is_http_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("give an http or https address such as https://api.example.com/v1")
        return value.rstrip("/")

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        """An environment variable gives a JSON list, or networks with commas between."""
        if not isinstance(value, str):
            return value
        return json.loads(value) if value.startswith("[") else [part.strip() for part in value.split(",")]

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: list[str]) -> list[str]:
        for network in value:
            ipaddress.ip_network(network)
        return value


class AuthorizerSettings(Settings):
    """What `tiergate authorize` can be told besides."""

    port: int = Field(8070, ge=0, le=65535, description="Port to listen on over HTTP; 0 takes a free one.")
    grpc_port: int | None = Field(None, ge=0, le=65535, description="Port for Envoy's gRPC; none if not given.")
    model_header: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9-]+$",
        description="Header in which your gateway itself says the model, as x-ai-eg-model. Callers must not reach it.",
    )
    report_token: SecretStr | None = Field(
        None,
        min_length=20,
        description="Secret of the gateway that reports what came of requests; at least 20 letters.",
    )


AUTHORIZER: Final = tuple(
    f"TIERGATE_{name.upper()}" for name in AuthorizerSettings.model_fields.keys() - Settings.model_fields.keys()
)
"""Variables that are `tiergate authorize`'s alone: both may be started in one environment."""


def refuse_unknown(kind: type[BaseSettings], environment: Mapping[str, str], *others: str) -> None:
    """Refuse variables of the prefix of ``kind`` that are no setting: one that is misspelt, or was renamed, would be
    passed over. ``others`` are variables that are read elsewhere, by name, or by a prefix with `_` at its end. Raises
    `SettingsError`."""
    prefix = str(kind.model_config["env_prefix"])
    known = {f"{prefix}{name}".upper() for name in kind.model_fields}
    for name in sorted(environment):
        said = name.upper()
        if not said.startswith(prefix) or said in known or said in others:
            continue
        if any(other.endswith("_") and said.startswith(other) for other in others):
            continue
        close = difflib.get_close_matches(said, known, 1, cutoff=0.8)
        hint = f"did you mean `{close[0]}`?" if close else f"leave `{prefix}` to settings"
        raise SettingsError(f"there is no setting `{name}`: {hint}")
