"""The models behind the door, as far as the caller may use them, in the dialect of who asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import quote

import msgspec

from tiergate.errors import LedgerError, UpstreamError
from tiergate.gateway.calls import LIMITS_NOT_KNOWN, Services
from tiergate.gateway.dialects import model_lists
from tiergate.gateway.dialects.common import UNREADABLE, UPSTREAM_ERROR
from tiergate.gateway.dialects.errors import error_body, translated_error
from tiergate.gateway.metered import as_raw
from tiergate.gateway.metering.limits import Payer
from tiergate.gateway.metering.refusals import Refusal
from tiergate.gateway.metering.usage import Demand
from tiergate.gateway.replies import Scope, Send, fail, reply
from tiergate.gateway.upstreams.upstream import returned_headers
from tiergate.parties.registry import Credential
from tiergate.settings import Dialect

PATH: Final = "/v1/models"


class Listing:
    """Answers `GET /v1/models` and `GET /v1/models/{id}`."""

    def __init__(self, services: Services) -> None:
        self._upstream = services.upstream
        self._routing = services.routing
        self._metering = services.metering
        self._clock = services.clock
        self._speaks = services.settings.upstream_dialect

    async def answer(
        self, scope: Scope, asker: Dialect, credential: Credential, may: Callable[[str], bool], send: Send
    ) -> None:
        """Answer one request. ``may``: whether the caller may use the model of a name."""
        if not await self._admitted(asker, credential, send):
            return
        name = scope["path"].removeprefix(PATH).removeprefix("/")
        # A name of dots alone would lead to another path of the upstream's.
        routed = self._routing.routes is not None
        if name and not routed and (not name.strip(".") or not may(name)):
            await fail(send, asker, 404, "model_not_listed", f"no model `{name[:200]}` is listed for you")
            return
        if routed:
            await self._of_routes(name, asker, may, scope["query_string"].decode("latin-1"), send)
            return
        assert self._upstream is not None
        path = f"/models/{quote(name, safe='')}" if name else model_lists.ALL[self._speaks]
        try:
            async with self._upstream.call("GET", path, scope["headers"], None) as answer:
                status, body, headers = answer.status, await answer.read(), returned_headers(answer)
        except UpstreamError as error:
            await fail(send, asker, error.status, UPSTREAM_ERROR, str(error))
            return
        if status < 400:
            try:
                body = self._told(name, body, asker, may, scope["query_string"].decode("latin-1"))
            except UNREADABLE:
                await fail(send, asker, 502, UPSTREAM_ERROR, "the upstream's answer is no list of models")
                return
        elif asker != self._speaks:
            body = translated_error(asker, status, body)
        await reply(send, status, body, [header for header in headers if header[0] != b"content-type"])

    async def _admitted(self, asker: Dialect, credential: Credential, send: Send) -> bool:
        """Whether limits on requests let the caller look; it is answered where they do not."""
        payer = Payer(credential.account_id, credential.credential_id, credential.organization_id)
        try:
            admitted = await self._metering.admit(payer, (), Demand(input_bytes=0), self._clock.now_us())
        except LedgerError:
            await fail(send, asker, 503, "limits_not_known", LIMITS_NOT_KNOWN, [(b"retry-after", b"1")])
            return False
        if isinstance(admitted, Refusal):
            body = error_body(asker, admitted.status, admitted.code, admitted.message, **admitted.details())
            await reply(send, admitted.status, body, as_raw(admitted.headers()))
            return False
        admitted.release()
        return True

    async def _of_routes(self, name: str, asker: Dialect, may: Callable[[str], bool], query: str, send: Send) -> None:
        """The groups and models of the file of which the caller may use one."""
        routes = self._routing.routes
        assert routes is not None
        usable = [one.name for one in routes.groups.values() if any(may(model.name) for model in one.candidates)]
        if name and name not in usable:
            await fail(send, asker, 404, "model_not_listed", f"no model `{name[:200]}` is listed for you")
            return
        models: list[model_lists.Model] = [
            model_lists.in_dialect(
                {"id": one, "object": "model", "created": 0, "owned_by": "upstream"}, "openai", asker
            )
            for one in ([name] if name else usable)
        ]
        await reply(send, 200, msgspec.json.encode(models[0]) if name else model_lists.list_body(models, asker, query))

    def _told(self, name: str, body: bytes, asker: Dialect, may: Callable[[str], bool], query: str) -> bytes:
        if name:
            return msgspec.json.encode(model_lists.in_dialect(model_lists.model_of(body), self._speaks, asker))
        models = [model for model in model_lists.models_of(body) if may(model["id"])]
        return model_lists.list_body(
            [model_lists.in_dialect(model, self._speaks, asker) for model in models], asker, query
        )
