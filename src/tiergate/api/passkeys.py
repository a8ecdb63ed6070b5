"""Passkeys (WebAuthn level 3): an operator's consent to one request, given with their finger on it.

A challenge is made for one action: method, path and body. The authenticator signs it, and the answer is a ticket that
lets exactly that request through, once, for five minutes. So neither a stolen token nor a page that was tampered with
can approve something else. Challenges and tickets are used up by the first try, whether it holds or not.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import sqlalchemy as sa

from tiergate.api.problems import ProblemError
from tiergate.clock import MINUTE
from tiergate.database import make_tables
from tiergate.errors import SettingsError
from tiergate.parties.tokens import is_token, keyed_hash, new_token

METADATA: Final = sa.MetaData()
LASTS_US: Final = 5 * MINUTE
TICKET_HEADER: Final = "Tiergate-Passkey-Ticket"
KIND: Final = "tgp"
MOST: Final = 10
"""Passkeys of one operator."""

_PASSKEYS: Final = sa.Table(
    "passkeys",
    METADATA,
    sa.Column("credential_id", sa.String(1400), primary_key=True),
    sa.Column("operator_id", sa.String(64), nullable=False, index=True),
    sa.Column("public_key", sa.LargeBinary, nullable=False),
    sa.Column("sign_count", sa.BigInteger, nullable=False),
    sa.Column("registered_at", sa.BigInteger, nullable=False),
)
_CHALLENGES: Final = sa.Table(
    "passkey_challenges",
    METADATA,
    sa.Column("challenge", sa.String(64), primary_key=True),
    sa.Column("operator_id", sa.String(64), nullable=False),
    sa.Column("purpose", sa.String(64), nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
)
_TICKETS: Final = sa.Table(
    "passkey_tickets",
    METADATA,
    sa.Column("ticket_hash", sa.String(64), primary_key=True),
    sa.Column("operator_id", sa.String(64), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
)
_REGISTER: Final = "register"


class Passkey(msgspec.Struct, frozen=True, kw_only=True):
    """A registered passkey; ``credential_id`` is base64url. ``registered_at``: microseconds since the epoch, UTC."""

    credential_id: str
    registered_at: int


def action_hash(method: str, path: str, body: bytes) -> str:
    """What a consent is for: SHA-256 over method, path and the body's bytes, in hexadecimal."""
    return action_of(method, path, hashlib.sha256(body).hexdigest())


def action_of(method: str, path: str, body_sha256: str) -> str:
    """`action_hash` of a body of which the hash alone is known."""
    return hashlib.sha256(f"{method.upper()}\n{path}\n{body_sha256.lower()}".encode()).hexdigest()


