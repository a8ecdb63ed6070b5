"""What the sums say: exchanges, tokens, money and latency in a span of time, by model, tier, upstream or outcome."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal

import msgspec
import sqlalchemy as sa

from tiergate.admission.models import FILE as MODELS
from tiergate.admission.models import Models, fingerprint, read_models
from tiergate.clock import DAY, HOUR, MINUTE
from tiergate.errors import InputError, TiergateError
from tiergate.gateway.routing.reload import FILE as ROUTES
from tiergate.gateway.routing.reload import read as read_routes
from tiergate.gateway.traffic.store import EXCHANGES, LATENCIES, Place, TrafficStore, place_in, sealed_in, series_in
from tiergate.gateway.traffic.sums import SUMS, Rollup, Series, quantile_s
from tiergate.gateway.traffic.tail import Tail, Unsealed

By = Literal["model", "tier", "upstream", "status", "reason"]
Every = Literal["minute", "hour", "day"]
UNIT: Final[dict[Every, int]] = {"minute": MINUTE, "hour": HOUR, "day": DAY}
Group = tuple[str | int | None, ...]
MOST_POINTS: Final = 2_000
POLL_S: Final = 2.0
COARSE: Final = 3 * DAY
"""A span of so much is summed up from days, a shorter one from hours, where nobody says."""
_log = logging.getLogger(__name__)


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One group's sums; the names are those of `metering.spend.Spent`. ``at_us``: when its minute, hour or day began
    (microseconds since the epoch, UTC), None for all of the span. ``answered``: exchanges with a status below 400.
    Latencies are seconds of what was answered, within 10 %, None where nothing was or nobody asked."""

    group: dict[str, str | int | None]
    at_us: int | None
    exchanges: int
    answered: int
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cost_micro_usd: int
    estimated: int
    unpriced: int
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    latency_p99_s: float | None = None

    @property
    def known_cost(self) -> int | None:
        """What was spent, None where no answer had a price."""
        return None if self.answered and self.unpriced == self.answered else self.cost_micro_usd


class Traffic:
    """Sums of one data folder's exchange log, and whoever keeps them up."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._store = TrafficStore(data, self._known_models)
        self._tail = Tail(data / "log")
        self._models: tuple[object, Models, frozenset[str]] = (None, Models({}), frozenset())
        self._catching = threading.Lock()
        self.fault: str | None = None
        """Why the log could not be read the last time, None where it could."""

    def close(self) -> None:
        self._store.close()

    @contextmanager
    def kept_up(self) -> Iterator[None]:
        """A thread adds what comes until the block ends."""
        ending = threading.Event()

        def keep() -> None:
            while not ending.is_set():
                try:
                    self.catch_up(ending.is_set)
                    self.fault = None
                except (TiergateError, OSError, sa.exc.SQLAlchemyError) as error:
                    # Whatever is wrong with the log or the disk, the next look must find this thread alive.
                    said = str(error).splitlines()[0]
                    if said != self.fault:
                        _log.error("sums of traffic are not kept up: %s", said)
                    self.fault = said
                ending.wait(POLL_S)

        thread = threading.Thread(target=keep, name="traffic", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()

    def catch_up(self, ended: Callable[[], bool] = lambda: False) -> None:
        """Add everything that is in the log by now. Raises `LedgerError` for a log that is damaged."""
        with self._catching:
            self._store.catch_up(ended)
            if ended() or not self._store.log.is_dir():
                return
            writers = self._tail.writers()
            with self._store.reading() as connection:
                sealed = sealed_in(connection, writers)
            self._tail.follow(self._store.names(), sealed)

    def standing(self) -> tuple[Place, int | None]:
        """How far sealed segments are in the sums, and when the newest exchange of all began, to the minute
        (microseconds, UTC); None where there is none."""
        unsealed = self._tail.read()
        with self._store.reading() as connection:
            place, tail = place_in(connection), _beyond(connection, unsealed)
        minutes = [at_us for rollup in tail for at_us, _ in rollup.by[MINUTE].exchanges]
        return place, max([*minutes, *([] if place.newest_us is None else [place.newest_us])], default=None)

    def tier(self, model: str, route_model: str = "") -> str | None:
        """The tier of a model by `models.toml` as it is now, None where that does not say."""
        listed = self._listed()[1].by_name
        found = listed.get(route_model) or listed.get(model)
        return None if found is None else found.tier

    def figures(
        self,
        from_us: int,
        to_us: int,
        by: Sequence[By] = (),
        *,
        every: Every | None = None,
        latencies: bool = False,
    ) -> list[Figure]:
        """Sums of exchanges that began from ``from_us`` until before ``to_us`` (microseconds, UTC), a row a group of
        ``by``; with ``every`` a row a group and minute, hour or day, in order of time, else those that cost most first.

        The span is widened to whole units: those of ``every``, else hours, and days where it is `COARSE` or longer. By
        minutes no more is known than of `store.MINUTES_KEPT_US`. A tier is the one that `models.toml` has now.
        """
        unit = UNIT[every] if every is not None else DAY if to_us - from_us >= COARSE else HOUR
        from_us, to_us = from_us // unit * unit, -(-to_us // unit) * unit
        if every is not None and to_us - from_us > MOST_POINTS * unit:
            raise InputError(f"{MOST_POINTS:,} {every}s at most are told at once: ask for less, or by longer spans")
        groups = _Groups(by_time=every is not None)
        # What leaves these for a segment meanwhile is in what is then read of segments, and is left out.
        unsealed = self._tail.read()
        with self._store.reading() as connection:
            known = series_in(connection)
            tail = [rollup.by[unit] for rollup in _beyond(connection, unsealed)]
            every_one = {*known.values(), *(series for sums in tail for _, series in sums.exchanges)}
            named = {series: self._group(series, by) for series in every_one}
            numbers = {group: number for number, group in enumerate(dict.fromkeys(named.values()))}
            names = list(numbers)
            ids = {one: (numbers[named[series]], series.status < 400) for one, series in known.items()}
            _group_by(connection, ids)
            span = from_us, to_us
            for at_us, number, *held in connection.exec_driver_sql(_sums(unit, groups.by_time), span):
                groups.add(at_us, names[number], held)
            if latencies:
                for at_us, number, bucket, count in connection.exec_driver_sql(_counts(unit, groups.by_time), span):
                    groups.count(at_us, names[number], bucket, count)
        for sums in tail:
            for (at_us, series), held in sums.exchanges.items():
                if from_us <= at_us < to_us:
                    groups.add(at_us, named[series], [*held, held[0] if series.status < 400 else 0])
            for (at_us, series), buckets in sums.latencies.items() if latencies else ():
                for bucket, count in buckets.items() if from_us <= at_us < to_us else ():
                    groups.count(at_us, named[series], bucket, count)
        return groups.figures(by)

    def _group(self, series: Series, by: Sequence[By]) -> Group:
        return tuple(
            self.tier(series.model, series.route_model) if name == "tier" else getattr(series, name) or None
            for name in by
        )

    def _known_models(self) -> frozenset[str]:
        return self._listed()[2]

    def _listed(self) -> tuple[object, Models, frozenset[str]]:
        """Models of the deployment's files, read anew when these change; the last ones that could be read."""
        models, routes = self._data / MODELS, self._data / ROUTES
        mark = fingerprint(models), fingerprint(routes)
        if mark != self._models[0]:
            listed, names = self._models[1], self._models[2]
            with suppress(TiergateError):
                listed = read_models(models)
                names = frozenset(listed.by_name)
                if routes.exists():
                    names |= read_routes(routes, listed, None).groups.keys()
            self._models = mark, listed, names
        return self._models


