"""An authenticator in software, and operators who approve with it."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
import httpx2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.api.conftest import Control
from tiergate.api.operators import Role
from tiergate.api.passkeys import TICKET_HEADER

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


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


def challenge(client: httpx2.Client, method: str, path: str, body: bytes = b"") -> dict[str, Any]:
    action = {"method": method, "path": path, "body_sha256": hashlib.sha256(body).hexdigest()}
    asked = client.post("/v1/passkeys/challenge", json=action)
    assert asked.status_code == 200, asked.text
    return dict(asked.json())


def ticket(
    client: httpx2.Client, authenticator: Authenticator, method: str, path: str, body: bytes = b""
) -> dict[str, str]:
    """A header with a ticket for a request."""
    signed = authenticator.sign(challenge(client, method, path, body))
    given = client.post("/v1/passkeys/consent", json=signed)
    assert given.status_code == 200, given.text
    return {TICKET_HEADER: given.json()["ticket"]}


class Approver:
    """An operator with a passkey, who consents to what they post."""

    def __init__(self, control: Control, *roles: Role, **more: Any) -> None:
        self.client = control.client(*roles, **more)
        self._authenticator = Authenticator(control.address)
        assert registered(self.client, self._authenticator).status_code == 201

    def post(self, path: str, asked: dict[str, Any]) -> httpx2.Response:
        body = json.dumps(asked).encode()
        head = ticket(self.client, self._authenticator, "POST", path, body)
        return self.client.post(path, content=body, headers=head)
