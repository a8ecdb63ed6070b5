"""The June drill in a sandbox: who keeps and who loses two models if an order like that of 12 June 2026 came now.

In a copy of the deployment's admission state the order is activated for two models, everybody is judged anew by the
policies, and the order is deactivated again. Requests are put as the holders' own grants have them, with the second
proof that is on file. No nationality is held anywhere: what decides is the class that an issuer attested.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Final, Literal

import msgspec
import sqlalchemy as sa

from tiergate.admission.activations import ActivationStore, day_of
from tiergate.admission.changes import Changes
from tiergate.admission.credits import Credits
from tiergate.admission.engine import Engine
from tiergate.admission.holders import HeldStatement, statement_key
from tiergate.admission.known_facts import ModelFact, RequestFact
from tiergate.admission.known_facts import Standing as Known
from tiergate.admission.models import FILE as MODELS
from tiergate.admission.models import Models, read_models
from tiergate.admission.rule_packs import AppliesTo, Period, RulePack, Standing, load_packs, standing
from tiergate.admission.sandbox import CONTROL, sandbox
from tiergate.admission.standings import Standings
from tiergate.database import open_database
from tiergate.errors import InputError
from tiergate.parties.registry import Credential, read_credentials

ORDER: Final = "june_order"
AUTHOR: Final = "drill"
NAMES: Final = ("drill, first name", "drill, second name")
MOST_ROWS: Final = 10_000
ClassOnFile = Literal["eligible", "ineligible", "expired", "none"]


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """One holder's access to one model: outcomes (`allow`, `deny`, `review`) before the order, under it, and after it
    was lifted. ``subject``: a person's or workload's content-free id, or the account where nobody is named.
    ``attested``: their class on file under the order. ``reasons``: why not, under the order."""

    subject: str
    organisation: str | None
    model: str
    attested: ClassOnFile
    before: str
    during: str
    after: str
    reasons: tuple[str, ...]

    @property
    def loses(self) -> bool:
        return self.before == "allow" and self.during != "allow"


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """How many holders of one class fared alike with one model. ``reasons``: why not, under the order."""

    model: str
    attested: ClassOnFile
    before: str
    during: str
    after: str
    reasons: tuple[str, ...]
    holders: int


class Drill(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a drill. ``rows``: those who lose access first, at most `MOST_ROWS`; ``rows_in_all`` says how many
    there are. ``carried``: statements of an earlier version of the order that were taken to hold for the drill's;
    in earnest they would have to be signed anew. ``restored``: after lifting, everybody stood exactly as before.
    Times in microseconds since the epoch, spans in seconds."""

    pack: str
    models: tuple[str, ...]
    at_us: int
    epoch: int
    credentials: int
    carried: int
    keeps: int
    loses: int
    had_none: int
    restored: bool
    copy_s: float
    flip_s: float
    lift_s: float
    groups: list[Group]
    rows: list[Access]
    rows_in_all: int


def drill(data: Path, models: Sequence[str], now_us: int, *, packs: Path | None = None) -> Drill:
    """Run the drill over a copy of ``data`` for ``models``, or for those of `proposed_models` where none are given.

    :param packs: folder of rule packs of the operator's own.
    Raises `InputError` without a deployment, or for a model that its `models.toml` does not list.
    """
    began = time.monotonic()
    with sandbox(data) as folder:
        copied = time.monotonic()
        engine = open_database(folder / CONTROL)
        try:
            return _Drill(folder, engine, models, now_us, packs).run(copied - began)
        finally:
            engine.dispose()


def proposed_models(listed: Models) -> tuple[str, ...]:
    """The two models that a drill closes unless told otherwise: the order's own names, else the closed tier's first."""
    named = [name for name in _order(load_packs()).applies_to.models if name in listed.by_name]
    closed = [name for name, one in listed.by_name.items() if one.tier == "classified"]
    others = [name for name, one in listed.by_name.items() if one.tier == "commodity"]
    return tuple(dict.fromkeys([*named, *closed, *others]))[:2]


