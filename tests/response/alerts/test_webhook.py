"""Signed as Standard Webhooks says: its own example, its own library, and a receiver over a socket."""

from __future__ import annotations

import base64
import json
import secrets

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from tests.response.alerts.conftest import AN_ALERT, SECRET
from tiergate.clock import SystemClock
from tiergate.errors import InputError
from tiergate.response.alerts import webhook


def test_the_signature_of_a_known_message() -> None:
    # The message, secret and signature that the specification's libraries are tested with.
    payload = b'{"test": 2432232314}'
    headers = webhook.signed("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, payload, SECRET)
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_what_is_sent_verifies_and_a_changed_byte_does_not() -> None:
    now_s = SystemClock().now_us() // 1_000_000
    payload = webhook.body(AN_ALERT)
    headers = webhook.signed("alert_1", now_s, payload, SECRET)
    receiver = standardwebhooks.Webhook(SECRET)
    assert receiver.verify(payload, headers) == json.loads(payload)
    for changed in (payload.replace(b"limit", b"watch"), payload + b" "):
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            receiver.verify(changed, headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        receiver.verify(payload, headers | {"webhook-id": "alert_2"})
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        receiver.verify(payload, webhook.signed("alert_1", now_s - 3600, payload, SECRET))


@given(st.binary(max_size=200).filter(lambda one: one.decode("utf-8", "ignore").encode() == one), st.integers(24, 64))
def test_any_body_verifies_with_either_of_two_secrets(payload: bytes, size: int) -> None:
    both = [f"whsec_{base64.b64encode(secrets.token_bytes(size)).decode()}" for _ in range(2)]
    headers = webhook.signed("alert_1", SystemClock().now_us() // 1_000_000, payload, "\n".join(both))
    for one in both:
        standardwebhooks.Webhook(one).verify(payload, headers, json_parse=False)


def test_the_body_is_what_the_specification_recommends() -> None:
    body = json.loads(webhook.body(AN_ALERT))
    assert set(body) == {"type", "timestamp", "data"}
    assert (body["type"], body["timestamp"]) == ("case.step", "2026-05-28T20:26:40Z")
    assert body["data"]["case_id"] == "case_1"


@pytest.mark.parametrize("secret", ["abc", "whsec_", "whsec_c2hvcnQ=", "whsec_!!!", "whsec_" + "A" * 400])
def test_a_secret_that_is_none_is_refused_and_not_said(secret: str) -> None:
    with pytest.raises(InputError, match="openssl rand") as raised:
        webhook.signed("alert_1", 1, b"{}", secret)
    assert secret == "whsec_" or secret not in str(raised.value)
