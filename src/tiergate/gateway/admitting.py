"""Who is let through: key, account, verdicts and tiers, for whichever door a request comes to.

The gateway asks it before an upstream is asked; the authorizer, for gateways of others.
"""

from __future__ import annotations

from contextlib import suppress

from tiergate.admission.decision import Decision, admit
from tiergate.admission.engine import TierDecision
from tiergate.clock import Clock
from tiergate.errors import LedgerError
from tiergate.gateway.calls import Call
from tiergate.gateway.charging import Charge
from tiergate.gateway.classified import ClassifiedTier
from tiergate.gateway.dialects.common import Asked
from tiergate.gateway.dialects.errors import error_body
from tiergate.gateway.limits import SharedBudgets, has_budget
from tiergate.gateway.replies import Send, refuse, reply
from tiergate.gateway.routing.candidates import Candidate
from tiergate.gateway.routing.requirements import Exclusion
from tiergate.gateway.snapshot import Snapshot
from tiergate.gateway.tiers import NOT_LISTED_DECISION, Ruling, TierGate, details_of, message_of, status_of
from tiergate.ledger.marks import marks_of
from tiergate.ledger.row_sketches import RowSketcher
from tiergate.ledger.verdicts import Action, Carried, Verdict
from tiergate.parties.registry import Credential
from tiergate.settings import Dialect


class _Marks:
    """The marks of a request, found when a verdict first asks for them; None where it is not known what it asks."""

    __slots__ = ("_asked", "_found", "_sketcher")

    def __init__(self, sketcher: RowSketcher, asked: Asked | None) -> None:
        self._sketcher, self._asked = sketcher, asked
        self._found: frozenset[str] | None = None

    def __call__(self) -> frozenset[str] | None:
        if self._found is None and self._asked is not None:
            texts = self._asked.system_text, self._asked.prompt_text
            self._found = marks_of(*self._sketcher.sketch([texts]))
        return self._found


