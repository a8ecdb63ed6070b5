"""Settings of the control API: from arguments, else environment variables `TIERGATE_CONTROL_...`, else defaults."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class ControlSettings(BaseSettings):
    """Everything `tiergate control` can be told. Unknown fields are errors."""

    model_config = SettingsConfigDict(env_prefix="TIERGATE_CONTROL_", extra="forbid", frozen=True)

    data: Path = Field(Path("data"), description="Data folder, the gateway's.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8090, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    public_url: str | None = Field(None, description="Address browsers reach us at; passkeys are bound to its host.")
    packs: Path | None = Field(None, description="Folder of rule packs of your own, added to ours.")
    max_body_bytes: int = Field(1 << 20, gt=0, description="Largest request body; above it 413.")

    oidc_issuer: str | None = Field(None, description="OpenID provider people sign in at; none, no sign-in.")
    oidc_client_id: str | None = Field(None, description="Our id at the provider.")
    oidc_client_secret: SecretStr | None = Field(None, description="Our secret at the provider, if it gave us one.")
    metrics_url: str | None = Field(
        None, description="Where the gateway's metrics are, as http://127.0.0.1:9090; none, no live figures."
    )
    metrics_token: SecretStr | None = Field(None, description="The token that readers of them must have.")
    session_hours: float = Field(8.0, gt=0, le=24, description="Hours after which people sign in again.")

    @field_validator("public_url", "oidc_issuer", "metrics_url")
    @classmethod
    def _is_safe_address(cls, value: str | None) -> str | None:
        """https, or http on this machine: sessions and keys must not cross a network in the open."""
        if value is None:
            return None
        parts = urlsplit(value)
        local = parts.hostname in ("127.0.0.1", "::1", "localhost")
        if not parts.hostname or parts.query or parts.fragment or parts.scheme not in ("https", "http"):
            raise ValueError("give an address such as https://control.example.com")
        if parts.scheme == "http" and not local:
            raise ValueError("give an https address; http is for this machine alone")
        return value.rstrip("/")