class _Drill:
    def __init__(self, folder: Path, engine: sa.Engine, models: Sequence[str], now_us: int, packs: Path | None) -> None:
        self._engine, self._now_us, self._folder, self._packs = engine, now_us, folder, packs
        self._listed = read_models(folder / MODELS)
        self._models = tuple(models) or proposed_models(self._listed)
        unknown = [name for name in self._models if name not in self._listed.by_name]
        if unknown or not self._models:
            raise InputError(
                f"`models.toml` lists no model `{unknown[0]}`: name two that it has"
                if unknown
                else "the drill closes models, and `models.toml` lists none: see docs/decisions.md"
            )
        self._store = ActivationStore(engine)
        self._policies = Engine()
        self._judged: dict[bytes, tuple[str, tuple[str, ...]]] = {}
        self._paid = {line_id for line_id, held in Credits(engine).balances().items()
                      if held.available > 0 and not held.closed}  # fmt: skip

    def run(self, copy_s: float) -> Drill:
        credentials = {
            key: one for key, one in read_credentials(self._engine).items()
            if one.revoked_at is None and one.account_status == "active"
        }  # fmt: skip
        pack = self._pack()
        carried, classes = self._carry(pack)
        with closing(Standings(self._engine, self._folder, self._packs)) as standings:
            known = standings.update(credentials, self._listed, self._now_us, None)
            before = self._everybody(known.models, known.standings, known.proofs.keys(), credentials.values())
            flipping = time.monotonic()
            epoch = self._record(pack, "activate")
            known = standings.update(credentials, self._listed, self._now_us, ())
            flip_s = time.monotonic() - flipping
            during = self._everybody(known.models, known.standings, known.proofs.keys(), credentials.values())
            lifting = time.monotonic()
            self._record(pack, "deactivate")
            known = standings.update(credentials, self._listed, self._now_us, ())
            lift_s = time.monotonic() - lifting
            after = self._everybody(known.models, known.standings, known.proofs.keys(), credentials.values())
        rows = [
            Access(
                subject=subject, organisation=organisation, model=model, attested=classes.get(subject, "none"),
                before=said[0], during=during[who][0], after=after[who][0],
                reasons=() if during[who][0] == "allow" else during[who][1],
            )
            for who, said in before.items() for subject, organisation, model in (who,)
        ]  # fmt: skip
        rows.sort(key=lambda row: (not row.loses, row.before != "allow", row.model, row.subject))
        groups = Counter((one.model, one.attested, one.before, one.during, one.after, one.reasons) for one in rows)
        names = ("model", "attested", "before", "during", "after", "reasons")
        return Drill(
            pack=pack.name,
            models=self._models,
            at_us=self._now_us,
            epoch=epoch,
            credentials=len(credentials),
            carried=carried,
            keeps=sum(row.before == "allow" and row.during == "allow" for row in rows),
            loses=sum(row.loses for row in rows),
            had_none=sum(row.before != "allow" for row in rows),
            restored=before == after,
            copy_s=round(copy_s, 3),
            flip_s=round(flip_s, 3),
            lift_s=round(lift_s, 3),
            groups=[msgspec.convert(dict(zip(names, key, strict=True)) | {"holders": count}, Group)
                    for key, count in sorted(groups.items(), key=lambda item: (item[0][0], -item[1], item[0]))],
            rows=rows[:MOST_ROWS],
            rows_in_all=len(rows),
        )  # fmt: skip

    def _pack(self) -> RulePack:
        """The order for the drill's models from today on: the newest version where it is just that, else a further
        one, which only the sandbox ever sees."""
        known = self._store.with_kept(load_packs(self._packs))
        newest, today = _order(known), day_of(self._now_us)
        if standing(newest, today) is Standing.IN_FORCE and set(newest.applies_to.models) == set(self._models):
            return newest
        return msgspec.structs.replace(
            newest,
            version=newest.version + 1,
            applies_to=AppliesTo(tiers=newest.applies_to.tiers, models=self._models),
            periods=(Period(status="in_force", valid_from=date.min),),
        )

    def _carry(self, pack: RulePack) -> tuple[int, dict[str, ClassOnFile]]:
        """Let what is attested under the newest version of the order count for the drill's; how many statements that
        were, and the class of each person."""
        changes, newest = Changes(self._engine), dict[tuple[str, str, str], HeldStatement]()
        for held in changes.every(HeldStatement):
            told = held.signed.statement
            if told.pack == pack.id:
                key = (told.subject, told.employer, told.issuer)
                before = newest.get(key)
                if before is None or before.signed.statement.pack_version < told.pack_version:
                    newest[key] = held
        classes: dict[str, ClassOnFile] = {}
        for held in newest.values():
            told = held.signed.statement
            said: ClassOnFile = told.value if told.expires_at > self._now_us else "expired"
            # Where issuers differ, ineligible counts; see `person_classes`.
            rank = ("none", "expired", "eligible", "ineligible")
            classes[told.subject] = max(classes.get(told.subject, "none"), said, key=rank.index)
        carried = [_for_version(held, pack.version) for held in newest.values()
                   if held.signed.statement.pack_version != pack.version]  # fmt: skip
        with changes.writing(AUTHOR, self._now_us) as writing:
            writing.put_all([(statement_key(one.signed), one) for one in carried], "attest")
        return len(carried), classes

    def _record(self, pack: RulePack, action: Literal["activate", "deactivate"]) -> int:
        row = self._store.record(
            pack, action, day=day_of(self._now_us), names=NAMES, reason="June drill", now_us=self._now_us
        )
        return row.epoch

    def _everybody(
        self, models: Models, standings: Mapping[str, Known], bound: Iterable[str], credentials: Iterable[Credential]
    ) -> dict[tuple[str, str | None, str], tuple[str, tuple[str, ...]]]:
        """Outcome and reasons by holder, organisation and model: the best of their keys and grants."""
        bound, found = set(bound), dict[tuple[str, str | None, str], tuple[str, tuple[str, ...]]]()
        for credential in credentials:
            known = standings[credential.credential_id]
            known = msgspec.structs.replace(known, credential_bound=credential.credential_id in bound)
            subject = known.workload_id or known.person_id or credential.account_id
            for name in self._models:
                model = models.by_name[name]
                who = (subject, known.organisation_id, name)
                for request in self._requests(known, model):
                    said = self._judge(known, model, request)
                    held = found.get(who)
                    if held is None or (held[0] != "allow" and said[0] == "allow"):
                        found[who] = said
        return found

    def _requests(self, known: Known, model: ModelFact) -> Iterator[RequestFact]:
        plain = RequestFact(model=model.model, surface="chat", now_us=self._now_us, account="allowed", current=True)
        grants = [one for one in known.grants if model.model in one.models and one.programme == model.programme]
        if model.tier != "classified" or not grants:
            yield plain
            return
        for one in grants:
            purpose = next(iter(one.purposes), None)
            covered = known.purposes.get(purpose or "")
            yield msgspec.structs.replace(
                plain, surface=one.surfaces[0], project=one.project, purpose=purpose,
                asset=covered.assets[0] if covered is not None and covered.assets else None,
                credit_available=None if one.credit_line is None else one.credit_line in self._paid,
            )  # fmt: skip

    def _judge(self, known: Known, model: ModelFact, request: RequestFact) -> tuple[str, tuple[str, ...]]:
        """What the policies say, asked once for all who stand alike but for their names."""
        alike = _nameless(known)
        key = msgspec.msgpack.encode((alike, model, request))
        said = self._judged.get(key)
        if said is None:
            decision = self._policies.decide(alike, model, request)
            said = decision.outcome.value, tuple(reason.code for reason in decision.reasons)
            self._judged[key] = said
        return said


def _nameless(known: Known) -> Known:
    """A standing with a stand-in for each name of its own holder."""
    grants = tuple(
        msgspec.structs.replace(
            one, grant_id=str(place), person_id=_stand_in(one.person_id, known.person_id, "person"),
            workload_id=_stand_in(one.workload_id, known.workload_id, "workload"),
        )
        for place, one in enumerate(known.grants)
    )  # fmt: skip
    return msgspec.structs.replace(
        known, credential_id="credential", grants=grants,
        person_id=_stand_in(known.person_id, known.person_id, "person"),
        workload_id=_stand_in(known.workload_id, known.workload_id, "workload"),
        revoked=dict.fromkeys(known.revoked, "grant"),
    )  # fmt: skip


def _stand_in(named: str | None, own: str | None, name: str) -> str | None:
    return name if named is not None and named == own else named


def _for_version(held: HeldStatement, version: int) -> HeldStatement:
    told = msgspec.structs.replace(held.signed.statement, pack_version=version)
    return msgspec.structs.replace(held, signed=msgspec.structs.replace(held.signed, statement=told))


def _order(known: Mapping[tuple[str, int], RulePack]) -> RulePack:
    return max((pack for (name, _), pack in known.items() if name == ORDER), key=lambda pack: pack.version)
