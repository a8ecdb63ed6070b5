"""What is known of who holds each credential: standings, made of all stores at once and kept up change by change.

Everything is read by few queries and joined in memory. Afterwards only what changed is read, by the numbers of changes,
and only the credentials that it concerns are made anew; what is left stays the same object, so that decisions that rest
on it are kept. Classes are held for every version of a pack that somebody attested to, active or not, so that
activating a pack changes the models and nobody's standing.

What is doubtful is left out: an account of one organisation whose holder is another's has no organisation, a purpose's
code that two purposes of an organisation share stands for neither (their ids do), a grant whose purpose is not accepted
is for no purpose.
"""

from __future__ import annotations

import bisect
import gc
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa

from tiergate.admission.activations import ActivationStore, day_of
from tiergate.admission.binding import Binding, Ownership, binding_on, verdict_on
from tiergate.admission.changes import Changes
from tiergate.admission.grants import Grant, HolderKind
from tiergate.admission.holders import HeldIssuer, HeldStatement, Holder, Proof, statement_key, trusted
from tiergate.admission.known_facts import ClassFact, GrantFact, MembershipFact, PurposeFact, Standing, Verdict3
from tiergate.admission.models import Models, fingerprint
from tiergate.admission.person_classes import TrustedIssuer, person_class
from tiergate.admission.programmes import Programme
from tiergate.admission.purposes import Purpose
from tiergate.admission.rule_packs import RulePack
from tiergate.admission.standing import Membership, State
from tiergate.admission.wanted_facts import Told
from tiergate.errors import InputError, SettingsError
from tiergate.parties.registry import Credential

KINDS: Final = (Programme, Membership, Purpose, Grant, Holder, HeldStatement, HeldIssuer)
_NONE: Final[dict[str, ClassFact]] = {}
PARTIES: Final = "parties.sqlite"


class Known(NamedTuple):
    """What is known now. ``changed``: credentials whose standing is another one than before, None for all.
    ``epoch``: the number of the last change to anything of admission that is in it. ``complaint``: why the rule packs
    that are there now are not in force, and those before them are."""

    models: Models
    standings: dict[str, Standing]
    proofs: dict[str, Proof]
    changed: set[str] | None
    epoch: int
    complaint: str | None = None