class Admission:
    """Decides by a snapshot of the control database that `snapshot` holds and its owner replaces."""

    def __init__(
        self, snapshot: Snapshot, clock: Clock, public_url: str, tiers: TierGate, classified: ClassifiedTier,
        budgets: SharedBudgets, sketcher: RowSketcher,
    ) -> None:  # fmt: skip
        self.snapshot = snapshot
        self.tiers = tiers
        self._clock = clock
        self._public_url = public_url
        self._classified = classified
        self._budgets = budgets
        self._sketcher = sketcher

    def live(self, key: str | None) -> Credential | None:
        """The credential behind a key, None for an unknown or revoked one."""
        credential = self.snapshot.credential(key)
        return None if credential is None or credential.revoked_at is not None else credential

    def account(self, credential: Credential) -> Decision:
        """The decision on an account that asks no model, and spends nothing of a case's budget."""
        return admit(credential, self._verdict(credential), case_wait_s=0)

    async def request(
        self, key: str | None, credential: Credential, asked: Asked | None, *, summarises: bool = True
    ) -> Decision:
        """The decision on an account that asks a model: one of a limited case takes a request of its budget.

        :param key: what the credential was presented as. ``asked``: None where that is not known: then every verdict
            on the account is for it. ``summarises``: whether answers can be summarised here; where they cannot, a
            request whose answer should be spends nothing.
        """
        carried = _Marks(self._sketcher, asked)
        verdict = self._verdict(credential, carried)
        # A closed account is refused anyway: it must not use up the budget of the others.
        if verdict is None or not has_budget(verdict) or credential.account_status != "active":
            return admit(credential, verdict)
        if verdict.action is Action.SUMMARISE and not summarises:
            return admit(credential, verdict, case_wait_s=0)
        wait_s = await self._budgets.wait_s(verdict)
        # Whoever waits for the database must not pass by what was known before.
        now = self.live(key)
        return admit(now, None if now is None else self._verdict(now, carried), case_wait_s=wait_s)

    def notice_header(self, verdict: Verdict) -> tuple[bytes, bytes]:
        """The header of an answer that a verdict changed."""
        return b"x-tiergate-notice", self._link(verdict).encode()

    def _link(self, verdict: Verdict) -> str:
        return f"{self._public_url}/verdicts/{verdict.verdict_id}"

    def _verdict(self, credential: Credential, carried: Carried = frozenset) -> Verdict | None:
        return self.snapshot.verdict(credential.account_id, self._clock.now_us(), carried)

    def barred(
        self, candidates: tuple[Candidate, ...], credential: Credential, headers: dict[bytes, bytes], code: str,
        certificate: str | None,
    ) -> dict[str, Exclusion]:  # fmt: skip
        """Candidates that the caller is not admitted to, with the first gate that failed."""
        snapshot, now_us = self.snapshot, self._clock.now_us()
        if not snapshot.models.tiers_in_force:
            return {}
        barred = {}
        for one in candidates:
            listed = snapshot.models.by_name.get(one.name)
            if listed is not None and (listed.tier != one.tier or one.tier == "classified"):
                # models.toml changed since the routes were read, and they could not be read again.
                barred[one.name] = Exclusion("tier_changed", "its tier is another one than its group was made with")
                continue
            made = self.tiers.decide(
                snapshot, credential, one.name, headers, code, now_us, certificate=certificate, credit=None
            )
            if made is not None and not made.allowed:
                gate = made.reasons[0].gate
                barred[one.name] = Exclusion(gate.code, gate.text)
        return barred

    async def tier(
        self, call: Call, credential: Credential, asked: Asked, name: str, headers: dict[bytes, bytes], code: str,
        body: bytes,
    ) -> tuple[TierDecision, Charge | None]:  # fmt: skip
        """The tier's decision on the model ``name``; for the classified tier it is on record, and paid for.

        Raises `LedgerError` when it cannot be recorded: then nothing may be answered.
        """
        certificate = call.caller.client_certificate
        model = self.snapshot.models.by_name.get(name)
        if model is None:
            return NOT_LISTED_DECISION, None
        at_first = model

        def judge(credit: bool | None) -> Ruling:
            # By the facts of this moment, which may have changed since the request came.
            snapshot, now_us = self.snapshot, self._clock.now_us()
            listed = snapshot.models.by_name.get(name, at_first)
            return self.tiers.rule(
                snapshot, credential, listed, headers, code, now_us, certificate=certificate, credit=credit
            )

        if model.tier != "classified":
            return judge(None).decision, None
        admitted = await self._classified.decide(judge, asked, body, call.exchange_id, call.started_us)
        call.headers.append((b"x-tiergate-decision-id", admitted.decision_id.encode()))
        return admitted.decision, admitted.charge

    async def refuse_account(self, call: Call | None, dialect: Dialect, decision: Decision, send: Send) -> None:
        """Answer with a refusal of an account, on record where there is a ``call``.

        It holds without its record, unlike an answer: nothing was given away.
        """
        if call is not None:
            with suppress(LedgerError):
                await call.record(decision.status, finish_reason=decision.code)
        link = self._link(decision.verdict) if decision.verdict else None
        await refuse(send, dialect, decision, link, *([] if call is None else [call.id_header]))

    async def refuse_tier(self, call: Call, tier: TierDecision, send: Send) -> None:
        """Record a refusal by a tier's gates, and answer with it."""
        status, code = status_of(tier), tier.reasons[0].code
        with suppress(LedgerError):
            await call.record(status, finish_reason=code)
        headers = [*call.headers]
        if tier.fallback is not None:
            headers.append((b"x-tiergate-fallback", tier.fallback.encode()))
        if status == 503:
            headers.append((b"retry-after", b"1"))
        details = details_of(tier, self._public_url)
        await reply(send, status, error_body(call.surface.dialect, status, code, message_of(tier), **details), headers)
