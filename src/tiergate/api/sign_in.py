"""Sign-in of people at an OpenID provider: authorisation code with PKCE (OpenID Connect Core 1.0, RFC 7636).

State, nonce and verifier are made for one try, kept here and used up by the first answer; the browser that began must
be the one that ends. An identity token counts only when its signature is by a key of the provider's under an
asymmetric algorithm of `ALGORITHMS`, and issuer, audience, nonce and times hold. Whoever signs in must be an operator
already: by the provider's subject, or the first time by an e-mail address that the provider says it verified.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlencode

import aiohttp
import msgspec
import sqlalchemy as sa

from tiergate.api.operators import LONGEST, Operator, Operators
from tiergate.api.problems import ProblemError
from tiergate.api.settings import ControlSettings
from tiergate.clock import HOUR, MINUTE, SECOND
from tiergate.database import make_tables
from tiergate.errors import SettingsError, UpstreamError
from tiergate.parties.tokens import keyed_hash

if TYPE_CHECKING:
    from joserfc.jwk import KeySetSerialization

METADATA: Final = sa.MetaData()
ALGORITHMS: Final = ("RS256", "PS256", "ES256", "Ed25519", "EdDSA")
LASTS_US: Final = 10 * MINUTE
LEEWAY_S: Final = 60
"""How far the provider's clock may be from ours, seconds."""
_MOST_BYTES: Final = 1 << 20
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)

