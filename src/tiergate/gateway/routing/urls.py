"""Where an upstream may be: addresses that a file of routes may name, and that a connection may really go to.

Whoever can write the file, or a DNS record that it names, must not make the gateway ask machines behind it (CWE-918).
A public upstream is reached by https at a globally reachable address; one in a private network says `private: true`.
Addresses of machines' own metadata, link-local and reserved ones are refused whatever the file says. A name is checked
again when it has resolved, against the very address that is connected to: `address_fault`, for the connection pool.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA: Final = frozenset(
    map(
        ipaddress.ip_address,
        ("100.100.100.200", "168.63.129.16", "169.254.169.254", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"),
    )
)
"""Alibaba, Azure, AWS and most others, Oracle, AWS over IPv6, Google over IPv6."""

_NAT64: Final = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48")))
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_INSIDE: Final = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "localdomain", "home.arpa")


def url_fault(url: str, *, private: bool) -> str | None:
    """What is wrong with the base URL of an upstream, with what to write instead; None where it may be used."""
    if not (url.isascii() and url.isprintable()) or any(sign in url for sign in ' \\"<>`{}|^@?#%'):
        return "it must be plain ASCII with no user, query, fragment or `%`, such as https://api.example.com/v1"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "its host or port cannot be read: write it as https://api.example.com/v1"
    if parts.scheme not in ("http", "https") or not host or port == 0:
        return "give an http or https address such as https://api.example.com/v1"
    if parts.scheme == "http" and not private:
        return (
            "the key would travel in the clear: write https://, or `private: true` for an upstream of your own network"
        )
    if any(part in (".", "..") for part in parts.path.split("/")):
        return "its path must be written out, without `.` and `..`"
    return host_fault(host, private=private)


def host_fault(host: str, *, private: bool) -> str | None:
    """What is wrong with a host's name or address; None where it may be asked."""
    try:
        return address_fault(ipaddress.ip_address(host), private=private)
    except ValueError:
        pass
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return f"`{host[:64]}` is no name of a host"
    if _NUMBER.fullmatch(labels[-1]):
        # Resolvers take 127.1, 0x7f000001 and 2130706433 for addresses (WHATWG URL, "ends in a number").
        return f"`{host}` ends in a number and is no IPv4 address: write all four parts in decimals"
    name = ".".join(labels)
    if name == "metadata.google.internal":
        return f"`{host}` gives out the machine's own credentials and is never an upstream"
    if not private and (len(labels) == 1 or any(name == end or name.endswith(f".{end}") for end in _INSIDE)):
        return f"`{host}` is a name of a private network: write `private: true` if the upstream is yours"
    return None


def address_fault(address: _Address | str, *, private: bool) -> str | None:
    """Why no connection may go to an IP address; None where it may.

    :param private: whether the upstream says that it is in a private network.
    Raises `ValueError` for what is no IP address.
    """
    if isinstance(address, str):
        address = ipaddress.ip_address(address.partition("%")[0])
    inner = _embedded(address)
    if inner is not None:
        return address_fault(inner, private=private)
    if address in _METADATA:
        return f"{address} gives out the machine's own credentials and is never an upstream"
    if not address.is_loopback and (
        address.is_link_local or address.is_multicast or address.is_unspecified or address.is_reserved
    ):
        return f"{address} is link-local, multicast or reserved and is never an upstream"
    if private or address.is_global:
        return None
    return f"{address} is in a private network: write `private: true` if the upstream is yours"


def _embedded(address: _Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for: mapped, NAT64, 6to4 or Teredo."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
