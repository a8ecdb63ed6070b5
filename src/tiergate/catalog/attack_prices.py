"""What an attacker pays for accounts, tokens and disguise: prices that simulation and economics both read.

They lie in ``facts/attack_prices.toml``; where no dated source was found a price is an assumption that says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import as_file, files

from tiergate.catalog.cited import Amount, read_facts


@cache
def load_attack_prices() -> Mapping[str, Amount]:
    """The bundled prices by name."""
    with as_file(files("tiergate.catalog") / "facts" / "attack_prices.toml") as path:
        return read_facts(path, dict[str, Amount])
