"""List prices rebuilt from packages on a package index: `wheels.json` says from which, byte for byte.

::

    DIR/wheels.json          package, version, day and hashes of each wheel; enough to do it again
    DIR/maps/PACKAGE-VERSION the price map of each, as it lay in the wheel
    DIR/list_prices.csv      the changes
    DIR/offers.csv           where models are sold, by the newest map

A map that is there and has its hash is not fetched again, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import msgspec

from tiergate.catalog.models import load_catalog
from tiergate.catalog.offer_maps import offers_in
from tiergate.catalog.offers import FILE as OFFERS
from tiergate.catalog.offers import write_offers
from tiergate.catalog.package_index import fetch_newest, fetch_version, need_pip, sha256, version_of
from tiergate.catalog.price_events import Agreement, DatedMap, agreement, changes
from tiergate.catalog.price_maps import PACKAGES, extract, read_map
from tiergate.catalog.prices import FILE, ListPrice, write_prices
from tiergate.errors import InputError

WHEELS: Final = "wheels.json"
MAPS: Final = "maps"
HISTORY: Final = "litellm"
"""Fetched for every day; of the others only the newest, to date and to check it."""


class Advance(Protocol):
    """Told how far a refresh is: a few words and the share done, 0 to 1."""

    def __call__(self, words: str, share: float) -> None: ...


class Wheel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One wheel that was read. ``day``: on which its version was the newest; ``map_sha256``: of the map in it, the same
    in wheels for other machines."""

    package: str
    version: str
    day: dt.date
    file: str
    sha256: str
    map_sha256: str


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What came of a refresh. ``fetched``: wheels that were not here before; ``checked``: agreement of the newest map
    of litellm with each other package's."""

    prices: tuple[ListPrice, ...]
    wheels: tuple[Wheel, ...]
    fetched: int
    checked: dict[str, Agreement]


def month_ends(first: dt.date, last: dt.date) -> list[dt.date]:
    """Last days of the months from ``first`` to ``last``; ``last`` itself in place of an end that is after it."""
    days = []
    month = first.replace(day=1)
    while month <= last:
        following = (month + dt.timedelta(days=32)).replace(day=1)
        days.append(min(following - dt.timedelta(days=1), last))
        month = following
    return days


def refresh(folder: Path, days: Sequence[dt.date], advance: Advance) -> Refreshed:
    """Fetch what the packages listed at the end of each of ``days``, ascending, and write the changes into ``folder``.

    Raises `InputError` when a map is not what it should be, `StateError` when one cannot be fetched.
    """
    wanted = [(HISTORY, day) for day in days] + [(name, days[-1]) for name in PACKAGES if name != HISTORY]
    path = folder / WHEELS
    known = {(one.package, one.day): one for one in _read_wheels(path)} if path.exists() else {}
    fetched = 0
    for number, key in enumerate(wanted):
        advance("{} of {}".format(*key), number / len(wanted))
        if key not in known or not _is_here(folder, known[key]):
            with _scratch(folder) as scratch:
                known[key] = _keep(folder, fetch_newest(*key, scratch), *key)
            fetched += 1
            _write_wheels(path, known.values())
    wheels = [known[key] for key in wanted]
    _write_wheels(path, wheels)
    return _build(folder, wheels, fetched)


def rebuild(folder: Path, source: Path, advance: Advance) -> Refreshed:
    """Do again what ``source``, a `wheels.json`, says, into ``folder``. Raises as `refresh`; `InputError` also where a
    wheel has not the hash that it had."""
    wheels = _read_wheels(source)
    fetched = 0
    for number, one in enumerate(wheels):
        advance(f"{one.package} {one.version}", number / len(wheels))
        if not _is_here(folder, one):
            with _scratch(folder) as scratch:
                _keep(folder, fetch_version(one.package, one.version, scratch), one.package, one.day, expected=one)
            fetched += 1
    _write_wheels(folder / WHEELS, wheels)
    return _build(folder, wheels, fetched)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """An empty folder, gone afterwards."""
    need_pip()
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        yield Path(scratch)


