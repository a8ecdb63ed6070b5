"""What operators and their collectors may ask, on an address of its own: `/metrics`, `/healthz`, `/readyz`.

It shows what customers must not see of each other, if only in sums, so callers of the API never reach it: it listens on
loopback unless told otherwise, and elsewhere on to whoever has the token.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from collections.abc import Callable

from tiergate.errors import SettingsError
from tiergate.gateway.replies import JSON, Receive, Scope, Send, reply
from tiergate.gateway.telemetry.readiness import Readiness
from tiergate.settings import Settings

EXPOSITION = b"text/plain; version=0.0.4; charset=utf-8"


class Admin:
    """A raw ASGI application. ``token``: what a reader must have, None where who can connect may read."""

    def __init__(self, metrics: Callable[[], bytes], readiness: Readiness, token: str | None) -> None:
        self._metrics, self._readiness = metrics, readiness
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        status, body, kind = await self._answer(scope)
        await reply(send, status, body, kind=kind)

    async def _answer(self, scope: Scope) -> tuple[int, bytes, bytes]:
        path = scope["path"]
        if scope["method"] != "GET" or path not in ("/metrics", "/healthz", "/readyz"):
            return 404, b'{"error":"ask GET /metrics, /healthz or /readyz"}', JSON
        if path == "/healthz":
            return 200, b'{"status":"ok"}', JSON
        may = self._may(dict(scope["headers"]).get(b"authorization", b""))
        if path == "/readyz":
            # A probe has no token: it gets the status, and the codes without their details.
            return *self._readiness.told(details=may), JSON
        if not may:
            return 401, b'{"error":"send the token of TIERGATE_METRICS_TOKEN as a bearer token"}', JSON
        # Many series take long to write out, and streams must not wait for that.
        return 200, await asyncio.to_thread(self._metrics), EXPOSITION

    def _may(self, authorization: bytes) -> bool:
        if self._token is None:
            return True
        scheme, _, token = authorization.partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)


def check(settings: Settings) -> None:
    """Raise `SettingsError` where metrics would be open to more than this machine."""
    if settings.metrics_port is None or settings.metrics_token is not None:
        return
    try:
        here = settings.metrics_host == "localhost" or ipaddress.ip_address(settings.metrics_host).is_loopback
    except ValueError:
        here = False
    if not here:
        raise SettingsError(
            f"`metrics_token`: metrics on {settings.metrics_host} could be read by callers; give a token that readers "
            "must have in TIERGATE_METRICS_TOKEN, or leave `metrics_host` at 127.0.0.1"
        )
