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
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import msgspec
import pyarrow as pa
import sqlalchemy as sa
import uvloop

from tiergate.admission.activations import ActivationStore
from tiergate.admission.appeals import Appeals
from tiergate.admission.binding import unknown_names
from tiergate.admission.credits import Credits
from tiergate.admission.epochs import POLL_S, STALE_AFTER_S, EpochFeed, Reading
from tiergate.admission.models import FILE, tiers_said
from tiergate.admission.programmes import Programmes
from tiergate.admission.rule_packs import load_packs
from tiergate.admission.standings import Standings
from tiergate.clock import SystemClock
from tiergate.database import Commits, open_database
from tiergate.errors import InputError, SettingsError
from tiergate.gateway.admitting import Admission
from tiergate.gateway.app import Gateway
from tiergate.gateway.appealing import PATH as APPEALS
from tiergate.gateway.appealing import Appealing
from tiergate.gateway.calls import Services
from tiergate.gateway.charging import Till
from tiergate.gateway.classified import ClassifiedTier
from tiergate.gateway.deciding import DecisionWriter
from tiergate.gateway.dialects.surfaces import SURFACES
from tiergate.gateway.limits import SharedBudgets
from tiergate.gateway.listing import PATH
from tiergate.gateway.metering.prices import PriceTable, price_table
from tiergate.gateway.metering.worker import Metering
from tiergate.gateway.recorder import Recorder
from tiergate.gateway.replies import Door
from tiergate.gateway.routed import Routing
from tiergate.gateway.routing.reload import FILE as ROUTES
from tiergate.gateway.routing.reload import InForce, changed
from tiergate.gateway.routing.reload import load as load_routes
from tiergate.gateway.serving.connection import Patience
from tiergate.gateway.serving.listening import address_of, listen
from tiergate.gateway.serving.server import HttpServer
from tiergate.gateway.snapshot import Counting, Snapshot, load
from tiergate.gateway.telemetry.admin import Admin, check
from tiergate.gateway.telemetry.logs import set_up
from tiergate.gateway.telemetry.readiness import Readiness
from tiergate.gateway.telemetry.setting_up import watch_of
from tiergate.gateway.tiers import TierGate
from tiergate.gateway.upstreams.pool import Limits
from tiergate.gateway.upstreams.upstream import Upstream
from tiergate.ledger.log import ExchangeLog
from tiergate.ledger.row_sketches import RowSketcher
from tiergate.ledger.sketches import Sketcher, load_or_create_key
from tiergate.ledger.verdicts import VerdictStore
from tiergate.parties.registry import Registry
from tiergate.parties.tokens import load_or_create_pepper
from tiergate.settings import AuthorizerSettings, Settings

MOST_OBSERVERS = 64
LOG_LOOKED_AT_S = 5.0
"""How often it is tried whether exchanges could be recorded."""
Opening = Callable[[Services, Admission, Readiness], AbstractAsyncContextManager[Door]]
"""Opens a door, and ends what belongs to it before the log is closed."""

_log = logging.getLogger(__name__)


def serve(
    settings: Settings,
    *,
    ready: Callable[[str], None] | None = None,
    told: Callable[[str], None] | None = None,
    metrics_at: Callable[[str], None] | None = None,
    appeals: Callable[[sa.Engine, Path], Appeals] | None = None,
) -> None:
    """Run the gateway: see `run`. ``appeals``: opens those of a data folder, which callers then file here.

    Raises `SettingsError` when there is no upstream.
    """
    if settings.upstream_url is None and not _routes_path(settings).exists():
        message = f"`upstream_url`: give the API that answers, or routes to several in `{_routes_path(settings)}`"
        raise SettingsError(f"{message}; see `tiergate serve --help`")

    @asynccontextmanager
    async def gateway(services: Services, admission: Admission, readiness: Readiness) -> AsyncIterator[Gateway]:
        if appeals is None:
            yield Gateway(services, admission, readiness)
            return
        engine = open_database(settings.data / "control.sqlite")
        try:
            appealing = Appealing(admission, services.clock, partial(appeals, engine, settings.data))
            yield Gateway(services, admission, readiness, appealing)
        finally:
            engine.dispose()

    run(settings, gateway, ready=ready, told=told, metrics_at=metrics_at)


