"""Running the gateway: its parts put together, kept fresh, and drained at the end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import uvloop

from tiergate.admission.binding import unknown_names
from tiergate.admission.credits import Credits
from tiergate.admission.epochs import POLL_S, STALE_AFTER_S, EpochFeed, Reading
from tiergate.admission.models import FILE, tiers_said
from tiergate.admission.programmes import Programmes
from tiergate.admission.rule_packs import load_packs
from tiergate.admission.standings import Standings
from tiergate.clock import SystemClock
from tiergate.database import open_database
from tiergate.errors import InputError, SettingsError
from tiergate.gateway.app import Gateway
from tiergate.gateway.calls import Services
from tiergate.gateway.charging import Till
from tiergate.gateway.classified import ClassifiedTier
from tiergate.gateway.deciding import DecisionWriter
from tiergate.gateway.metering.prices import PriceTable, price_table
from tiergate.gateway.metering.worker import Metering
from tiergate.gateway.recorder import Recorder
from tiergate.gateway.routed import Routing
from tiergate.gateway.routing.reload import FILE as ROUTES
from tiergate.gateway.routing.reload import InForce
from tiergate.gateway.routing.reload import load as load_routes
from tiergate.gateway.serving.connection import Patience
from tiergate.gateway.serving.server import HttpServer
from tiergate.gateway.snapshot import Snapshot, counters, load
from tiergate.gateway.tiers import TierGate
from tiergate.gateway.upstreams.pool import Limits
from tiergate.gateway.upstreams.upstream import Upstream
from tiergate.ledger.log import ExchangeLog
from tiergate.ledger.sketches import Sketcher, load_or_create_key
from tiergate.ledger.verdicts import VerdictStore
from tiergate.parties.registry import Registry
from tiergate.parties.tokens import load_or_create_pepper
from tiergate.settings import Settings

DRAIN_S = 20
_log = logging.getLogger(__name__)


def serve(
    settings: Settings, *, ready: Callable[[str], None] | None = None, told: Callable[[str], None] | None = None
) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is under way and seal the log.

    :param ready: called once with the address, such as `http://127.0.0.1:8080`, when connections are accepted.
    :param told: called before that with a line on the tiers in force, and one for each name in `models.toml` of a rule
        pack or programme that does not exist.
    Raises `SettingsError` when the data folder or the address cannot be used, `InputError` for a wrong `models.toml`.
    """
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"cannot use the data folder `{settings.data}`: {error.strerror}") from error
    if settings.routes is not None and not settings.routes.exists():
        raise SettingsError(f"`routes`: there is no `{settings.routes}`")
    if settings.upstream_url is None and not _routes_path(settings).exists():
        message = f"`upstream_url`: give the API that answers, or routes to several in `{_routes_path(settings)}`"
        raise SettingsError(f"{message}; see `tiergate serve --help`")
    with _listen(settings.host, settings.port) as listener:
        uvloop.run(_serve(settings, listener, ready, told))