class Standings:
    """Standings of a deployment, kept up. ``stored`` is for any thread, the others are for one at a time.

    :param packs: folder of rule packs of the operator's own.
    """

    def __init__(self, engine: sa.Engine, data: Path, packs: Path | None = None) -> None:
        self._changes = Changes(engine)
        self._activations = ActivationStore(engine)
        self._ownership = Ownership(data / PARTIES)
        self._packs = packs
        self._kept: Mapping[tuple[str, int], RulePack] | None = None
        self._complaint: str | None = None
        self._told = Told()
        self._state: _State | None = None

    def stored(self) -> tuple[int, ...]:
        """Counters of the control database. One of these or of `passed` differs whenever `update` would find
        something."""
        return self._changes.version(), self._activations.epoch()

    def passed(self, now_us: int) -> tuple[int, ...]:
        """Numbers that change with time, with the facts of parties and with the folder of packs."""
        due = bisect.bisect_right(self._state.due, now_us) if self._state else 0
        ownership = self._ownership.version(), self._ownership.passed(now_us)
        return *ownership, _folder_mark(self._packs), day_of(now_us).toordinal(), due

    def close(self) -> None:
        """Let go of the facts of parties."""
        self._ownership.close()

    def update(
        self, credentials: Mapping[str, Credential], listed: Models, now_us: int, touched: Iterable[Credential] | None
    ) -> Known:
        """What is known at ``now_us`` of ``credentials`` (by any key), under the models that the file lists.

        :param touched: credentials that are new or changed since the last call, None for all.
        """
        # Half an update would be neither the old state nor the new one: whatever fails, all is read again.
        state, self._state = self._state, None
        collecting = gc.isenabled()
        # Hundreds of thousands of facts are made at once and kept: looking for garbage among them takes longer than
        # making them.
        gc.disable()
        try:
            return self._updated(state, credentials, listed, now_us, touched)
        finally:
            if collecting:
                gc.enable()

    def _updated(
        self, state: _State | None, credentials: Mapping[str, Credential], listed: Models, now_us: int,
        touched: Iterable[Credential] | None,
    ) -> Known:  # fmt: skip
        binding = self._binding(day_of(now_us))
        models = binding.models(listed)
        verdicts = self._ownership.judge(binding.ownership_packs(models), binding.day, now_us)
        whole = state is None or touched is None
        if state is None or touched is None:
            state = _State(binding)
            touched = credentials.values()
        last, changes = self._changes.since(state.number, KINDS)
        state.take(changes)
        state.number = last
        state.meet(touched)
        state.bind(binding)
        barred = {organisation: {name: verdict_on(one, organisation) for name, one in verdicts.items()}
                  for organisation in state.organisations}  # fmt: skip
        wanted = {organisation: {name: self._told.of(verdicts[name], organisation)
                                 for name, verdict in barred[organisation].items() if verdict == "not_known"}
                  for organisation in sorted(barred)}  # fmt: skip
        changed = state.renew(barred, wanted, now_us)
        self._state = state
        made = None if whole else changed
        return Known(models, dict(state.standings), dict(state.proofs), made, last, self._complaint)

    def _binding(self, day: date) -> Binding:
        """What binds on ``day``. A pack that is wrong, changed or gone leaves the ones before it in force: what else
        changed meanwhile, such as a key that was revoked, must be obeyed all the same."""
        try:
            binding = binding_on(self._activations, self._packs, day)
        except (InputError, SettingsError, OSError) as error:
            if self._kept is None:
                raise
            self._complaint = str(error)
            return Binding(self._kept, self._activations.active(self._kept, day), day)
        self._kept, self._complaint = binding.packs, None
        return binding


def _folder_mark(folder: Path | None) -> int:
    """A number that changes with the files of a folder."""
    if folder is None or not folder.is_dir():
        return 0
    return hash(tuple(sorted((path.name, fingerprint(path)) for path in folder.glob("*.toml"))))