def _keep(folder: Path, wheel: Path, package: str, day: dt.date, *, expected: Wheel | None = None) -> Wheel:
    """Keep the map of a wheel, once it is known to be one, and the one that was expected."""
    content = extract(wheel, PACKAGES[package])
    one = Wheel(
        package=package, version=version_of(wheel), day=day, file=wheel.name, sha256=sha256(wheel.read_bytes()),
        map_sha256=sha256(content),
    )  # fmt: skip
    # Wheels for other machines have other names and the same map.
    if expected and (one.map_sha256 != expected.map_sha256 or (one.file == expected.file and one != expected)):
        raise InputError(f"`{one.file}` is not what it was: its SHA-256 differs, and nothing is built from it")
    read_map(content, PACKAGES[package], one.version)
    (folder / MAPS).mkdir(exist_ok=True)
    _map(folder, one).write_bytes(content)
    return one


def _build(folder: Path, wheels: Sequence[Wheel], fetched: int) -> Refreshed:
    maps: dict[str, list[DatedMap]] = {name: [] for name in PACKAGES}
    for one in wheels:
        content = _map(folder, one).read_bytes()
        listed = read_map(content, PACKAGES[one.package], one.version)
        maps[one.package].append(DatedMap(one.day, f"{one.package} {one.version} on PyPI", listed))
    if not maps[HISTORY]:
        raise InputError(f"there is no wheel of {HISTORY} among those of `{folder / WHEELS}`")
    dated = maps["genai-prices"][-1] if maps["genai-prices"] else None
    rows = changes(maps[HISTORY], dated)
    part = folder / f"{FILE}.part"
    write_prices(rows, part)
    part.replace(folder / FILE)
    _build_offers(folder, max((one for one in wheels if one.package == HISTORY), key=lambda one: one.day))
    checked = {
        name: agreement(maps[HISTORY][-1], found[-1]) for name, found in maps.items() if name != HISTORY and found
    }
    return Refreshed(tuple(rows), tuple(wheels), fetched, checked)


def _build_offers(folder: Path, newest: Wheel) -> None:
    source = f"{newest.package} {newest.version} on PyPI, its price map"
    offers = offers_in(_map(folder, newest).read_bytes(), load_catalog(), as_of=newest.day, source=source)
    part = folder / f"{OFFERS}.part"
    write_offers(offers, part)
    part.replace(folder / OFFERS)


def _is_here(folder: Path, one: Wheel) -> bool:
    path = _map(folder, one)
    return path.is_file() and sha256(path.read_bytes()) == one.map_sha256


def _map(folder: Path, one: Wheel) -> Path:
    return folder / MAPS / f"{one.package}-{one.version}"


def _read_wheels(path: Path) -> list[Wheel]:
    try:
        wheels = msgspec.json.decode(path.read_bytes(), type=list[Wheel])
    except FileNotFoundError:
        raise InputError(f"there is no file `{path}`: a refresh writes one") from None
    except msgspec.MsgspecError as error:
        raise InputError(f"`{path}` is no list of wheels: {error}") from error
    if not wheels or any(one.package not in PACKAGES or not _plain(one.version) for one in wheels):
        raise InputError(f"`{path}` is no list of wheels: it may have versions of {', '.join(PACKAGES)}")
    return wheels


def _plain(version: str) -> bool:
    """Whether a version may be part of a file's name and of a command."""
    return bool(version) and version[0].isalnum() and set(version) <= _VERSION_SIGNS


_VERSION_SIGNS: Final = frozenset("0123456789abcdefghijklmnopqrstuvwxyz.+")


def _write_wheels(path: Path, wheels: Iterable[Wheel]) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(msgspec.json.format(msgspec.json.encode(list(wheels)), indent=2) + b"\n")
    part.replace(path)
