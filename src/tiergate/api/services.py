"""What the operations of the control API work with: one deployment's stores, opened once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from tiergate.admission.activations import ActivationStore
from tiergate.admission.appeals import Appeal, Appeals
from tiergate.admission.changes import Changes
from tiergate.admission.credit_rows import CreditLine
from tiergate.admission.credits import Credits
from tiergate.admission.grants import Grants
from tiergate.admission.holders import Holders
from tiergate.admission.kept_up import KeptUp
from tiergate.admission.memberships import Memberships
from tiergate.admission.programmes import Programme, Programmes
from tiergate.admission.purposes import Purpose, Purposes
from tiergate.admission.standing import Membership
from tiergate.api.audit import Audit
from tiergate.api.first_run import FirstRun
from tiergate.api.idempotency import KeptAnswers
from tiergate.api.operators import Operators
from tiergate.api.ownership_desk import OwnershipDesk
from tiergate.api.pack_proposals import Proposals
from tiergate.api.passkeys import Passkeys
from tiergate.api.passwords import Passwords
from tiergate.api.people import People
from tiergate.api.seen import Seen
from tiergate.api.sessions import Sessions
from tiergate.api.settings import ControlSettings
from tiergate.api.sign_in import SignIn
from tiergate.api.taxii_events import Streams
from tiergate.clock import Clock
from tiergate.database import Commits, open_database
from tiergate.economics.claim_overrides import ClaimOverrides
from tiergate.errors import SettingsError
from tiergate.gateway.metering.limits import Limit
from tiergate.gateway.telemetry.scraping import Gateway
from tiergate.gateway.traffic.figures import Traffic
from tiergate.parties.registry import Registry
from tiergate.parties.tokens import load_or_create_pepper
from tiergate.response.contested import ContestedVerdicts
from tiergate.response.desk import CaseDesk
from tiergate.response.ladder import FILE, load_policy
from tiergate.response.sheets import Sheets
from tiergate.response.worklist import Worklist
from tiergate.sharing.peers import Peers
from tiergate.sharing.receiving import Receiving
from tiergate.sharing.store import DATABASE, SharedStore

KINDS: Final = (Appeal, Membership, CreditLine, Programme, Purpose, Limit)
"""What is kept in memory of what changes, for lists and sums."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """Everything a handler may use. ``public_url`` is the address, without a path, that browsers see."""

    settings: ControlSettings
    clock: Clock
    public_url: str
    engine: sa.Engine
    registry: Registry
    operators: Operators
    sessions: Sessions
    passkeys: Passkeys
    passwords: Passwords
    first_run: FirstRun
    audit: Audit
    people: People
    kept_answers: KeptAnswers
    changes: Changes
    activations: ActivationStore
    programmes: Programmes
    memberships: Memberships
    purposes: Purposes
    grants: Grants
    credits: Credits
    holders: Holders
    appeals: Appeals
    proposals: Proposals
    ownership: OwnershipDesk
    cases: Worklist
    sheets: Sheets
    sign_in: SignIn | None
    peers: Peers
    shared: SharedStore
    receiving: Receiving
    claim_overrides: ClaimOverrides
    streams: Streams
    standing: KeptUp
    seen: Seen
    traffic: Traffic
    gateway: Gateway | None

    @property
    def session_cookie(self) -> str:
        """Name of the cookie. The prefix `__Host-` makes browsers bind it to this host and to https."""
        return "__Host-tiergate" if self.secure else "tiergate"

    @property
    def secure(self) -> bool:
        """Whether browsers reach us by https."""
        return self.public_url.startswith("https:")


@contextmanager
def open_services(settings: ControlSettings, clock: Clock, address: str) -> Iterator[Services]:
    """Open a deployment for the API. ``address`` is where it listens, for links when no public URL is set.

    Raises `SettingsError` for a folder, database or pepper that cannot be used, or half a sign-in; `InputError` for a
    policy of response that is none. A policy that changes later counts from the next start.
    """
    if (settings.oidc_issuer is None) != (settings.oidc_client_id is None):
        raise SettingsError("sign-in needs both `oidc_issuer` and `oidc_client_id`")
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"cannot use the data folder `{settings.data}`: {error.strerror}") from error
    pepper = load_or_create_pepper(settings.data / "pepper")
    public_url = settings.public_url or address
    policy = load_policy(settings.data / FILE)
    with ExitStack() as stack:
        engine = open_database(settings.data / "control.sqlite")
        stack.callback(engine.dispose)
        sharing = open_database(settings.data / DATABASE)
        stack.callback(sharing.dispose)
        ownership = stack.enter_context(closing(OwnershipDesk(settings.data)))
        traffic = stack.enter_context(closing(Traffic(settings.data)))
        shared = SharedStore(sharing)
        commits = stack.enter_context(closing(Commits(settings.data / DATABASE)))
        cases = Worklist(CaseDesk(engine, policy), settings.data)
        sheets = stack.enter_context(closing(Sheets(settings.data, cases.answers)))
        operators, passwords = Operators(engine, pepper), Passwords(engine, pepper)
        yield Services(
            settings=settings,
            clock=clock,
            public_url=public_url,
            engine=engine,
            registry=Registry(engine, pepper),
            operators=operators,
            sessions=Sessions(engine, pepper),
            passkeys=Passkeys(engine, pepper, public_url),
            passwords=passwords,
            first_run=FirstRun(operators, passwords),
            audit=Audit(engine),
            people=People(engine),
            kept_answers=KeptAnswers(engine),
            changes=Changes(engine),
            activations=ActivationStore(engine),
            programmes=Programmes(engine),
            memberships=Memberships(engine),
            purposes=Purposes(engine),
            grants=Grants(engine),
            credits=Credits(engine),
            holders=Holders(engine),
            appeals=Appeals(engine, ContestedVerdicts(cases)),
            proposals=Proposals(engine),
            ownership=ownership,
            cases=cases,
            sheets=sheets,
            sign_in=None if settings.oidc_issuer is None else SignIn(engine, pepper, settings, public_url),
            peers=Peers(sharing, pepper),
            shared=shared,
            receiving=Receiving(shared),
            claim_overrides=ClaimOverrides(engine),
            streams=Streams(shared, commits),
            standing=KeptUp(engine, KINDS),
            seen=Seen(engine),
            traffic=traffic,
            gateway=_gateway(settings),
        )


def _gateway(settings: ControlSettings) -> Gateway | None:
    if settings.metrics_url is None:
        return None
    token = settings.metrics_token
    return Gateway(settings.metrics_url, None if token is None else token.get_secret_value())
