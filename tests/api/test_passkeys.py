"""Passkeys, with an authenticator in software: consent to one request, once."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx2
import pytest

from tests.api import authenticator as software
from tests.api.authenticator import PRESENT, VERIFIED, Authenticator, b64, registered
from tests.api.conftest import Control
from tiergate.api.operators import Role
from tiergate.api.passkeys import action_hash
from tiergate.clock import MINUTE

AGAIN = "/v1/passkeys/registration"
"""The request that the tests consent to: the second passkey's registration."""


def challenge(client: httpx2.Client) -> dict[str, Any]:
    return software.challenge(client, "POST", AGAIN)


def ticket(client: httpx2.Client, authenticator: Authenticator, *action: Any) -> dict[str, str]:
    return software.ticket(client, authenticator, *(action or ("POST", AGAIN)))


@pytest.fixture
def client(control: Control) -> httpx2.Client:
    return control.client(Role.REVIEWER)


@pytest.fixture
def authenticator(control: Control, client: httpx2.Client) -> Authenticator:
    one = Authenticator(control.address)
    done = registered(client, one)
    assert done.status_code == 201, done.text
    return one


def test_a_consent_lets_its_request_through_once(client: httpx2.Client, authenticator: Authenticator) -> None:
    # Without a consent a stolen token could register a passkey of the thief's.
    assert client.post(AGAIN).json()["code"] == "passkey_required"
    head = ticket(client, authenticator)
    assert client.post(AGAIN, headers=head).status_code == 200
    assert client.post(AGAIN, headers=head).json()["code"] == "passkey_required"


@pytest.mark.parametrize(
    "action", [("POST", "/v1/other", b""), ("DELETE", AGAIN, b""), ("POST", AGAIN, b"another body")], ids=str
)
def test_a_consent_is_to_one_request(client: httpx2.Client, authenticator: Authenticator, action: Any) -> None:
    head = ticket(client, authenticator, *action)
    assert client.post(AGAIN, headers=head).status_code == 403


def test_a_ticket_is_its_operators_own_and_ages(
    control: Control, client: httpx2.Client, authenticator: Authenticator
) -> None:
    other = control.client(Role.REVIEWER)
    registered(other, Authenticator(control.address))
    assert other.post(AGAIN, headers=ticket(client, authenticator)).status_code == 403
    head = ticket(client, authenticator)
    control.clock.time_us += 5 * MINUTE
    assert client.post(AGAIN, headers=head).status_code == 403


def refused(client: httpx2.Client, credential: dict[str, Any], why: str) -> None:
    answer = client.post("/v1/passkeys/consent", json=credential)
    assert (answer.status_code, answer.json()["code"]) == (403, "passkey_refused")
    assert why in answer.json()["detail"]


def test_a_challenge_is_used_up_by_the_first_answer(client: httpx2.Client, authenticator: Authenticator) -> None:
    options = challenge(client)
    assert client.post("/v1/passkeys/consent", json=authenticator.sign(options)).status_code == 200
    refused(client, authenticator.sign(options), "used up")
    options = challenge(client)
    authenticator.origin, honest = "https://evil.example", authenticator.origin
    refused(client, authenticator.sign(options), "origin")
    authenticator.origin = honest
    refused(client, authenticator.sign(options), "used up")


def test_answers_that_do_not_hold_are_refused(
    control: Control, client: httpx2.Client, authenticator: Authenticator
) -> None:
    forged = authenticator.sign(challenge(client))
    forged["credential"]["response"]["signature"] = b64(b"0" * 70)
    refused(client, forged, "does not hold")

    unverified = authenticator.sign(challenge(client))
    authenticator.flags = PRESENT
    refused(client, authenticator.sign(challenge(client)), "verif")
    authenticator.flags = PRESENT | VERIFIED
    authenticator.relying_party = "evil.example"
    refused(client, authenticator.sign(challenge(client)), "RP ID")
    authenticator.relying_party = "localhost"

    other = Authenticator(control.address)
    refused(client, other.sign(challenge(client)), "none of yours")
    control.clock.time_us += 5 * MINUTE
    refused(client, unverified, "too old")
    for garbage in ({}, {"id": 1}, {"response": {"clientDataJSON": "!"}}, {"response": []}):
        refused(client, {"credential": garbage}, "does not hold")


def test_a_copied_authenticator_is_noticed_by_its_counter(client: httpx2.Client, authenticator: Authenticator) -> None:
    authenticator.count = 10
    ticket(client, authenticator)
    authenticator.count = 5
    refused(client, authenticator.sign(challenge(client)), "count")


def test_a_registration_that_does_not_hold_is_refused(control: Control) -> None:
    client = control.client(Role.REVIEWER)
    for spoilt in (
        Authenticator("https://evil.example"),
        Authenticator(control.address, relying_party="evil.example"),
        Authenticator(control.address, flags=PRESENT),
    ):
        assert registered(client, spoilt).json()["code"] == "passkey_refused"
    assert (
        client.post("/v1/passkeys/challenge", json={"method": "POST", "path": "/", "body_sha256": "0" * 64}).json()[
            "code"
        ]
        == "no_passkey"
    )
    options = client.post(AGAIN).json()
    one = Authenticator(control.address)
    assert client.post("/v1/passkeys", json=one.make(options)).status_code == 201
    again = client.post("/v1/passkeys", json=one.make(options))
    assert again.json()["code"] == "passkey_refused"
    # A challenge for a registration is none for a consent.
    stranger = control.client(Role.REVIEWER)
    registering = stranger.post(AGAIN).json()
    refused(stranger, one.sign(registering), "registration")


def test_what_is_hashed_of_a_request_is_documented() -> None:
    body = hashlib.sha256(b"{}").hexdigest()
    assert action_hash("post", "/v1/x", b"{}") == hashlib.sha256(f"POST\n/v1/x\n{body}".encode()).hexdigest()


def test_a_ticket_is_not_kept_to_be_given_again(client: httpx2.Client, authenticator: Authenticator) -> None:
    signed, head = authenticator.sign(challenge(client)), {"idempotency-key": "k"}
    assert client.post("/v1/passkeys/consent", json=signed, headers=head).status_code == 200
    assert client.post("/v1/passkeys/consent", json=signed, headers=head).json()["code"] == "shown_once"
