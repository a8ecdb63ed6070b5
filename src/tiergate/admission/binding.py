"""Which rule packs a model's row asks today: those that `models.toml` names, and those that are active and meet it.

A pack that is activated closes the models that it names, whatever the file says: the packs are added here, in memory.
A pack is asked by id and version (`june_order@1`), since a statement attests to one version's sentence.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from pathlib import Path

import msgspec

from tiergate.admission.activations import ActivationStore, ActivePack
from tiergate.admission.eligibility import PackVerdicts, judge
from tiergate.admission.known_facts import ModelFact, Verdict3
from tiergate.admission.models import Models
from tiergate.admission.ownership_facts import OwnershipFacts, facts_of, no_facts
from tiergate.admission.rule_packs import AppliesTo, RulePack, Standing, load_packs
from tiergate.database import Commits, open_database
from tiergate.errors import SettingsError
from tiergate.parties.facts import FactStore
from tiergate.parties.resolving import Verdict
from tiergate.parties.snapshot import NEVER

_SAID: dict[Verdict, Verdict3] = {Verdict.YES: "yes", Verdict.NO: "no", Verdict.NOT_KNOWN: "not_known"}


class Binding:
    """The packs on one day, as of one epoch of activations."""

    def __init__(self, packs: Mapping[tuple[str, int], RulePack], active: Iterable[ActivePack], day: date) -> None:
        self.packs = packs
        self.day = day
        self._active = {one.pack.id: one for one in active}

    def models(self, listed: Models) -> Models:
        """The models with every pack that binds them."""
        return Models({name: self._model(model) for name, model in listed.by_name.items()})

    def ownership_packs(self, models: Models) -> dict[str, ActivePack]:
        """Packs of ownership that some model asks, by the name under which it does."""
        asked = {name for model in models.by_name.values() for name in model.organisation_packs}
        found = {name: self._pack(name) for name in asked}
        return {name: one for name, one in found.items() if one is not None and one.pack.kind == "ownership"}

    def _model(self, model: ModelFact) -> ModelFact:
        own = AppliesTo(tiers=(model.tier,), models=(model.model,))
        binding = [
            one.pack
            for one in self._active.values()
            # What a text leaves open binds: it closes, and never opens.
            if one.standing(self.day) in (Standing.IN_FORCE, Standing.UNCONFIRMED) and one.pack.applies_to.meets(own)
        ]
        asked = {
            kind: tuple(dict.fromkeys([*map(self._named, listed), *(p.name for p in binding if p.kind == kind)]))
            for kind, listed in (("ownership", model.organisation_packs), ("person", model.person_packs))
        }
        return msgspec.structs.replace(model, organisation_packs=asked["ownership"], person_packs=asked["person"])

    def _named(self, name: str) -> str:
        one = self._pack(name)
        return name if one is None else one.pack.name

    def _pack(self, name: str) -> ActivePack | None:
        """What `models.toml` calls ``name``: the version it gives, else the active one, else the latest."""
        wanted, _, version = name.partition("@")
        active = self._active.get(wanted)
        if active is not None and version in ("", str(active.pack.version)):
            return active
        fitting = [pack for (one, number), pack in self.packs.items() if one == wanted and version in ("", str(number))]
        return ActivePack(fitting[-1]) if fitting else None


def binding_on(activations: ActivationStore, folder: Path | None, day: date) -> Binding:
    """What binds on ``day``. Raises `SettingsError` where the file of an active pack was changed."""
    packs = activations.with_kept(load_packs(folder))
    return Binding(packs, activations.active(packs, day), day)


def unknown_names(listed: Models, packs: Mapping[tuple[str, int], RulePack], programmes: Collection[str]) -> list[str]:
    """What `models.toml` names and is not there, each in a sentence. What is not there lets nobody pass."""
    kinds = {name: pack.kind for pack in packs.values() for name in (pack.id, pack.name)}
    said = []
    for model in listed.by_name.values():
        if model.programme is not None and model.programme not in programmes:
            said.append(f"`{model.model}` names the programme `{model.programme}`, which does not exist")
        for kind, names in (("ownership", model.organisation_packs), ("person", model.person_packs)):
            missing = [name for name in names if kinds.get(name) != kind]
            said += [f"`{model.model}` names the {kind} pack `{name}`, which does not exist" for name in missing]
    return said


class Ownership:
    """Verdicts on organisations, from the facts of parties in ``database`` if there are any. Judged once for a pack, a
    day, and a version of the facts as long as none of them begins or ends. For one thread at a time."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._commits: Commits | None = None
        self._file = (0, 0)
        """Which file they are of: it can be replaced by another one."""
        self._mark = self._stored = 0
        self._version = -1
        self._until_us = NEVER
        self._facts: OwnershipFacts = no_facts()
        self._judged: dict[tuple[str, bool, date], PackVerdicts] = {}

    def version(self) -> int:
        """A number that grows with the facts; 0 without any. It is read again only after a commit.

        Raises `SettingsError` when they cannot be opened.
        """
        try:
            found = self._database.stat()
        except FileNotFoundError:
            self.close()
            return 0
        try:
            return self._read_version((found.st_dev, found.st_ino))
        except sqlite3.Error as error:
            raise SettingsError(f"cannot open the facts of parties `{self._database}`: {error}") from error

    def close(self) -> None:
        """Let go of the database; it is opened again when it is asked."""
        if self._commits is not None:
            self._commits.close()
            self._commits = None

    def passed(self, now_us: int) -> bool:
        """Whether a fact that was read has begun or ended since."""
        return now_us >= self._until_us

    def judge(self, asked: Mapping[str, ActivePack], day: date, now_us: int) -> dict[str, PackVerdicts]:
        """Verdicts by the name under which a pack is asked."""
        version = self.version() if asked else self._version
        if version != self._version or (asked and self.passed(now_us)):
            self._facts, self._until_us = self._read(now_us)
            self._judged, self._version = {}, version
        keys = {name: (one.pack.fingerprint(), one.confirmed, day) for name, one in asked.items()}
        self._judged = {key: held for key, held in self._judged.items() if key in set(keys.values())}
        for name, one in asked.items():
            if keys[name] not in self._judged:
                self._judged[keys[name]] = judge(one, self._facts, day)
        return {name: self._judged[key] for name, key in keys.items()}

    def _read_version(self, file: tuple[int, int]) -> int:
        if self._commits is None or file != self._file:
            self.close()
            self._commits, self._file = Commits(self._database), file
            self._mark = -1
        # Before the version: what is committed in between is then read twice, never missed.
        mark = self._commits.mark()
        if mark != self._mark:
            engine = open_database(self._database)
            try:
                self._stored, self._mark = FactStore(engine).version(), mark
            finally:
                engine.dispose()
        return self._stored

    def _read(self, now_us: int) -> tuple[OwnershipFacts, int]:
        """The facts, and until when they hold."""
        if not self._database.is_file():
            return no_facts(), NEVER
        engine = open_database(self._database)
        try:
            snapshot = FactStore(engine).as_of(now_us)
            return facts_of(snapshot), snapshot.until_us
        finally:
            engine.dispose()


def verdict_on(verdicts: PackVerdicts, organisation: str) -> Verdict3:
    """What a pack says of an organisation, as decisions read it."""
    entity = verdicts.facts.number(organisation)
    if entity is not None:
        return _SAID[Verdict(int(verdicts.verdict[entity]))]
    return "not_known" if verdicts.resolution is not None else "no"
