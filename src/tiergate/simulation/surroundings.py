"""Addresses and client software that accounts can have."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

import numpy as np


class Place(NamedTuple):
    """An address with its autonomous system and country."""

    address: str
    asn: int
    country: str


class Client(NamedTuple):
    """A client program and the TLS fingerprint that comes with it."""

    user_agent: str
    tls_fingerprint: str


class Surroundings(Protocol):
    """A source of places and clients. Sharing is up to the caller: every place drawn is a fresh address."""

    def home(self, rng: np.random.Generator) -> Place:
        """An address of a household, a mobile or a residential proxy: these cannot be told apart."""
        ...

    def hosting(self, rng: np.random.Generator) -> Place:
        """An address of a hosting company."""
        ...

    def script(self, rng: np.random.Generator) -> Client:
        """A library or SDK, popular ones more often."""
        ...

    def browser(self, rng: np.random.Generator) -> Client:
        """A browser or desktop program."""
        ...


COUNTRIES: Final = ("US", "IN", "DE", "BR", "GB", "JP", "FR", "CN", "SG", "KR", "ES", "NL", "PL", "VN", "MX", "CA")
SCRIPTS: Final = tuple(
    Client(f"{name}/{version}", tls)
    for name, versions, tls in (
        ("OpenAI/Python", ("2.8.1", "2.9.0", "3.1.0", "3.2.4"), "t13d1812h1_85036bcba153_375ca2c5e164"),
        ("OpenAI/JS", ("6.1.0", "6.4.2", "7.0.0"), "t13d5911h1_a33745022dd6_1f22a2ca17c4"),
        ("python-requests", ("2.31.0", "2.32.3"), "t13d1812h1_85036bcba153_2b729b4bf6f3"),
        ("aiohttp", ("3.9.5", "3.11.0"), "t13d1712h1_ab0a1bf427ad_882d495ac381"),
        ("Go-http-client", ("1.1", "2.0"), "t13d1312h2_f57a46bbacb6_14788d8d241b"),
        ("axios", ("1.6.8", "1.7.2"), "t13d5911h1_a33745022dd6_bd868743f55c"),
        ("langchain", ("0.3.1", "1.0.2"), "t13d1812h1_85036bcba153_375ca2c5e164"),
    )
    for version in versions
)
BROWSERS: Final = tuple(
    Client(f"Mozilla/5.0 ({system}) {engine}", tls)
    for system in ("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64", "iPhone")
    for engine, tls in (
        ("Chrome/147.0", "t13d1516h2_8daaf6152771_b1ff8ab2d16f"),
        ("Chrome/148.0", "t13d1516h2_8daaf6152771_02713d6af862"),
        ("Firefox/149.0", "t13d1715h2_5b57614c22b0_7121afd63204"),
        ("Safari/26.1", "t13d2014h2_a09f3c656075_14788d8d241b"),
    )
)


class MadeUpSurroundings:
    """Places from a few hundred made-up networks of very different sizes, and the clients listed above."""

    def __init__(self, networks: int = 300) -> None:
        weights = 1 / np.arange(1, networks + 1)
        self._weights = weights / weights.sum()

    def home(self, rng: np.random.Generator) -> Place:
        return self._place(rng, int(rng.choice(len(self._weights), p=self._weights)))

    def hosting(self, rng: np.random.Generator) -> Place:
        return self._place(rng, len(self._weights) + int(rng.integers(12)))

    def script(self, rng: np.random.Generator) -> Client:
        return SCRIPTS[_popular(rng, len(SCRIPTS))]

    def browser(self, rng: np.random.Generator) -> Client:
        return BROWSERS[_popular(rng, len(BROWSERS))]

    @staticmethod
    def _place(rng: np.random.Generator, network: int) -> Place:
        # A network owns one /13 of 32.0.0.0/3 here: big enough that addresses rarely meet by chance.
        number = (32 << 24) + (network << 19) + int(rng.integers(1 << 19))
        address = ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))
        return Place(address, 64_512 + network, COUNTRIES[network % len(COUNTRIES)])


def _popular(rng: np.random.Generator, count: int) -> int:
    """An index, low ones more often (Zipf)."""
    return int(min(count - 1, rng.zipf(1.4) - 1)) if rng.random() < 0.85 else int(rng.integers(count))
