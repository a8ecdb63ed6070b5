"""Envoy's ext_authz over gRPC: each check is put to the authorizer as it would come over HTTP.

What a caller is told is therefore the same. A check that cannot be answered fails, and Envoy refuses the request.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
import grpc.aio

from tiergate.errors import SettingsError
from tiergate.gateway.authorizer.app import REMOVE, Authorizer
from tiergate.gateway.authorizer.messages import METHOD, OVERWRITE, CheckRequest, CheckResponse
from tiergate.gateway.replies import RawHeaders, Scope

MESSAGE_ROOM: Final = 1 << 20
"""Bytes of a message beside the body that it carries."""

_CODES: Final = {401: grpc.StatusCode.UNAUTHENTICATED, 429: grpc.StatusCode.RESOURCE_EXHAUSTED}
_FRAMING: Final = (b"content-length", b"connection")
_TO_CALLER: Final = (b"x-tiergate-exchange-id", b"x-tiergate-decision-id")
_LIMITS: Final = (b"x-ratelimit-", b"anthropic-ratelimit-")


class _Answer:
    """Keeps what the authorizer sends."""

    def __init__(self) -> None:
        self.status, self.headers, self.body = 500, RawHeaders(), b""

    async def __call__(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
        else:
            self.body += message.get("body", b"")


class CheckService:
    """The method `Check`."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def check(self, request: Any, context: Any) -> Any:
        """Answer one `CheckRequest` with a `CheckResponse`."""
        http = request.attributes.request.http
        body = http.raw_body or http.body

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        answer, path = _Answer(), http.path.partition(b"?")[0].decode("latin-1")
        await self._authorizer.check(_scope(http, context), path, receive, answer)
        return _response(answer)


def _scope(http: Any, context: Any) -> Scope:
    host, _, port = context.peer().partition(":")[2].rpartition(":")
    return {
        "type": "http",
        "method": http.method,
        "headers": [(one.key.encode(), one.value) for one in http.headers if not one.key.startswith(":")],
        "client": (host.strip("[]"), int(port)) if port.isdecimal() else None,
    }


def _response(answer: _Answer) -> Any:
    response = CheckResponse()
    headers = [header for header in answer.headers if header[0] not in _FRAMING]
    if answer.status == 200:
        allowed = response.ok_response
        response.status.code = grpc.StatusCode.OK.value[0]
        for name, value in headers:
            if name == REMOVE:
                allowed.headers_to_remove.extend(value.decode().split(","))
                continue
            if not name.startswith(_LIMITS):
                _add(allowed.headers, name, value)
            if name in _TO_CALLER or name.startswith(_LIMITS):
                _add(allowed.response_headers_to_add, name, value)
        return response
    denied = response.denied_response
    response.status.code = _CODES.get(answer.status, grpc.StatusCode.PERMISSION_DENIED).value[0]
    denied.status.code, denied.body = answer.status, answer.body
    for name, value in headers:
        _add(denied.headers, name, value)
    return response


def _add(headers: Any, name: bytes, value: bytes) -> None:
    one = headers.add(append_action=OVERWRITE)
    one.header.key, one.header.value = name.decode(), value


@asynccontextmanager
async def serving_grpc(
    authorizer: Authorizer, host: str, port: int, *, most_body_bytes: int, most_at_once: int, drain_s: float
) -> AsyncIterator[str]:
    """Serve checks over gRPC within the block; gives the address. Raises `SettingsError` when it cannot be used."""
    options = [
        ("grpc.max_receive_message_length", most_body_bytes + MESSAGE_ROOM),
        ("grpc.max_metadata_size", 16 << 10),
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.aio.server(options=options, maximum_concurrent_rpcs=most_at_once)
    handler = grpc.unary_unary_rpc_method_handler(
        CheckService(authorizer).check, CheckRequest.FromString, CheckResponse.SerializeToString
    )
    service, _, method = METHOD.strip("/").partition("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    name = f"[{host}]" if ":" in host else host
    try:
        bound = server.add_insecure_port(f"{name}:{port}")
    except RuntimeError as error:
        raise SettingsError(f"cannot listen for gRPC on {host} port {port}: {error}") from error
    await server.start()
    try:
        yield f"{name}:{bound}"
    finally:
        await server.stop(drain_s)
