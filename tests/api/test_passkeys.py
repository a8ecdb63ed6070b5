"""Passkeys, with an authenticator in software: consent to one request, once."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
import httpx2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.api.conftest import Control
from tiergate.api.operators import Role
from tiergate.api.passkeys import TICKET_HEADER, action_hash
from tiergate.clock import MINUTE

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40
AGAIN = "/v1/passkeys/registration"
"""The request that the tests consent to: the second passkey's registration."""


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@dataclass
class Authenticator:
    """A passkey in software: ES256, COSE and CBOR as WebAuthn level 3 has them (section 6)."""

    origin: str
    relying_party: str = "localhost"
    flags: int = PRESENT | VERIFIED
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    identity: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    count: int = 0

    def make(self, options: dict[str, Any]) -> dict[str, Any]:
        point = self.key.public_key().public_numbers()
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")})
        attested = bytes(16) + len(self.identity).to_bytes(2, "big") + self.identity + cose
        data = self._data(self.flags | ATTESTED) + attested
        statement = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client = self._client("webauthn.create", options)
        return self._credential({"clientDataJSON": b64(client), "attestationObject": b64(statement)})

    def sign(self, options: dict[str, Any]) -> dict[str, Any]:
        self.count += 1
        data, client = self._data(self.flags), self._client("webauthn.get", options)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        answer = {"clientDataJSON": client, "authenticatorData": data, "signature": signature}
        return self._credential({name: b64(value) for name, value in answer.items()})

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.relying_party.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _client(self, kind: str, options: dict[str, Any]) -> bytes:
        client = {"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False}
        return json.dumps(client).encode()

    def _credential(self, answer: dict[str, str]) -> dict[str, Any]:
        identity = b64(self.identity)
        return {"credential": {"id": identity, "rawId": identity, "type": "public-key", "response": answer}}


def registered(client: httpx2.Client, authenticator: Authenticator) -> httpx2.Response:
    options = client.post("/v1/passkeys/registration").json()
    return client.post("/v1/passkeys", json=authenticator.make(options))


def challenge(client: httpx2.Client, method: str = "POST", path: str = AGAIN, body: bytes = b"") -> dict[str, Any]:
    action = {"method": method, "path": path, "body_sha256": hashlib.sha256(body).hexdigest()}
    asked = client.post("/v1/passkeys/challenge", json=action)
    assert asked.status_code == 200, asked.text
    return dict(asked.json())


def ticket(client: httpx2.Client, authenticator: Authenticator, *action: Any) -> dict[str, str]:
    """A header with a ticket for a request."""
    given = client.post("/v1/passkeys/consent", json=authenticator.sign(challenge(client, *action)))
    assert given.status_code == 200, given.text
    return {TICKET_HEADER: given.json()["ticket"]}


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
