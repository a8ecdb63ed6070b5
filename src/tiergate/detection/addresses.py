"""The neighbourhood of an address: the /24 of an IPv4 or /48 of an IPv6 address.

That is what one subscriber or site is commonly given. A log has as many addresses as accounts or more, so those in the
common forms are cut by whole-column expressions; the rest (`::1`, zones, embedded IPv4) go through `ipaddress`.
"""

from __future__ import annotations

import ipaddress
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

I64 = npt.NDArray[np.int64]

_OCTET: Final = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4: Final = rf"^{_OCTET}(\.{_OCTET}){{3}}$"
_HEXTET: Final = r"[0-9A-Fa-f]{1,4}"
_IPV6_WHOLE: Final = rf"^({_HEXTET}:){{7}}{_HEXTET}$"
_IPV6_SHORT: Final = rf"^({_HEXTET}:){{3,7}}(:{_HEXTET})+$"
"""With its zeros left out behind the first three numbers: ``2001:db8:1::5``."""


def neighbourhoods(addresses: pa.StringArray) -> I64:
    """The neighbourhood of each address (k,), numbered by first appearance; -1 where it is no address."""
    colons = pc.count_substring(addresses, ":")
    four = pc.match_substring_regex(addresses, _IPV4)
    short = pc.and_(pc.match_substring_regex(addresses, _IPV6_SHORT), pc.less_equal(colons, 7))
    six = pc.or_(short, pc.match_substring_regex(addresses, _IPV6_WHOLE))
    first_three = pc.replace_substring_regex(addresses, r"^(([^:]*:){2}[^:]*):.*$", r"\1")
    plain = pc.replace_substring_regex(pc.utf8_lower(first_three), "(^|:)0{1,3}([0-9a-f])", r"\1\2")
    block = pc.if_else(six, plain, pa.scalar(None, pa.string()))
    block = pc.if_else(four, pc.replace_substring_regex(addresses, r"\.[0-9]+$", ""), block)
    other = np.flatnonzero(~np.asarray(pc.or_(four, six)))
    if len(other):
        parsed = pa.array([block_of(text) for text in addresses.take(pa.array(other)).to_pylist()], pa.string())
        mask = np.zeros(len(addresses), bool)
        mask[other] = True
        block = pc.replace_with_mask(block, pa.array(mask), parsed)
    return np.asarray(block.dictionary_encode().indices.fill_null(-1)).astype(np.int64)


def block_of(address: str) -> str | None:
    """The neighbourhood of one address as text, None where it is no address."""
    try:
        whole = ipaddress.ip_address(address)
    except ValueError:
        return None
    cut = whole.packed[:6] if whole.version == 6 else whole.packed[:3]
    if whole.version == 4:
        return ".".join(map(str, cut))
    return ":".join(f"{int.from_bytes(cut[at : at + 2]):x}" for at in (0, 2, 4))