class _Groups:
    """Sums by group, and by time where that is asked."""

    def __init__(self, *, by_time: bool) -> None:
        self.by_time = by_time
        self._sums: dict[tuple[int | None, Group], list[int]] = {}
        self._buckets: dict[tuple[int | None, Group], dict[int, int]] = defaultdict(lambda: defaultdict(int))

    def add(self, at_us: int, group: Group, held: Sequence[int]) -> None:
        """Add `SUMS`, and how many of the exchanges were answered."""
        key = (at_us if self.by_time else None), group
        before = self._sums.get(key)
        self._sums[key] = list(held) if before is None else [one + more for one, more in zip(before, held, strict=True)]

    def count(self, at_us: int, group: Group, bucket: int, count: int) -> None:
        self._buckets[(at_us if self.by_time else None), group][bucket] += count

    def figures(self, by: Sequence[By]) -> list[Figure]:
        told = []
        for (at_us, group), held in self._sums.items():
            buckets = self._buckets.get((at_us, group), {})
            told.append(
                Figure(
                    group=dict(zip(by, group, strict=True)),
                    at_us=at_us,
                    latency_p50_s=quantile_s(buckets, 0.5),
                    latency_p95_s=quantile_s(buckets, 0.95),
                    latency_p99_s=quantile_s(buckets, 0.99),
                    **dict(zip((*SUMS, "answered"), held, strict=True)),
                )
            )
        if self.by_time:
            return sorted(told, key=lambda one: (one.at_us or 0, *map(str, one.group.values())))
        return sorted(told, key=lambda one: (-one.cost_micro_usd, -one.exchanges, *map(str, one.group.values())))


def _beyond(connection: sa.Connection, unsealed: list[Unsealed]) -> list[Rollup]:
    sealed = sealed_in(connection, {one.writer for one in unsealed})
    return [one.rollup for one in unsealed if one.is_beyond(sealed)]


def _group_by(connection: sa.Connection, ids: dict[int, tuple[int, bool]]) -> None:
    """Say the number of each series' group, and whether it was answered, where SQLite finds it by the series."""
    connection.exec_driver_sql(
        "create temporary table if not exists groups (series_id integer primary key, number integer, answered integer)"
    )
    connection.exec_driver_sql("delete from groups")
    if ids:
        connection.exec_driver_sql("insert into groups values (?, ?, ?)", [(one, *held) for one, held in ids.items()])


def _sums(unit: int, by_time: bool) -> str:
    added = ", ".join(f"sum({name})" for name in (*SUMS, "exchanges * answered"))
    return _query(EXCHANGES[unit].name, by_time, "", added)


def _counts(unit: int, by_time: bool) -> str:
    return _query(LATENCIES[unit].name, by_time, ", bucket", "sum(exchanges)")


def _query(table: str, by_time: bool, more: str, added: str) -> str:
    """Sums of a span by number of group, made of names of ours."""
    at = "at_us" if by_time else "0"
    # The cross join keeps SQLite from looking into the span once for each series.
    return (
        f"select {at}, number{more}, {added} from {table} cross join groups using (series_id) "  # noqa: S608
        f"where at_us >= ? and at_us < ? group by 1, number{more}"
    )