class _State:
    """All facts in memory, indexed by whom they concern."""

    def __init__(self, binding: Binding) -> None:
        self.number = 0
        self.organisations: set[str] = set()
        self._binding = binding
        self.standings: dict[str, Standing] = {}
        self.proofs: dict[str, Proof] = {}
        self.due: list[int] = []
        self._credentials: dict[str, Credential] = {}
        self._of_account: defaultdict[str, set[str]] = defaultdict(set)
        self._of_organisation: defaultdict[str, set[str]] = defaultdict(set)
        self._of_employer: defaultdict[str, set[str]] = defaultdict(set)
        self._of_person: defaultdict[str, set[str]] = defaultdict(set)
        self._of_workload: defaultdict[str, set[str]] = defaultdict(set)
        self._programmes: dict[str, Programme] = {}
        self._memberships: defaultdict[str, dict[str, Membership]] = defaultdict(dict)
        self._purposes: dict[str, Purpose] = {}
        self._purposes_of: defaultdict[str, dict[str, Purpose]] = defaultdict(dict)
        self._grants: defaultdict[tuple[str, str], dict[str, Grant]] = defaultdict(dict)
        self._revoked: defaultdict[tuple[str, str], dict[str, Grant]] = defaultdict(dict)
        self._holders: dict[tuple[str, str], Holder] = {}
        self._statements: defaultdict[str, dict[str, HeldStatement]] = defaultdict(dict)
        self._held_issuers: dict[str, HeldIssuer] = {}
        self._issuers: dict[str, TrustedIssuer] = {}
        self._barred: dict[str, dict[str, Verdict3]] = {}
        self._wanted: dict[str, dict[str, tuple[str, ...]]] = {}
        self._shared: dict[str, tuple[dict[str, PurposeFact], dict[str | None, tuple[MembershipFact, ...]]]] = {}
        self._classed: dict[str, tuple[str, dict[str, ClassFact]]] = {}
        self._stale: set[str] = set()
        self._all_stale = False

    def bind(self, binding: Binding) -> None:
        """Read statements by these packs."""
        if binding.packs != self._binding.packs:
            self._classed, self._all_stale = {}, True
        self._binding = binding

    def meet(self, credentials: Iterable[Credential]) -> None:
        """Take in credentials that are new or changed."""
        for one in credentials:
            self._credentials[one.credential_id] = one
            self._of_account[one.account_id].add(one.credential_id)
            self._stale.add(one.credential_id)
            if one.organization_id is not None:
                self.organisations.add(one.organization_id)

    def take(self, changes: Iterable[msgspec.Struct]) -> None:
        """Take over changed states, and note whom they concern."""
        for one in changes:
            if isinstance(one, Holder):
                self._holders[one.subject, one.subject_id] = one
                self.organisations |= {one.organisation_id, one.employer_id or one.organisation_id}
                self._stale |= self._of_account[one.subject_id] if one.subject == "account" else {one.subject_id}
            elif isinstance(one, HeldStatement):
                person = one.signed.statement.subject
                self._statements[person][statement_key(one.signed)] = one
                self._classed.pop(person, None)
                self._stale |= self._of_person[person]
            elif isinstance(one, Grant):
                held = self._grants[one.holder_kind.value, one.holder_id]
                if one.revoked_at_us is None:
                    held[one.grant_id] = one
                else:
                    held.pop(one.grant_id, None)
                    self._revoked[one.holder_kind.value, one.holder_id][one.membership_id] = one
                persons = one.holder_kind is HolderKind.PERSON
                self._stale |= (self._of_person if persons else self._of_workload)[one.holder_id]
            elif isinstance(one, Membership):
                self._memberships[one.organisation_id][one.membership_id] = one
                self._touch_organisation(one.organisation_id)
            elif isinstance(one, Purpose):
                self._purposes[one.purpose_id] = self._purposes_of[one.organisation_id][one.purpose_id] = one
                self._touch_organisation(one.organisation_id)
            elif isinstance(one, Programme):
                self._programmes[one.programme_id] = one
                self._shared, self._all_stale = {}, True
            elif isinstance(one, HeldIssuer):
                self._held_issuers[one.issuer.issuer] = one
                self._issuers = trusted(list(self._held_issuers.values()))
                self._classed, self._all_stale = {}, True

    def renew(
        self, barred: dict[str, dict[str, Verdict3]], wanted: dict[str, dict[str, tuple[str, ...]]], now_us: int
    ) -> set[str]:
        """Make standings anew where they may have changed; returns those that did."""
        for organisation, said in barred.items():
            if (self._barred.get(organisation), self._wanted.get(organisation)) != (said, wanted[organisation]):
                self._barred[organisation], self._wanted[organisation] = said, wanted[organisation]
                self._stale |= self._of_organisation[organisation] | self._of_employer[organisation]
        if self.due and self.due[0] <= now_us:
            # A time at which some fact changes by itself.
            self._shared, self._classed, self.due, self._all_stale = {}, {}, [], True
        stale = self._credentials.keys() if self._all_stale else self._stale & self._credentials.keys()
        changed = set()
        for name in stale:
            made = self._standing(self._credentials[name], now_us)
            if self.standings.get(name) != made:
                self.standings[name] = made
                changed.add(name)
        self._stale, self._all_stale = set(), False
        self.due = sorted(set(self.due))
        return changed

    def _touch_organisation(self, organisation: str) -> None:
        self._shared.pop(organisation, None)
        self._stale |= self._of_organisation[organisation]

    def _standing(self, credential: Credential, now_us: int) -> Standing:
        name, live = credential.credential_id, credential.revoked_at is None
        holder = self._holders.get(("credential", name)) or self._holders.get(("account", credential.account_id))
        if holder is None:
            self.proofs.pop(name, None)
            organisation = credential.organization_id
            if organisation is not None:
                self._of_organisation[organisation].add(name)
            return Standing(
                credential_id=name,
                credential_bound=False,
                credential_live=live,
                organisation_id=organisation,
                organisation_verdicts=self._barred.get(organisation or "", {}),
                ownership_wanted=self._wanted.get(organisation or "", {}),
            )
        self._index(name, holder)
        # An account stands with one organisation; a holder of another must not borrow its membership.
        agreed = credential.organization_id in (None, holder.organisation_id)
        organisation = holder.organisation_id if agreed else None
        purposes, memberships = self._of(organisation, now_us)
        grants = self._granted(holder, organisation, now_us)
        return Standing(
            credential_id=name,
            credential_bound=False,
            credential_live=live,
            organisation_id=organisation,
            person_id=holder.person_id,
            workload_id=holder.workload_id,
            employer_id=holder.employer_id,
            memberships=memberships.get(None, ()) + (memberships.get(holder.person_id, ()) if holder.person_id else ()),
            organisation_verdicts=self._barred.get(organisation or "", {}),
            employer_verdicts=self._barred.get(holder.employer_id or "", {}),
            person_classes=self._classes(holder, now_us),
            purposes=purposes,
            grants=grants,
            retention=holder.retention,
            ownership_wanted=self._wanted.get(organisation or "", {}),
            revoked=self._ended(holder, organisation, {one.programme for one in grants}),
        )

    def _index(self, name: str, holder: Holder) -> None:
        # Entries of an earlier holder stay: they only make a standing anew that did not change.
        self._of_organisation[holder.organisation_id].add(name)
        if holder.employer_id is not None:
            self._of_employer[holder.employer_id].add(name)
        if holder.person_id is not None:
            self._of_person[holder.person_id].add(name)
        if holder.workload_id is not None:
            self._of_workload[holder.workload_id].add(name)
        if holder.proof is not None:
            self.proofs[name] = holder.proof
        else:
            self.proofs.pop(name, None)

    def _of(
        self, organisation: str | None, now_us: int
    ) -> tuple[dict[str, PurposeFact], dict[str | None, tuple[MembershipFact, ...]]]:
        """Purposes of an organisation, and its memberships by the person they are for; None is for all."""
        if organisation is None:
            return {}, {}
        held = self._shared.get(organisation)
        if held is None:
            members: defaultdict[str | None, list[MembershipFact]] = defaultdict(list)
            for one in self._memberships.get(organisation, {}).values():
                fact = self._membership(one, now_us)
                if fact is not None:
                    members[one.person_id].append(fact)
            held = self._declared(organisation, now_us), {person: tuple(facts) for person, facts in members.items()}
            self._shared[organisation] = held
        return held

    def _membership(self, one: Membership, now_us: int) -> MembershipFact | None:
        programme = self._programmes.get(one.programme_id)
        if programme is None or one.state in (State.REFUSED, State.ENDED):
            # A later application of the same organisation must not be judged by what was refused before it.
            return None
        due = programme.acceptance_due_us(one.terms_version, now_us)
        times = [terms.published_at_us for terms in programme.terms] + ([] if due is None else [due])
        self.due += [time for time in times if time > now_us]
        accepted = due is None or now_us < due
        return MembershipFact(programme=one.programme_id, state=one.state.value, terms_accepted=accepted)

    def _declared(self, organisation: str, now_us: int) -> dict[str, PurposeFact]:
        made: dict[str, PurposeFact] = {}
        codes: defaultdict[str, list[str]] = defaultdict(list)
        for one in self._purposes_of.get(organisation, {}).values():
            if one.accepted_by is None or one.withdrawn_at_us is not None:
                continue
            ends = max((held.expires_at_us for held in one.evidence), default=now_us) if one.needs_evidence else None
            assets = tuple(asset.value for asset in one.assets)
            made[one.purpose_id] = PurposeFact(assets=assets, asset_needed=one.needs_evidence, ends_us=ends)
            codes[one.code].append(one.purpose_id)
        for code, ids in codes.items():
            if len(ids) == 1:
                made[code] = made[ids[0]]
        return made

    def _ended(self, holder: Holder, organisation: str | None, held: set[str]) -> dict[str, str]:
        """The revoked grant of each programme from which the holder has none now."""
        ended = {}
        for one in self._revoked.get(_of_holder(holder), {}).values():
            membership = self._memberships.get(one.organisation_id, {}).get(one.membership_id)
            if one.organisation_id == organisation and membership is not None and membership.programme_id not in held:
                ended[membership.programme_id] = one.grant_id
        return ended

    def _granted(self, holder: Holder, organisation: str | None, now_us: int) -> tuple[GrantFact, ...]:
        return tuple(
            fact
            for one in self._grants.get(_of_holder(holder), {}).values()
            if one.organisation_id == organisation and (fact := self._grant(one, holder, now_us)) is not None
        )

    def _grant(self, one: Grant, holder: Holder, now_us: int) -> GrantFact | None:
        membership = self._memberships.get(one.organisation_id, {}).get(one.membership_id)
        judged = None if membership is None else self._membership(membership, now_us)
        if membership is None or judged is None:
            return None
        # Another person's membership is not among those that the gates read: nothing rests on it unless it admits.
        if membership.person_id not in (None, holder.person_id) and not (
            judged.state == State.ACTIVE and judged.terms_accepted
        ):
            return None
        purpose = self._purposes.get(one.purpose_id)
        accepted = purpose is not None and purpose.accepted_by is not None and purpose.withdrawn_at_us is None
        person = one.holder_kind is HolderKind.PERSON
        return GrantFact(
            grant_id=one.grant_id,
            programme=membership.programme_id,
            person_id=one.holder_id if person else None,
            workload_id=None if person else one.holder_id,
            project=one.project,
            models=(one.model,),
            surfaces=(one.surface.value,),
            purposes=(purpose.code, purpose.purpose_id) if purpose is not None and accepted else (),
            starts_us=one.from_us,
            ends_us=one.to_us,
            credit_line=one.line_id,
        )

    def _classes(self, holder: Holder, now_us: int) -> dict[str, ClassFact]:
        person, employer = holder.person_id, holder.employer_id
        held = self._statements.get(person) if person else None
        if not held or person is None or employer is None:
            return _NONE
        known = self._classed.get(person)
        if known is None or known[0] != employer:
            known = self._classed[person] = employer, self._class_facts(held, person, employer, now_us)
        return known[1]

    def _class_facts(
        self, held: dict[str, HeldStatement], person: str, employer: str, now_us: int
    ) -> dict[str, ClassFact]:
        by_pack: defaultdict[tuple[str, int], list[HeldStatement]] = defaultdict(list)
        for one in held.values():
            issuer = self._issuers.get(one.signed.statement.issuer)
            if issuer is not None and issuer.public_key == one.public_key:
                by_pack[one.signed.statement.pack, one.signed.statement.pack_version].append(one)
        made = {}
        for version, statements in by_pack.items():
            pack = self._binding.packs.get(version)
            if pack is None:
                continue
            said = person_class(
                [one.signed for one in statements], pack=pack, subject=person, employer=employer,
                issuers=self._issuers, now_us=now_us, signature_checked=True,
            )  # fmt: skip
            if said.value is not None and said.expires_at is not None and said.issuer is not None:
                made[pack.name] = ClassFact(value=said.value, issuer=said.issuer, expires_at_us=said.expires_at)
        return made


def _of_holder(holder: Holder) -> tuple[str, str]:
    return ("workload", holder.workload_id) if holder.workload_id else ("person", holder.person_id or "")
