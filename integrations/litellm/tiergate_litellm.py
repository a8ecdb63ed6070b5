"""Lets a LiteLLM proxy ask Tiergate who may call which model, and tell it what came of it.

    general_settings: {custom_auth: tiergate_litellm.authenticate}
    litellm_settings: {callbacks: [tiergate_litellm.hook]}

Callers use their Tiergate keys. Environment: TIERGATE_AUTHORIZER, the address of `tiergate authorize`, and
TIERGATE_REPORT_TOKEN, its secret. No answer of the authorizer, no way through. Texts of requests go to the authorizer
and nowhere else; texts of answers do not leave the proxy.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import aiohttp
from fastapi import Request
from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy._types import ProxyException, UserAPIKeyAuth

TIMEOUT_S: Final = 5.0
CALLS: Final = {
    "acompletion": ("/v1/chat/completions", "chat"),
    "aresponses": ("/v1/responses", "responses"),
    "aembedding": ("/v1/embeddings", "embeddings"),
    "anthropic_messages": ("/v1/messages", "messages"),
}
"""By LiteLLM's name of a call: the path that Tiergate knows it by, and its operation in the exchange log."""

PATHS: Final = frozenset({*(path for path, _ in CALLS.values()), "/v1/models"})
FORWARDED: Final = (
    "authorization", "x-api-key", "anthropic-version", "user-agent", "x-session-id", "x-tiergate-project",
    "x-tiergate-purpose", "x-tiergate-asset",
)  # fmt: skip
TOLD: Final = (
    "retry-after", "x-should-retry", "x-tiergate-exchange-id", "x-tiergate-decision-id", "x-tiergate-fallback",
)  # fmt: skip
MOST_CALLS: Final = 100_000
MOST_REPORTS: Final = 100_000
MOST_AT_ONCE: Final = 1_000
"""Calls under way that are remembered; reports that wait; reports of one message."""

RETRY_S: Final = 1.0
_log = logging.getLogger(__name__)


class Refused(ProxyException):
    """A refusal, as the authorizer worded it in the caller's dialect."""

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        try:
            said = json.loads(body)
            self._error = dict(said["error"])
        except (ValueError, KeyError, TypeError):
            said = {
                "error": {"message": "the request is refused", "type": "api_error", "param": None, "code": "refused"}
            }
            self._error = said["error"]
        told = {name: headers[name] for name in TOLD if name in headers}
        # LiteLLM passes a message on as it is where it is an error of Anthropic's API already.
        message = json.dumps(said) if said.get("type") == "error" else str(self._error.get("message"))
        super().__init__(message, str(self._error.get("type")), None, status, told)

    def to_dict(self) -> dict[str, Any]:
        return self._error


class Asked(NamedTuple):
    """A call that was let through."""

    exchange_id: str
    account_id: str
    operation: str
    model: str
    started_at: str


