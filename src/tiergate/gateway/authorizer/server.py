"""Running the authorizer: on the same data folder as gateways, by the same parts, in a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from tiergate.errors import SettingsError
from tiergate.gateway.admitting import Admission
from tiergate.gateway.authorizer.app import Authorizer
from tiergate.gateway.authorizer.passed import PassedRequests
from tiergate.gateway.calls import Services
from tiergate.gateway.server import run
from tiergate.gateway.telemetry.readiness import Readiness
from tiergate.settings import AuthorizerSettings


def authorize(
    settings: AuthorizerSettings,
    *,
    ready: Callable[[str], None] | None = None,
    told: Callable[[str], None] | None = None,
    metrics_at: Callable[[str], None] | None = None,
) -> None:
    """Answer checks until SIGINT or SIGTERM: see `tiergate.gateway.server.run`. ``told``: the gRPC address too.

    Raises `SettingsError` too where gRPC is asked for and is not installed.
    """

    @asynccontextmanager
    async def door(services: Services, admission: Admission, readiness: Readiness) -> AsyncIterator[Authorizer]:
        passed = PassedRequests(services, settings.answer_timeout_s)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(passed.close)
            authorizer = Authorizer(services, admission, settings, passed, readiness)
            if settings.grpc_port is not None:
                address = await stack.enter_async_context(_grpc(authorizer, settings, settings.grpc_port))
                if told is not None:
                    told(f"gRPC on {address}")
            yield authorizer

    run(settings, door, ready=ready, told=told, metrics_at=metrics_at)


@asynccontextmanager
async def _grpc(authorizer: Authorizer, settings: AuthorizerSettings, port: int) -> AsyncIterator[str]:
    try:
        from tiergate.gateway.authorizer.grpc_server import serving_grpc
    except ImportError as error:
        raise SettingsError(f"`grpc_port` needs {error.name}: install `tiergate[grpc]`") from error
    async with serving_grpc(
        authorizer, settings.host, port, most_body_bytes=settings.max_body_bytes,
        most_at_once=settings.max_concurrency, drain_s=settings.drain_s,
    ) as address:  # fmt: skip
        yield address
