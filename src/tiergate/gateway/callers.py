"""Who is calling, as far as the connection tells: address, client, key; and the time, for replays."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from tiergate.admission.holders import fingerprint_of
from tiergate.settings import Dialect, Settings

Headers = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Caller:
    """``replayed_us``: time that a trusted proxy gave the request, microseconds since the epoch.
    ``client_certificate``: SHA-256 of the certificate that a trusted proxy verified, 64 small digits."""

    address: str | None
    user_agent: str | None
    tls_fingerprint: str | None
    replayed_us: int | None
    client_certificate: str | None = None


class CallerReader:
    """Reads callers from ASGI scopes, believing forwarding headers from trusted proxies alone."""

    def __init__(self, settings: Settings) -> None:
        self._trusted = [ipaddress.ip_network(network) for network in settings.trusted_proxies]
        self._replay = settings.replay_clock
        self._is_trusted = lru_cache(maxsize=4_096)(self._in_trusted_network)

    def read(self, scope: dict[str, Any], headers: Headers) -> Caller:
        """:param headers: the scope's, the last of each name."""
        peer = scope["client"][0] if scope.get("client") else None
        agent = _text(headers, b"user-agent")
        if not self._trusted or peer is None or not self._is_trusted(peer):
            return Caller(peer, agent, None, None)
        time = _microseconds(_text(headers, b"x-tiergate-time")) if self._replay else None
        address, certificate = self._forwarded(scope["headers"]) or peer, _certificate(scope["headers"])
        return Caller(address, agent, _text(headers, b"x-ja4"), time, certificate)

    def _forwarded(self, headers: list[tuple[bytes, bytes]]) -> str | None:
        """The rightmost address that is not one of our proxies: what is left of it the client may have made up.

        A header that is repeated reads as one list (RFC 9110, section 5.3).
        """
        lines = [value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for"]
        for part in reversed(",".join(lines).split(",")):
            address = part.strip()
            try:
                ipaddress.ip_address(address)
            except ValueError:
                return None
            if not self._is_trusted(address):
                return address
        return None

    def _in_trusted_network(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)


def presented_key(headers: Headers) -> str | None:
    """The API key of `Authorization: Bearer` or `x-api-key`; never one in the URL."""
    scheme, _, key = (_text(headers, b"authorization") or "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return _text(headers, b"x-api-key")


def spoken(scope: dict[str, Any]) -> Dialect:
    """The dialect of who asks what both APIs have: every client of Anthropic's says its version."""
    return "anthropic" if b"anthropic-version" in dict(scope["headers"]) else "openai"


def _certificate(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The fingerprint in the one header of its name. Of two, one may be the client's own: then none counts."""
    values = [value for name, value in headers if name == b"x-tiergate-client-cert"]
    return fingerprint_of(values[0].decode("latin-1")[:256]) if len(values) == 1 else None


def _text(headers: Headers, name: bytes) -> str | None:
    value = headers.get(name)
    return value.decode("latin-1")[:1024] if value else None


def _microseconds(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        time_us = round(moment.timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        return None
    return time_us if moment.tzinfo and time_us >= 0 else None