class Authorizer:
    """Tiergate's authorizer, over kept connections of the running event loop."""

    def __init__(self, address: str, token: str) -> None:
        self._address, self._token = address.rstrip("/"), token
        self._session: aiohttp.ClientSession | None = None

    async def check(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Mapping[str, str]:
        """Headers of an answer that lets the request through. Raises `Refused` for all else."""
        more = {"content-type": "application/json"}
        if body is not None:
            more["x-tiergate-report-token"] = self._token
        try:
            async with self._open().request(
                method, f"{self._address}/authorize{path}", headers={**headers, **more}, data=body
            ) as answer:
                said = await answer.read()
                if answer.status == 200:
                    return answer.headers
                raise Refused(answer.status, said, answer.headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.error("the authorizer cannot be asked: %s", error)
            raise _refused(503, "authorizer_unavailable", "access cannot be decided right now: try again") from error

    async def report(self, rows: list[dict[str, Any]]) -> bool:
        """Whether the rows are recorded, or can never be."""
        body = b"\n".join(json.dumps(row).encode() for row in rows)
        try:
            async with self._open().post(
                f"{self._address}/exchanges", data=body, headers={"x-tiergate-report-token": self._token}
            ) as answer:
                if answer.status >= 400:
                    _log.error("exchanges were not recorded: %d %s", answer.status, (await answer.text())[:500])
                return answer.status < 500
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.error("exchanges cannot be reported yet: %s", error)
            return False

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        return self._session


class Hook(CustomLogger):
    """Asks before a call, and reports after it."""

    def __init__(self, authorizer: Authorizer) -> None:
        super().__init__()
        self._authorizer = authorizer
        self._calls: OrderedDict[str, Asked] = OrderedDict()
        self._reports: list[dict[str, Any]] = []
        self._reporting: asyncio.Task[None] | None = None

    async def async_pre_call_hook(
        self, user_api_key_dict: UserAPIKeyAuth, cache: Any, data: dict[str, Any], call_type: str
    ) -> None:
        if call_type not in CALLS:
            raise _refused(404, "not_supported_by_upstream", f"calls of the kind {call_type} are not let through here")
        path, operation = CALLS[call_type]
        ours = "litellm_metadata" if "litellm_metadata" in data else "metadata"
        metadata = data.get(ours) or {}
        raw = (data.get("secret_fields") or {}).get("raw_headers") or {}
        headers = {name.lower(): str(value) for name, value in raw.items() if name.lower() in FORWARDED}
        if metadata.get("requester_ip_address"):
            headers["x-forwarded-for"] = str(metadata["requester_ip_address"])
        sent = (data.get("proxy_server_request") or {}).get("body") or {}
        body = {name: value for name, value in sent.items() if name not in ("metadata", "litellm_metadata")}
        # LiteLLM writes into what the caller gave as metadata, and keeps that apart.
        said = metadata.get("requester_metadata") if ours == "metadata" else data.get("metadata")
        if said:
            body["metadata"] = said
        # What LiteLLM will ask is what is judged: the model may have come by the path.
        body["model"] = data.get("model")
        passed = await self._authorizer.check("POST", path, headers, json.dumps(body).encode())
        if call_id := data.get("litellm_call_id"):
            now = datetime.now(UTC).isoformat()
            self._calls[call_id] = Asked(
                passed["x-tiergate-exchange-id"], passed["x-tiergate-account-id"], operation, str(body["model"]), now
            )
            if len(self._calls) > MOST_CALLS:
                self._calls.popitem(last=False)

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: datetime, end_time: datetime
    ) -> None:
        asked = self._calls.pop(kwargs.get("litellm_call_id", ""), None)
        if asked is None:
            return
        told = kwargs.get("standard_logging_object") or {}
        usage = (told.get("metadata") or {}).get("usage_object") or {}
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
        thought = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens")
        self._report(
            asked,
            status=200,
            response_model=told.get("model"),
            input_tokens=told.get("prompt_tokens"),
            output_tokens=told.get("completion_tokens"),
            cached_input_tokens=cached,
            reasoning_tokens=thought,
            finish_reason=_finish_reason(response_obj),
            latency_ms=(end_time - start_time).total_seconds() * 1000,
        )

    async def async_post_call_failure_hook(
        self, request_data: dict[str, Any], original_exception: Exception, user_api_key_dict: UserAPIKeyAuth,
        traceback_str: str | None = None,
    ) -> None:  # fmt: skip
        asked = self._calls.pop(request_data.get("litellm_call_id", ""), None)
        if asked is not None:
            status = getattr(original_exception, "status_code", None) or getattr(original_exception, "code", None)
            with suppress(TypeError, ValueError):
                status = int(status)  # type: ignore[arg-type]
            known = isinstance(status, int) and 400 <= status <= 599
            self._report(asked, status=status if known else 500, finish_reason="upstream_error")

    def _report(self, asked: Asked, **columns: Any) -> None:
        """Tell the authorizer, soon, all that wait together."""
        row = {
            "exchange_id": asked.exchange_id, "started_at": asked.started_at, "account_id": asked.account_id,
            "operation": asked.operation, "request_model": asked.model,
        }  # fmt: skip
        self._reports.append(row | {name: value for name, value in columns.items() if value is not None})
        if len(self._reports) > MOST_REPORTS:
            # The authorizer takes these for not reported, and charges what is likely.
            del self._reports[0]
        if self._reporting is None or self._reporting.done():
            self._reporting = asyncio.get_running_loop().create_task(self._send_reports())

    async def _send_reports(self) -> None:
        while self._reports:
            batch, self._reports = self._reports[:MOST_AT_ONCE], self._reports[MOST_AT_ONCE:]
            if not await self._authorizer.report(batch):
                self._reports = batch + self._reports
                await asyncio.sleep(RETRY_S)


def _finish_reason(response: Any) -> str | None:
    with suppress(AttributeError, IndexError, KeyError, TypeError):
        return str(response.choices[0].finish_reason)
    return None


def _refused(status: int, code: str, message: str) -> Refused:
    error = {"message": message, "type": "api_error", "param": None, "code": code}
    return Refused(status, json.dumps({"error": error}).encode(), {})


async def authenticate(request: Request, api_key: str) -> UserAPIKeyAuth:
    """LiteLLM's ``custom_auth``: callers are who Tiergate says, and reach what it knows. All other paths are closed."""
    path = request.url.path if request.url.path.startswith("/v1/") else f"/v1{request.url.path}"
    if path not in PATHS:
        raise _refused(404, "not_found", f"{request.method} {request.url.path[:200]} is closed here")
    headers = {"authorization": f"Bearer {api_key}"}
    passed = await _authorizer.check("GET", "/v1/models", headers, None)
    # Of the key itself LiteLLM keeps nothing but this.
    hashed = hashlib.sha256(api_key.encode()).hexdigest()
    return UserAPIKeyAuth(api_key=hashed, user_id=passed["x-tiergate-account-id"])


_authorizer = Authorizer(os.environ["TIERGATE_AUTHORIZER"], os.environ["TIERGATE_REPORT_TOKEN"])
hook = Hook(_authorizer)
