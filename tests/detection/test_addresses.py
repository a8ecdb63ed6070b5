"""Neighbourhoods: whole columns give what one address after the other does."""

from __future__ import annotations

import ipaddress

import numpy as np
import pyarrow as pa

from tiergate.detection.addresses import neighbourhoods

ODD = [
    "203.0.113.7", "203.0.113.255", "203.0.113.256", "203.0.113", "203.0.113.07", "1.2.3.4.5", "", "::1", "::", "1::",
    "2001:db8:1::5", "2001:0DB8:0001::6", "2001:db8:1:0:0:0:0:7", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6:7",
    "2001:db8::1", "2001:db8:0:0::1", "2001:db8::", "2001:db8:1:2:3:4:5::", "2001:db8:1:2:3:4::6", "1:2:3:4:5:6:7::",
    "2001:db8:1:2:3:4:5::6", "2001:db8:1::2::3", "2001:db8:1:::3", "fe80::1%eth0", "2001:db8:1::5%1", "::ffff:1.2.3.4",
    "2001:db8:1::1.2.3.4", "12345::1:2:3", "2001:db8:1:gggg::1", "a:b:c:", ":a:b:c", "unknown", "10.0.0.1 ", "0.0.0.0",
]  # fmt: skip


def one_by_one(addresses: list[str]) -> list[int]:
    numbers: dict[str, int] = {}
    found = []
    for address in addresses:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            found.append(-1)
            continue
        network = str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False))
        found.append(numbers.setdefault(network, len(numbers)))
    return found


def test_odd_addresses() -> None:
    assert neighbourhoods(pa.array(ODD)).tolist() == one_by_one(ODD)


def test_many_addresses() -> None:
    rng = np.random.default_rng(3)
    four = [str(ipaddress.IPv4Address(int(n))) for n in rng.integers(0, 4_000, 300)]
    high = rng.integers(0, 40, (300, 3))
    six = [f"{a:x}:{b:x}:{c:x}::{n:x}" for (a, b, c), n in zip(high.tolist(), rng.integers(1, 9, 300), strict=True)]
    # As products write them: compressed, and with every zero.
    written = [str(ipaddress.ip_address(a)) for a in six] + [ipaddress.ip_address(a).exploded for a in six]
    mixed = rng.permutation(np.array(four + six + written)).tolist()
    assert neighbourhoods(pa.array(mixed)).tolist() == one_by_one(mixed)


def test_no_addresses() -> None:
    assert neighbourhoods(pa.array([], pa.string())).tolist() == []