_TRIES: Final = sa.Table(
    "sign_ins",
    METADATA,
    sa.Column("state_hash", sa.String(64), primary_key=True),
    sa.Column("browser_hash", sa.String(64), nullable=False),
    sa.Column("nonce", sa.String(64), nullable=False),
    sa.Column("verifier", sa.String(64), nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
)
_IDENTITIES: Final = sa.Table(
    "operator_identities",
    METADATA,
    sa.Column("issuer", sa.String(512), primary_key=True),
    sa.Column("subject", sa.String(255), primary_key=True),
    sa.Column("operator_id", sa.String(64), nullable=False),
    sa.UniqueConstraint("issuer", "operator_id"),
)


class Provider(msgspec.Struct, frozen=True):
    """What of the provider's metadata is used (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str
    access_token: str | None = None


class SignIn:
    """The relying party of one provider."""

    def __init__(self, engine: sa.Engine, pepper: bytes, settings: ControlSettings, public_url: str) -> None:
        assert settings.oidc_issuer is not None
        self._issuer = settings.oidc_issuer
        self._client_id = settings.oidc_client_id or ""
        self._client_secret = settings.oidc_client_secret
        self._redirect = f"{public_url}/v1/sign-in/return"
        self._engine = engine
        self._pepper = pepper
        self._known: tuple[int, Provider, dict[str, Any]] | None = None
        self._lock = asyncio.Lock()
        make_tables(engine, METADATA)
        _library()

    async def begin(self, now_us: int) -> tuple[str, str]:
        """Where to send the browser, and the value of the cookie by which it is known again."""
        provider, _ = await self._provider(now_us)
        state, browser, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(4))
        row = {
            "state_hash": keyed_hash(self._pepper, state),
            "browser_hash": keyed_hash(self._pepper, browser),
            "nonce": nonce,
            "verifier": verifier,
            "expires_at": now_us + LASTS_US,
        }
        with self._engine.begin() as connection:
            connection.execute(sa.delete(_TRIES).where(_TRIES.c.expires_at <= now_us))
            connection.execute(sa.insert(_TRIES), row)
        challenge_of, _ = _library()
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._redirect,
            "scope": "openid email",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge_of(verifier),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in provider.authorization_endpoint else "?"
        return f"{provider.authorization_endpoint}{joint}{urlencode(asked)}", browser

    async def finish(self, code: str, state: str, browser: str | None, operators: Operators, now_us: int) -> Operator:
        """Who signed in. Raises `ProblemError` for an answer that does not hold, or somebody who is no operator."""
        used = sa.delete(_TRIES).where(_TRIES.c.state_hash == keyed_hash(self._pepper, state))
        with self._engine.begin() as connection:
            begun = connection.execute(used.returning(*_TRIES.c)).first()
        if begun is None or begun.expires_at <= now_us:
            raise _refused("this sign-in is unknown, used up or too old")
        if browser is None or not hmac.compare_digest(keyed_hash(self._pepper, browser), begun.browser_hash):
            raise _refused("this sign-in was begun in another browser")
        provider, keys = await self._provider(now_us)
        tokens = await self._redeem(provider, code, begun.verifier)
        try:
            claims = self._claims(tokens, keys, begun.nonce, now_us)
        except KeyNotFoundError:
            # The provider may have changed its keys since we asked.
            provider, keys = await self._provider(now_us, again=True)
            claims = self._claims(tokens, keys, begun.nonce, now_us)
        return self._operator(claims, operators)

    def _claims(self, tokens: _Tokens, keys: dict[str, Any], nonce: str, now_us: int) -> dict[str, Any]:
        from joserfc import jwt
        from joserfc.errors import InvalidKeyIdError, JoseError
        from joserfc.jwk import KeySet

        _, id_token = _library()
        try:
            keyset = KeySet.import_key_set(cast("KeySetSerialization", keys))
            decoded = jwt.decode(tokens.id_token, keyset, algorithms=list(ALGORITHMS))
            claims = id_token(
                decoded.claims,
                decoded.header,
                {
                    "iss": {"essential": True, "value": self._issuer},
                    "aud": {"essential": True, "value": self._client_id},
                },
                {"nonce": nonce, "client_id": self._client_id, "access_token": tokens.access_token},
            )
            claims.validate(now=now_us // SECOND, leeway=LEEWAY_S)
        except InvalidKeyIdError as error:
            raise KeyNotFoundError(str(error)) from error
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise _refused(f"the provider's identity token does not hold: {error}") from error
        return dict(claims)

    def _operator(self, claims: dict[str, Any], operators: Operators) -> Operator:
        subject = str(claims["sub"])[:255]
        known = sa.select(_IDENTITIES.c.operator_id).where(
            _IDENTITIES.c.issuer == self._issuer, _IDENTITIES.c.subject == subject
        )
        with self._engine.connect() as connection:
            operator_id = connection.execute(known).scalar()
        operator = operators.get(operator_id) if operator_id is not None else None
        if operator is None or operator.ended_at is not None:
            operator = self._first_time(claims, operators)
        if operator is None:
            raise ProblemError(
                403, "no_operator", "nobody with this identity is an operator here", "ask an administrator to add you"
            )
        return operator

    def _first_time(self, claims: dict[str, Any], operators: Operators) -> Operator | None:
        # An unverified address is whatever somebody typed; one that has an identity already belongs to somebody else,
        # as when an address is given to a new person.
        if claims.get("email_verified") is not True or not isinstance(claims.get("email"), str):
            return None
        operator = operators.named(claims["email"]) if 0 < len(claims["email"].strip()) <= LONGEST else None
        if operator is None:
            return None
        row = {"issuer": self._issuer, "subject": str(claims["sub"])[:255], "operator_id": operator.operator_id}
        before = sa.and_(_IDENTITIES.c.issuer == row["issuer"], _IDENTITIES.c.subject == row["subject"])
        try:
            with self._engine.begin() as connection:
                # Of somebody who left and came back.
                connection.execute(sa.delete(_IDENTITIES).where(before))
                connection.execute(sa.insert(_IDENTITIES), row)
        except sa.exc.IntegrityError:
            return None
        return operator

    async def _redeem(self, provider: Provider, code: str, verifier: str) -> _Tokens:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect,
            "client_id": self._client_id,
            "code_verifier": verifier,
        }
        secret = self._client_secret.get_secret_value() if self._client_secret is not None else None
        auth = aiohttp.BasicAuth(self._client_id, secret) if secret is not None else None
        status, body = await _fetch("POST", provider.token_endpoint, data=form, auth=auth)
        if status != 200:
            raise _refused("the provider did not take the code")
        try:
            return msgspec.json.decode(body, type=_Tokens)
        except msgspec.MsgspecError as error:
            raise _refused("the provider gave no identity token") from error

    async def _provider(self, now_us: int, *, again: bool = False) -> tuple[Provider, dict[str, Any]]:
        async with self._lock:
            # Asked again a minute later at the earliest: a made-up key id must not make us hammer the provider.
            stale_us = MINUTE if again else HOUR
            if self._known is None or now_us - self._known[0] >= stale_us:
                self._known = (now_us, *await self._discover())
            return self._known[1:]

    async def _discover(self) -> tuple[Provider, dict[str, Any]]:
        _, body = await _fetch("GET", f"{self._issuer}/.well-known/openid-configuration")
        try:
            provider = msgspec.json.decode(body, type=Provider)
            if provider.issuer != self._issuer:
                raise UpstreamError(f"`{self._issuer}` says that it is `{provider.issuer[:200]}`", status=502)
            _, keys = await _fetch("GET", provider.jwks_uri)
            return provider, msgspec.json.decode(keys, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise UpstreamError(f"`{self._issuer}` does not answer as an OpenID provider", status=502) from error


class KeyNotFoundError(ProblemError):
    """An identity token is signed by a key that is not among the provider's."""

    def __init__(self, detail: str) -> None:
        super().__init__(401, "sign_in_refused", f"the provider's keys lack the token's: {detail}", "sign in again")


async def _fetch(method: str, url: str, **more: Any) -> tuple[int, bytes]:
    """Status and body of a call to the provider. No redirect is followed: it could lead anywhere."""
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.request(method, url, allow_redirects=False, **more) as answer,
        ):
            return answer.status, await answer.content.read(_MOST_BYTES)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise UpstreamError(f"the OpenID provider cannot be reached at `{url}`", status=502) from error


def _refused(detail: str) -> ProblemError:
    return ProblemError(401, "sign_in_refused", detail, "begin again at GET /v1/sign-in")


def _library() -> tuple[Any, Any]:
    """authlib's S256 challenge and its rules for identity tokens of the code flow."""
    try:
        from authlib.oauth2.rfc7636 import create_s256_code_challenge
        from authlib.oidc.core import CodeIDToken
    except ImportError as error:
        raise SettingsError("sign-in needs the extra `sign-in`: run `pip install 'tiergate[sign-in]'`") from error
    return create_s256_code_challenge, CodeIDToken