def run(
    settings: Settings,
    door: Opening,
    *,
    ready: Callable[[str], None] | None = None,
    told: Callable[[str], None] | None = None,
    metrics_at: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is under way and seal the log.

    :param door: makes the application of what a data folder has.
    :param ready: called once with the address, such as `http://127.0.0.1:8080`, when connections are accepted.
    :param told: called before that with a line on the tiers in force, and one for each name in `models.toml` of a rule
        pack or programme that does not exist.
    :param metrics_at: called after that with the address for operators, without a path, if there is one.
    Raises `SettingsError` when the data folder or the address cannot be used, `InputError` for a wrong `models.toml`.
    """
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"cannot use the data folder `{settings.data}`: {error.strerror}") from error
    if settings.routes is not None and not settings.routes.exists():
        raise SettingsError(f"`routes`: there is no `{settings.routes}`")
    check(settings)
    set_up(settings.log)
    with ExitStack() as open_:
        listener = open_.enter_context(listen(settings.host, settings.port, shared=settings.reuse_port))
        metrics = None
        if settings.metrics_port is not None:
            metrics = open_.enter_context(listen(settings.metrics_host, settings.metrics_port))
        uvloop.run(_serve(settings, listener, metrics, door, ready, told, metrics_at))


async def _serve(
    settings: Settings,
    listener: socket.socket,
    metrics: socket.socket | None,
    door: Opening,
    ready: Callable[[str], None] | None,
    told: Callable[[str], None] | None,
    metrics_at: Callable[[str], None] | None,
) -> None:
    address = address_of(settings.host, listener)
    database = settings.data / "control.sqlite"
    engine = open_database(database)
    registry = Registry(engine, load_or_create_pepper(settings.data / "pepper"))
    store, clock = VerdictStore(engine), SystemClock()
    facts = Standings(engine, settings.data, settings.packs)
    commits = Commits(database)
    counting = Counting(registry, store, settings.data, facts, commits)
    feed = EpochFeed(lambda: counting.read(clock.now_us()), time.monotonic)

    def fresh(current: Snapshot | None, *, again: bool = False) -> tuple[Reading, Snapshot]:
        reading = feed.ask()
        if current is not None and not again and not feed.is_news(reading):
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
    # An authorizer calls no upstream: it reads the file for prices and names, and is trusted with no key.
    environment = None if isinstance(settings, AuthorizerSettings) else os.environ
    forced = load_routes(path, None, snapshot.models, environment)
    metering = Metering(engine, settings.data / "log", log.writer, _prices(snapshot, forced), clock)
    routing = Routing(settings, metering.meter.estimator)
    routing.use(forced.routes)
    watch = watch_of(settings, log.writer)
    services = Services(settings, upstream, routing, recorder, metering, watch, clock)
    writer = DecisionWriter(settings.data, settings.log_name, key, clock, loop)
    failures = {
        "log_not_writable": lambda: recorder.failure,
        "limits_not_kept": lambda: metering.failure,
        "decisions_not_recorded": lambda: writer.failure,
    }
    readiness = Readiness(time.monotonic, failures)
    classified = ClassifiedTier(Till(Credits(engine), clock, loop), writer, lambda: metering.meter.prices)
    admission = Admission(
        snapshot, clock, settings.public_url or address, TierGate(feed), classified, SharedBudgets(engine, clock),
        RowSketcher(sketcher),
    )  # fmt: skip

    async def follow(before: Snapshot, forced: InForce) -> InForce:
        """The routes in force, and the prices and names that go with them."""
        if not changed(path, forced, admission.snapshot.models):
            return forced
        now = await asyncio.to_thread(load_routes, path, forced, admission.snapshot.models, environment)
        if now.routes is not forced.routes or admission.snapshot.models is not before.models:
            routing.use(now.routes)
            metering.meter.replace(prices=_prices(admission.snapshot, now))
            watch.counters.models.know(_names(admission.snapshot, now))
        return now

    look_now = asyncio.Event()

    async def look(in_force: InForce, *, again: bool) -> tuple[InForce, Reading]:
        """Take over what changed, or with ``again`` what is there."""
        before = admission.snapshot
        reading, admission.snapshot = await asyncio.to_thread(fresh, before.reread() if again else before, again=again)
        readiness.heard_s = reading.began_s
        in_force = await follow(before, msgspec.structs.replace(in_force, mark=-1) if again else in_force)
        snapshot = admission.snapshot
        readiness.complaints = {
            path.name: in_force.complaint, FILE: snapshot.complaint, "rule packs": snapshot.packs_complaint
        }  # fmt: skip
        return in_force, reading

    async def refresh() -> None:
        complaint, in_force = None, forced
        log_looked_at = time.monotonic()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(look_now.wait(), POLL_S)
            again = look_now.is_set()
            look_now.clear()
            try:
                if again or time.monotonic() - log_looked_at > LOG_LOOKED_AT_S:
                    log_looked_at = time.monotonic()
                    await asyncio.to_thread(recorder.look)
                in_force, reading = await look(in_force, again=again)
                wrong = admission.snapshot.complaint or admission.snapshot.packs_complaint
                if wrong is not None:
                    raise InputError(wrong)
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
    doors = AsyncExitStack()
    application = await doors.enter_async_context(door(services, admission, readiness))
    paths = frozenset((*SURFACES, PATH, APPEALS, "/healthz", "/readyz"))
    server = HttpServer(application, listener, most=settings.max_connections, patience=patience, paths=paths)
    observer = None
    if metrics is not None:
        from tiergate.gateway.telemetry.exposition import Exposition, Parts

        only = None if upstream is None else (settings.provider or "upstream", upstream)
        parts = Parts(
            watch, application, admission, server, routing, only, recorder, metering, readiness, settings.data
        )
        token = settings.metrics_token
        admin = Admin(Exposition(parts).text, readiness, token.get_secret_value() if token else None)
        observer = HttpServer(admin, metrics, most=MOST_OBSERVERS)
        await observer.start()
    refreshing = asyncio.ensure_future(refresh())
    stopped: asyncio.Future[signal.Signals] = loop.create_future()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop, stopped, number)
    loop.add_signal_handler(signal.SIGHUP, look_now.set)
    watch.counters.models.know(_names(snapshot, forced))
    _settle()
    await server.start()
    if told is not None:
        told(tiers_said(snapshot.models))
        programmes = {one.programme_id for one in Programmes(engine).every()}
        packs = ActivationStore(engine).with_kept(load_packs(settings.packs)) if snapshot.listed.by_name else {}
        for line in unknown_names(snapshot.listed, packs, programmes):
            told(f"{FILE}: {line}")
    if ready is not None:
        ready(address)
    if metrics_at is not None and metrics is not None:
        metrics_at(address_of(settings.metrics_host, metrics))
    try:
        number = await stopped
        readiness.draining = True
        hurry = asyncio.Event()

        def hurry_up() -> None:
            # Whoever asks a second time does not want to wait.
            hurry.set()
            server.abort()

        for again in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(again, hurry_up)
        if number == signal.SIGTERM and settings.drain_grace_s:
            # Whoever balances the load must have seen that this gateway is not ready before it takes no more.
            server.leave()
            with suppress(TimeoutError):
                await asyncio.wait_for(hurry.wait(), settings.drain_grace_s)
        await server.close(0 if hurry.is_set() else settings.drain_s)
    finally:
        refreshing.cancel()
        with suppress(asyncio.CancelledError):
            await refreshing
        await doors.aclose()
        await classified.close()
        await metering.close()
        await recorder.close()
        await routing.close()
        if upstream is not None:
            await upstream.close()
        await asyncio.to_thread(watch.close)
        if observer is not None:
            await observer.close(0)
        commits.close()
        facts.close()
        engine.dispose()


def _stop(stopped: asyncio.Future[signal.Signals], number: signal.Signals) -> None:
    if not stopped.done():
        stopped.set_result(number)


def _settle() -> None:
    """Make the process one that answers evenly.

    What is loaded by now stays, so no garbage collection need look at it again: each would stop the gateway for some
    hundred milliseconds. Threads that seal and refresh leave the interpreter to the event loop after half a millisecond
    instead of five. Each stream takes two file descriptors, of which the usual soft limit allows 1,024.
    """
    pa.array([])  # pyarrow's first array imports pandas where that is installed
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    sys.setswitchinterval(0.0001)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _routes_path(settings: Settings) -> Path:
    return settings.routes or settings.data / ROUTES


def _names(snapshot: Snapshot, forced: InForce) -> list[str]:
    """Names of models that the deployment's files have."""
    return [*snapshot.listed.by_name, *(forced.routes.candidates if forced.routes is not None else ())]


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
