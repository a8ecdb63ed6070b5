"""Alerts as Standard Webhooks 1.0.0 (standardwebhooks.com): JSON, signed with HMAC-SHA256.

The receiver verifies `webhook-signature` over `webhook-id`, `webhook-timestamp` and the body as it came, refuses old
timestamps, and remembers ids: an alert may come more than once, always under the same id.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

import msgspec

from tiergate.errors import InputError
from tiergate.response.alerts.events import Alert, moment

PREFIX: Final = "whsec_"
LEAST_BYTES: Final = 24
MOST_BYTES: Final = 64


def body(alert: Alert) -> bytes:
    """``type``, ``timestamp`` of what happened and ``data``, as the specification recommends."""
    return msgspec.json.encode(
        {"type": alert.type, "timestamp": moment(alert.at_us), "data": {"title": alert.title} | alert.data}
    )


def signed(alert_id: str, now_s: int, payload: bytes, secrets: str) -> dict[str, str]:
    """The headers of an attempt at ``now_s``, seconds since the epoch, with one signature for each line of ``secrets``.

    Raises `InputError` for a secret that is none.
    """
    content = b".".join([alert_id.encode(), str(now_s).encode(), payload])
    signatures = [base64.b64encode(hmac.digest(_key(one), content, hashlib.sha256)).decode() for one in secrets.split()]
    return {
        "webhook-id": alert_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": " ".join(f"v1,{one}" for one in signatures),
    }


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(PREFIX) or not LEAST_BYTES <= len(key) <= MOST_BYTES:
        raise InputError(
            f"a webhook's secret is `{PREFIX}` and {LEAST_BYTES} to {MOST_BYTES} random bytes in base64: make one with "
            f'`echo "{PREFIX}$(openssl rand -base64 32)"`'
        )
    return key