class Passkeys:
    """Passkeys in a database. ``public_url`` is the origin that browsers see, and its host the relying party."""

    def __init__(self, engine: sa.Engine, pepper: bytes, public_url: str) -> None:
        self._engine = engine
        self._pepper = pepper
        self._origin = public_url
        self._relying_party = urlsplit(public_url).hostname or ""
        make_tables(engine, METADATA)

    def of(self, operator_id: str) -> list[Passkey]:
        """Passkeys of an operator, oldest first."""
        query = sa.select(_PASSKEYS).where(_PASSKEYS.c.operator_id == operator_id)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(_PASSKEYS.c.registered_at)).all()
        return [Passkey(credential_id=row.credential_id, registered_at=row.registered_at) for row in rows]

    def begin_registration(self, operator_id: str, name: str, now_us: int) -> dict[str, Any]:
        """Options for `navigator.credentials.create()`, as JSON."""
        library = _library()
        held = self.of(operator_id)
        if len(held) >= MOST:
            raise ProblemError(409, "too_many_passkeys", f"{MOST} passkeys are registered", "use one of them")
        structs = library.helpers.structs
        options = library.generate_registration_options(
            rp_id=self._relying_party,
            rp_name="Tiergate",
            user_name=name,
            user_id=operator_id.encode(),
            challenge=self._challenge(operator_id, _REGISTER, now_us),
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                user_verification=structs.UserVerificationRequirement.REQUIRED
            ),
            exclude_credentials=[_descriptor(library, key) for key in held],
        )
        return dict(library.helpers.options_to_json_dict(options))

    def register(self, operator_id: str, credential: dict[str, Any], now_us: int) -> Passkey:
        """Keep the passkey that an authenticator made. Raises `ProblemError` for one that does not hold."""
        library = _library()
        challenge = self._take(operator_id, credential, now_us, _REGISTER)
        try:
            verified = library.verify_registration_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self._relying_party,
                expected_origin=self._origin,
                require_user_verification=True,
            )
        except Exception as error:
            # Whatever a parser trips over in what a stranger made up, it does not hold.
            raise _refused(error) from error
        passkey = Passkey(credential_id=_text(verified.credential_id), registered_at=now_us)
        row = {
            "operator_id": operator_id,
            "public_key": verified.credential_public_key,
            "sign_count": verified.sign_count,
        } | msgspec.structs.asdict(passkey)
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(_PASSKEYS), row)
        except sa.exc.IntegrityError:
            raise ProblemError(409, "passkey_known", "this passkey is registered already", "use it") from None
        return passkey

    def begin_consent(self, operator_id: str, action: str, now_us: int) -> dict[str, Any]:
        """Options for `navigator.credentials.get()`, as JSON. ``action``: see `action_of`."""
        library = _library()
        held = self.of(operator_id)
        if not held:
            raise ProblemError(
                409, "no_passkey", "you have no passkey yet", "register one at POST /v1/passkeys/registration"
            )
        options = library.generate_authentication_options(
            rp_id=self._relying_party,
            challenge=self._challenge(operator_id, action, now_us),
            allow_credentials=[_descriptor(library, key) for key in held],
            user_verification=library.helpers.structs.UserVerificationRequirement.REQUIRED,
        )
        return dict(library.helpers.options_to_json_dict(options))

    def consent(self, operator_id: str, credential: dict[str, Any], now_us: int) -> str:
        """A ticket for the action that was signed. Raises `ProblemError` for a signature that does not hold."""
        library = _library()
        challenge, action = self._taken(operator_id, credential, now_us)
        if action == _REGISTER:
            raise _refused(ValueError("the challenge was for a registration"))
        mine = sa.and_(
            _PASSKEYS.c.credential_id == str(credential.get("id", ""))[:1400], _PASSKEYS.c.operator_id == operator_id
        )
        with self._engine.connect() as connection:
            key = connection.execute(sa.select(_PASSKEYS).where(mine)).first()
        if key is None:
            raise _refused(ValueError("this passkey is none of yours"))
        try:
            verified = library.verify_authentication_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self._relying_party,
                expected_origin=self._origin,
                credential_public_key=key.public_key,
                credential_current_sign_count=key.sign_count,
                require_user_verification=True,
            )
        except Exception as error:
            # Whatever a parser trips over in what a stranger made up, it does not hold.
            raise _refused(error) from error
        ticket = new_token(KIND)
        row = {
            "ticket_hash": keyed_hash(self._pepper, ticket),
            "operator_id": operator_id,
            "action": action,
            "expires_at": now_us + LASTS_US,
        }
        with self._engine.begin() as connection:
            connection.execute(sa.update(_PASSKEYS).where(mine).values(sign_count=verified.new_sign_count))
            connection.execute(sa.insert(_TICKETS), row)
        return ticket

    def redeem(self, ticket: str, operator_id: str, action: str, now_us: int) -> bool:
        """Use a ticket up; whether it was for this operator and action and is not too old."""
        if not is_token(ticket, KIND):
            return False
        used = sa.delete(_TICKETS).where(_TICKETS.c.ticket_hash == keyed_hash(self._pepper, ticket))
        with self._engine.begin() as connection:
            row = connection.execute(used.returning(*_TICKETS.c)).first()
        if row is None or row.operator_id != operator_id or row.expires_at <= now_us:
            return False
        return hmac.compare_digest(row.action, action)

    def _challenge(self, operator_id: str, purpose: str, now_us: int) -> bytes:
        challenge = secrets.token_bytes(32)
        row = {
            "challenge": _text(challenge),
            "operator_id": operator_id,
            "purpose": purpose,
            "expires_at": now_us + LASTS_US,
        }
        with self._engine.begin() as connection:
            connection.execute(sa.delete(_CHALLENGES).where(_CHALLENGES.c.expires_at <= now_us))
            connection.execute(sa.delete(_TICKETS).where(_TICKETS.c.expires_at <= now_us))
            connection.execute(sa.insert(_CHALLENGES), row)
        return challenge

    def _take(self, operator_id: str, credential: dict[str, Any], now_us: int, purpose: str) -> bytes:
        challenge, held = self._taken(operator_id, credential, now_us)
        if held != purpose:
            raise _refused(ValueError("the challenge was for something else"))
        return challenge

    def _taken(self, operator_id: str, credential: dict[str, Any], now_us: int) -> tuple[bytes, str]:
        """The challenge that the client signed, used up, and what it was for."""
        try:
            data = base64.urlsafe_b64decode(str(credential["response"]["clientDataJSON"]) + "==")
            shown = str(msgspec.json.decode(data)["challenge"])
        except (KeyError, TypeError, ValueError, msgspec.MsgspecError) as error:
            raise _refused(error) from error
        used = sa.delete(_CHALLENGES).where(_CHALLENGES.c.challenge == shown[:64])
        with self._engine.begin() as connection:
            row = connection.execute(used.returning(*_CHALLENGES.c)).first()
        if row is None or row.operator_id != operator_id or row.expires_at <= now_us:
            raise _refused(ValueError("the challenge is unknown, used up or too old"))
        return base64.urlsafe_b64decode(row.challenge + "=="), row.purpose


def _refused(error: Exception) -> ProblemError:
    return ProblemError(403, "passkey_refused", f"the passkey's answer does not hold: {error}", "ask for a challenge")


def _descriptor(library: Any, key: Passkey) -> Any:
    return library.helpers.structs.PublicKeyCredentialDescriptor(id=library.base64url_to_bytes(key.credential_id))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _library() -> Any:
    try:
        import webauthn
        import webauthn.helpers.exceptions
        import webauthn.helpers.structs
    except ImportError as error:
        raise SettingsError("passkeys need the extra `sign-in`: run `pip install 'tiergate[sign-in]'`") from error
    return webauthn
