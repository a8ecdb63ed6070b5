"""Sign-in at a real little OpenID provider on loopback, honest and not; sessions and what a browser must show."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.api.conftest import NOW, Control, listening, loopback, running
from tiergate.api.operators import Role
from tiergate.clock import HOUR, MINUTE

RSA = rsa.generate_private_key(65537, 2048)
STRANGER = rsa.generate_private_key(65537, 2048)


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@dataclass
class Provider:
    """An OpenID provider that signs whatever ``claims`` and ``header`` say, over what is honest."""

    issuer: str = ""
    alg: str = "RS256"
    kid: str = "one"
    signer: Any = RSA
    claims: dict[str, Any] = field(default_factory=dict)
    ed25519: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    published: list[str] = field(default_factory=lambda: ["one", "ed"])
    codes: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    key_requests: int = 0

    def app(self) -> Starlette:
        ways = {"/.well-known/openid-configuration": self.about, "/authorize": self.authorize, "/keys": self.keys}
        routes = [Route(path, way) for path, way in ways.items()]
        return Starlette(routes=[*routes, Route("/token", self.token, methods=["POST"])])

    async def about(self, _request: Request) -> Response:
        ends = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        return JSONResponse({"issuer": self.issuer} | {name: f"{self.issuer}/{path}" for name, path in ends.items()})

    async def authorize(self, request: Request) -> Response:
        asked = parse_qs(request.url.query)
        code = secrets.token_urlsafe(8)
        self.codes[code] = asked
        return RedirectResponse(f"{asked['redirect_uri'][0]}?code={code}&state={asked['state'][0]}", 303)

    async def token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        asked = self.codes.pop(form["code"], None)
        verified = b64(hashlib.sha256(form["code_verifier"].encode()).digest())
        if asked is None or asked["code_challenge"] != [verified] or asked["redirect_uri"] != [form["redirect_uri"]]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse({"access_token": "a", "token_type": "Bearer", "id_token": self.signed(asked["nonce"][0])})

    async def keys(self, _request: Request) -> Response:
        self.key_requests += 1
        public = RSA.public_key().public_numbers()
        raw = self.ed25519.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        keys = [
            {"kty": "RSA", "kid": "one", "n": number(public.n), "e": number(public.e), "use": "sig"},
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(raw), "use": "sig"},
        ]
        return JSONResponse({"keys": [key for key in keys if key["kid"] in self.published]})

    def signed(self, nonce: str) -> str:
        now = NOW // 1_000_000
        claims = {"iss": self.issuer, "aud": "control", "sub": "s-1", "nonce": nonce, "iat": now, "exp": now + 300}
        claims |= {"email": "Ann@example.com", "email_verified": True} | self.claims
        payload = json.dumps({name: value for name, value in claims.items() if value is not None}).encode()
        text = f"{b64(json.dumps({'alg': self.alg, 'kid': self.kid}).encode())}.{b64(payload)}"
        return f"{text}.{b64(self.signature(text.encode()))}"

    def signature(self, text: bytes) -> bytes:
        if self.alg == "none":
            return b""
        if self.alg == "HS256":
            # The old trick: the public key, which everybody has, taken for a shared secret.
            pem = RSA.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            return hmac.digest(pem, text, "sha256")
        if self.alg in ("Ed25519", "EdDSA"):
            return self.ed25519.sign(text)
        return bytes(self.signer.sign(text, padding.PKCS1v15(), hashes.SHA256()))


@pytest.fixture
def provider() -> Iterator[Provider]:
    listener, address = loopback()
    one = Provider(issuer=address)
    with listening(one.app(), listener):
        yield one


@pytest.fixture
def control(tmp_path: Path, provider: Provider) -> Iterator[Control]:
    with running(tmp_path / "data", oidc_issuer=provider.issuer, oidc_client_id="control") as one:
        one.operator(Role.REVIEWER, name="ann@example.com")
        yield one


def sign_in(control: Control, browser: httpx2.Client) -> httpx2.Response:
    return browser.get("/v1/sign-in", follow_redirects=True)


@pytest.mark.parametrize(("alg", "kid"), [("RS256", "one"), ("Ed25519", "ed"), ("EdDSA", "ed")])
@pytest.mark.filterwarnings("ignore:.*EdDSA")
def test_a_person_signs_in_and_out(control: Control, provider: Provider, alg: str, kid: str) -> None:
    provider.alg, provider.kid = alg, kid
    browser = control.with_token(None)
    done = sign_in(control, browser)
    assert done.status_code == 200
    cookie = next(value for value in done.headers.get_list("set-cookie") if value.startswith("tiergate="))
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    me = browser.get("/v1/session").json()
    assert me["operator"]["name"] == "ann@example.com"
    assert "review" in me["permissions"]

    assert browser.delete("/v1/session").json()["code"] == "csrf_token_missing"
    wrong = browser.delete("/v1/session", headers={"x-csrf-token": me["csrf"][:-1] + "!"})
    assert wrong.status_code == 403
    elsewhere = {"x-csrf-token": me["csrf"], "origin": "https://evil.example"}
    assert browser.delete("/v1/session", headers=elsewhere).status_code == 403
    kept = browser.cookies["tiergate"]
    ours = {"x-csrf-token": me["csrf"], "origin": control.address}
    assert browser.delete("/v1/session", headers=ours).status_code == 204
    # The cookie is gone from the browser, and one who kept it has nothing either.
    assert control.with_token(None).get("/v1/session", headers={"cookie": f"tiergate={kept}"}).status_code == 401


@pytest.mark.parametrize(
    "spoil",
    [
        {"claims": {"nonce": "another"}},
        {"claims": {"nonce": None}},
        {"claims": {"aud": "somebody-else"}},
        {"claims": {"aud": "somebody-else", "azp": "control"}},
        {"claims": {"aud": ["control", "somebody-else"], "azp": "somebody-else"}},
        {"claims": {"iss": "https://evil.example"}},
        {"claims": {"exp": NOW // 1_000_000 - 120}},
        {"claims": {"exp": None}},
        {"claims": {"iat": NOW // 1_000_000 + 600}},
        {"claims": {"sub": None}},
        {"alg": "none"},
        {"alg": "HS256"},
        {"signer": STRANGER},
        {"kid": "unknown"},
        {"kid": "ed"},
    ],
    # A key's own words hold its address in memory, and workers must name tests alike.
    ids=lambda spoil: ", ".join("signer" if name == "signer" else f"{name} {spoil[name]}" for name in spoil),
)
def test_a_token_that_does_not_hold_lets_nobody_in(control: Control, provider: Provider, spoil: dict[str, Any]) -> None:
    for name, value in spoil.items():
        setattr(provider, name, value)
    browser = control.with_token(None)
    refused = sign_in(control, browser)
    assert (refused.status_code, refused.json()["code"]) == (401, "sign_in_refused"), refused.text
    assert "tiergate" not in browser.cookies


@pytest.mark.parametrize(
    "claims", [{"email_verified": False}, {"email_verified": "true"}, {"email": "eve@example.com"}, {"email": None}]
)
def test_only_an_operator_signs_in(control: Control, provider: Provider, claims: dict[str, Any]) -> None:
    provider.claims = claims
    assert sign_in(control, control.with_token(None)).json()["code"] == "no_operator"


def test_a_person_is_known_by_subject_and_an_address_that_changes_hands_opens_nothing(
    control: Control, provider: Provider
) -> None:
    assert sign_in(control, control.with_token(None)).status_code == 200
    provider.claims = {"email": "ann.new@example.com"}
    assert sign_in(control, control.with_token(None)).status_code == 200
    provider.claims = {"sub": "s-2"}
    assert sign_in(control, control.with_token(None)).json()["code"] == "no_operator"


def test_a_subject_of_another_provider_is_somebody_else(control: Control, provider: Provider) -> None:
    assert sign_in(control, control.with_token(None)).status_code == 200
    listener, address = loopback()
    other = Provider(issuer=address, claims={"email": "eve@example.com"})
    with (
        listening(other.app(), listener),
        running(control.services.settings.data, oidc_issuer=address, oidc_client_id="control") as moved,
    ):
        eve = moved.with_token(None)
        assert sign_in(moved, eve).json()["code"] == "no_operator"
        assert eve.get("/v1/session").status_code == 401
    # What was learnt of the first provider's keys and people holds for it alone, and still does.
    assert sign_in(control, control.with_token(None)).status_code == 200


def test_an_answer_counts_once_in_its_own_browser_and_not_too_late(control: Control, provider: Provider) -> None:
    def begun(browser: httpx2.Client) -> str:
        there = browser.get("/v1/sign-in").headers["location"]
        assert parse_qs(urlsplit(there).query)["code_challenge_method"] == ["S256"]
        return str(httpx2.get(there, trust_env=False, timeout=60).headers["location"]).replace(control.address, "")

    browser = control.with_token(None)
    back = begun(browser)
    assert control.with_token(None).get(back).json()["detail"] == "this sign-in was begun in another browser"
    assert browser.get(back).status_code == 401  # used up by the try above
    back = begun(browser)
    assert browser.get(back).status_code == 200
    assert browser.get(back).status_code == 401
    back = begun(browser)
    control.clock.time_us += 10 * MINUTE
    assert browser.get(back).status_code == 401
    assert browser.get("/v1/sign-in/return?error=access_denied").json()["detail"] == "the provider said `access_denied`"


def test_a_stolen_code_is_worth_nothing_without_its_verifier(control: Control, provider: Provider) -> None:
    honest, thief = control.with_token(None), control.with_token(None)
    there = honest.get("/v1/sign-in").headers["location"]
    code = parse_qs(urlsplit(httpx2.get(there, trust_env=False, timeout=60).headers["location"]).query)["code"][0]
    state = parse_qs(urlsplit(thief.get("/v1/sign-in").headers["location"]).query)["state"][0]
    refused = thief.get("/v1/sign-in/return", params={"code": code, "state": state})
    assert refused.json()["detail"] == "the provider did not take the code"


def test_new_keys_are_fetched_and_a_made_up_key_id_does_not_hammer_the_provider(
    control: Control, provider: Provider
) -> None:
    provider.published = ["ed"]
    assert sign_in(control, control.with_token(None)).status_code == 401
    asked = provider.key_requests
    provider.published = ["one"]
    assert sign_in(control, control.with_token(None)).status_code == 401
    assert provider.key_requests == asked
    control.clock.time_us += MINUTE
    assert sign_in(control, control.with_token(None)).status_code == 200


def test_a_session_ends_by_time_and_by_ending_its_operator(control: Control) -> None:
    browser = control.with_token(None)
    sign_in(control, browser)
    control.clock.time_us += 8 * HOUR - 1
    me = browser.get("/v1/session").json()
    control.clock.time_us += 1
    assert browser.get("/v1/session").status_code == 401
    control.clock.time_us = NOW
    again = control.with_token(None)
    sign_in(control, again)
    assert again.get("/v1/session").status_code == 200
    control.services.operators.end(me["operator"]["operator_id"], NOW)
    assert again.get("/v1/session").status_code == 401
    assert sign_in(control, control.with_token(None)).json()["code"] == "no_operator"
    # Somebody who comes back is another operator, and the session before stays over.
    control.operator(Role.AUDITOR, name="ann@example.com")
    back = control.with_token(None)
    sign_in(control, back)
    assert back.get("/v1/session").json()["operator"]["roles"] == ["auditor"]
    assert again.get("/v1/session").status_code == 401


def test_a_forged_cookie_opens_nothing(control: Control) -> None:
    browser = control.with_token(None)
    sign_in(control, browser)
    value = browser.cookies["tiergate"]
    csrf = browser.get("/v1/session").json()["csrf"]
    token = value.partition(".")[0]
    for forged in (token, f"{token}.", f"{token}.{csrf}", value[:-1] + ("0" if value[-1] != "0" else "1"), "x" * 5000):
        assert control.with_token(None).get("/v1/session", headers={"cookie": f"tiergate={forged}"}).status_code == 401


def test_a_provider_that_is_away_is_a_problem(tmp_path: Path) -> None:
    listener, address = loopback()
    listener.close()
    with running(tmp_path / "data", oidc_issuer=address, oidc_client_id="control") as control:
        refused = control.with_token(None).get("/v1/sign-in")
        assert (refused.status_code, refused.json()["code"]) == (502, "identity_provider_unavailable")


def test_a_provider_that_says_it_is_another_is_not_believed(control: Control, provider: Provider) -> None:
    provider.issuer = "https://evil.example"
    assert control.with_token(None).get("/v1/sign-in").status_code == 502
