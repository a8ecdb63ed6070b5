"""Where an upstream is, and which addresses are never asked.

A gateway that could be pointed at a cloud's metadata service would hand out the machine's own credentials (server-side
request forgery, OWASP A10:2021). Link-local and metadata addresses are therefore refused when a name resolves to one,
whatever the name is; redirects are not followed at all.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from tiergate.errors import InputError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

METADATA: Final = tuple(
    ipaddress.ip_address(address)
    for address in (
        "100.100.100.200",  # Alibaba Cloud
        "168.63.129.16",  # Azure's wire server
        "192.0.0.192",  # Oracle Cloud
        "fd00:ec2::254",  # AWS over IPv6
        "fd20:ce::254",  # Google Cloud over IPv6
    )
)
"""Metadata services that are not link-local, as most are (169.254.169.254 and the like)."""

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


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


def forbidden(address: str) -> bool:
    """Whether an IP address is one that no model is behind: link-local, multicast, unspecified, a metadata service."""
    ip = _plain(ipaddress.ip_address(address.partition("%")[0]))
    return ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip in METADATA


def is_literal(host: str) -> bool:
    """Whether a host is an IP address by itself."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _plain(ip: IPAddress) -> IPAddress:
    """The IPv4 address that an IPv6 address stands for (RFC 4291, 3056, 6052), else the address itself."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
