"""Where an upstream is. Which addresses may be asked, `tiergate.gateway.routing.urls` says."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from tiergate.errors import InputError


@dataclass(frozen=True, slots=True)
class Address:
    """``path`` comes before what is asked for, without a slash at its end; ``authority`` is what `Host` says."""

    tls: bool
    host: str
    port: int
    authority: str
    path: str

    @property
    def origin(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.authority}"


def parse(url: str) -> Address:
    """The address that ``url`` names. Raises `InputError`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"`{url[:200]}` is no address: {error}") from error
    if parts.username is not None or parts.password is not None:
        # The address is in logs and messages, where a password must not be.
        raise InputError("leave user and password out of the upstream's address: its key is a setting of its own")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise InputError(f"`{url[:200]}`: give an http or https address such as https://api.example.com/v1")
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        raise InputError(f"`{url[:200]}` has characters that no address has: write it in ASCII, without spaces")
    tls = parts.scheme == "https"
    return Address(tls, host, port or (443 if tls else 80), parts.netloc, parts.path.rstrip("/"))


def is_literal(host: str) -> bool:
    """Whether a host is an IP address by itself."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