async def _serve(
    settings: Settings,
    listener: socket.socket,
    ready: Callable[[str], None] | None,
    told: Callable[[str], None] | None,
) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"http://{host}:{listener.getsockname()[1]}"
    engine = open_database(settings.data / "control.sqlite")
    registry = Registry(engine, load_or_create_pepper(settings.data / "pepper"))
    store, clock = VerdictStore(engine), SystemClock()
    facts = Standings(engine, settings.data, settings.packs)
    feed = EpochFeed(lambda: counters(registry, store, settings.data, facts, clock.now_us()), time.monotonic)

    def fresh(current: Snapshot | None) -> tuple[Reading, Snapshot]:
        reading = feed.ask()
        if current is not None and not feed.is_news(reading):
            return reading, current
        return reading, load(registry, store, clock.now_us(), current, settings.data, facts)

    reading, snapshot = fresh(None)
    feed.in_force(reading)
    # Reading everything can take longer than facts count as present: look again, which is quick, before serving.
    reading, snapshot = fresh(snapshot)
    feed.in_force(reading)
    key = load_or_create_key(settings.data / "key")
    sketcher = Sketcher(key)
    log = ExchangeLog.open(
        settings.data / "log", sketcher=sketcher, retention=settings.retention, durable=settings.durable
    )
    upstream = None if settings.upstream_url is None else _upstream(settings, settings.upstream_url)
    loop = asyncio.get_running_loop()
    recorder = Recorder(log, loop, seal_every_s=settings.seal_every_s, durable=settings.durable)
    path = _routes_path(settings)
    forced = load_routes(path, None, snapshot.models, os.environ)
    metering = Metering(engine, settings.data / "log", log.writer, _prices(snapshot, forced), clock)
    routing = Routing(settings, metering.meter.estimator)
    routing.use(forced.routes)
    services = Services(settings, upstream, routing, recorder, metering, clock)
    writer = DecisionWriter(settings.data, settings.log_name, key, clock, loop)
    classified = ClassifiedTier(Till(Credits(engine), clock, loop), writer)
    gateway = Gateway(services, snapshot, settings.public_url or address, TierGate(feed), classified)

    async def follow(before: Snapshot, forced: InForce) -> InForce:
        """The routes in force, and the prices that go with them."""
        now = await asyncio.to_thread(load_routes, path, forced, gateway.snapshot.models, os.environ)
        if now.routes is not forced.routes or gateway.snapshot.models is not before.models:
            routing.use(now.routes)
            metering.meter.replace(prices=_prices(gateway.snapshot, now))
        return now

    async def refresh() -> None:
        complaint, in_force = None, forced
        while True:
            await asyncio.sleep(POLL_S)
            try:
                before = gateway.snapshot
                reading, gateway.snapshot = await asyncio.to_thread(fresh, gateway.snapshot)
                in_force = await follow(before, in_force)
                if gateway.snapshot.complaint is not None:
                    raise InputError(gateway.snapshot.complaint)
                feed.in_force(reading)
                complaint = None
            except Exception as error:
                # Whatever is wrong with the database or a row of it, the next verdict must find this loop alive.
                if complaint != (complaint := str(error)):
                    _log.error(
                        "changes cannot be read: the last state stays in force, and the classified tier closes "
                        "%.0f s after the last that was read: %s",
                        STALE_AFTER_S,
                        error,
                    )

    patience = Patience(
        settings.head_timeout_s, settings.body_timeout_s, settings.keep_alive_s, settings.write_timeout_s
    )
    server = HttpServer(gateway, listener, most=settings.max_connections, patience=patience)
    refreshing = asyncio.ensure_future(refresh())
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    _settle()
    await server.start()
    if told is not None:
        told(tiers_said(snapshot.models))
        programmes = {one.programme_id for one in Programmes(engine).every()}
        packs = load_packs(settings.packs) if snapshot.listed.by_name else {}
        for line in unknown_names(snapshot.listed, packs, programmes):
            told(f"{FILE}: {line}")
    if ready is not None:
        ready(address)
    try:
        await stop.wait()
        # Whoever asks a second time does not want to wait.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, server.abort)
        await server.close(DRAIN_S)
    finally:
        refreshing.cancel()
        with suppress(asyncio.CancelledError):
            await refreshing
        await classified.close()
        await metering.close()
        await recorder.close()
        await routing.close()
        if upstream is not None:
            await upstream.close()
        engine.dispose()


def _settle() -> None:
    """Make the process one that answers evenly.

    What is loaded by now stays, so no garbage collection need look at it again: each would stop the gateway for some
    hundred milliseconds. Threads that seal and refresh leave the interpreter to the event loop after half a millisecond
    instead of five. Each stream takes two file descriptors, of which the usual soft limit allows 1,024.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    sys.setswitchinterval(0.0001)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _routes_path(settings: Settings) -> Path:
    return settings.routes or settings.data / ROUTES


def _prices(snapshot: Snapshot, forced: InForce) -> PriceTable:
    candidates = forced.routes.candidates.values() if forced.routes is not None else ()
    return price_table(snapshot.models.by_name.values(), candidates)


def _upstream(settings: Settings, url: str) -> Upstream:
    key = settings.upstream_api_key
    limits = Limits(
        connect_s=settings.connect_timeout_s,
        read_s=settings.read_timeout_s,
        answer_s=settings.answer_timeout_s,
        idle_s=settings.upstream_idle_s,
        connections=settings.upstream_connections,
        answer_bytes=settings.max_answer_bytes,
        link_local=settings.upstream_link_local,
    )
    return Upstream(url, key.get_secret_value() if key else None, limits, settings.upstream_dialect)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise SettingsError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return listener
