"""What every request must know, in memory: credentials by key hash, verdicts by account, models and standings.

Reading it costs a dictionary look-up. It is replaced as a whole, at most a second after the control database or
`models.toml` changed; if they cannot be read the last snapshot stays, so that a verdict never lapses by an outage.
`tiergate.admission.epochs` says when the classified tier closes for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from tiergate.admission.epochs import Counters
from tiergate.admission.holders import Proof
from tiergate.admission.known_facts import Standing
from tiergate.admission.models import FILE, Models, fingerprint, read_models
from tiergate.admission.standings import Known
from tiergate.database import Commits
from tiergate.errors import InputError
from tiergate.ledger.verdicts import Carried, Verdict, VerdictStore, applying
from tiergate.parties.registry import Credential, Registry, key_hash


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of the control database and of `models.toml`.

    ``verdicts`` in force by account, the strictest first; ``notices``: the same by their id. Where tiers are in
    force, ``standings`` of every credential by its id, and ``epochs``: a number that is another one whenever the
    models or that credential's standing changed. ``proofs``: second proofs by credential. ``listed``: the models as
    the file has them, and ``models`` with the packs that bind them. ``facts_epoch``: the number of the last change
    of admission that is in it. ``complaint``: why `models.toml` could not be taken over, None when it was;
    ``packs_complaint`` of rule packs.
    """

    pepper: bytes
    versions: Counters
    credentials: dict[str, Credential]
    verdicts: dict[str, tuple[Verdict, ...]]
    notices: dict[str, Verdict]
    models: Models = field(default_factory=lambda: Models({}))
    standings: dict[str, Standing] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    proofs: dict[str, Proof] = field(default_factory=dict)
    listed: Models = field(default_factory=lambda: Models({}))
    facts_epoch: int = 0
    number: int = 1
    complaint: str | None = None
    packs_complaint: str | None = None

    def reread(self) -> Snapshot:
        """The same, with its file to be read again whether or not it looks changed."""
        return replace(self, versions=(*self.versions[:2], -1, *self.versions[3:]))

    def credential(self, key: str | None) -> Credential | None:
        """The credential behind a presented key.

        The look-up is by a hash of the whole key, so its time says nothing about how much of a guess was right.
        """
        hashed = key_hash(key, self.pepper) if key else None
        return self.credentials.get(hashed) if hashed else None

    def verdict(self, account_id: str, now_us: int, carried: Carried = frozenset) -> Verdict | None:
        """The verdict in force for a request of an account, see `applying`; expiry is checked here, between refreshes
        too."""
        return applying(self.verdicts.get(account_id, ()), now_us, carried)


class Facts(Protocol):
    """What is known of who holds each credential: `tiergate.admission.standings.Standings`, or `Bare`."""

    def stored(self) -> tuple[int, ...]:
        """Counters that the control database holds."""

    def passed(self, now_us: int) -> tuple[int, ...]:
        """Numbers that change with time, and with what else is read."""

    def update(
        self, credentials: Mapping[str, Credential], listed: Models, now_us: int, touched: Iterable[Credential] | None
    ) -> Known: ...


class Bare:
    """Facts that know no more than the registry does: no second proof, no holder, no membership."""

    def stored(self) -> tuple[int, ...]:
        return ()

    def passed(self, _now_us: int) -> tuple[int, ...]:
        return ()

    def update(
        self, credentials: Mapping[str, Credential], listed: Models, _now_us: int, _touched: Iterable[Credential] | None
    ) -> Known:
        return Known(listed, bare_standings(credentials.values()), {}, None, 0)


def bare_standings(credentials: Iterable[Credential]) -> dict[str, Standing]:
    """Standings from the registry alone."""
    return {
        credential.credential_id: Standing(
            credential_id=credential.credential_id,
            credential_bound=False,
            credential_live=credential.revoked_at is None,
            organisation_id=credential.organization_id,
        )
        for credential in credentials
    }


class Counting:
    """Counters of which one differs whenever a snapshot would. Those of the control database are read again only after
    somebody committed to it. For one thread at a time."""

    def __init__(self, registry: Registry, store: VerdictStore, data: Path, facts: Facts, commits: Commits) -> None:
        self._registry, self._store, self._data, self._facts = registry, store, data, facts
        self._commits = commits
        self._mark: int | None = None
        self._stored: tuple[int, ...] = ()

    def read(self, now_us: int) -> Counters:
        # Before the counters: what is committed in between is then read twice, never missed.
        mark = self._commits.mark()
        if mark != self._mark:
            self._stored, self._mark = _stored(self._registry, self._store, self._facts), mark
        return _counters(self._stored, self._data, self._facts, now_us)


def _stored(registry: Registry, store: VerdictStore, facts: Facts) -> tuple[int, ...]:
    return registry.version(), store.version(), *facts.stored()


def _counters(stored: tuple[int, ...], data: Path | None, facts: Facts, now_us: int) -> Counters:
    credentials, verdicts, *known = stored
    file = None if data is None else fingerprint(data / FILE)
    return credentials, verdicts, file, *known, *facts.passed(now_us)


def load(
    registry: Registry,
    store: VerdictStore,
    now_us: int,
    current: Snapshot | None,
    data: Path | None = None,
    facts: Facts | None = None,
) -> Snapshot:
    """The present state, or ``current`` when nothing changed since. ``data`` is the folder with `models.toml`.

    A file that is wrong, gone or half written must neither open a tier nor keep a revocation from being obeyed: the
    models stay as they were, and the snapshot has a complaint. Raises `InputError` when there are none yet.
    """
    facts = facts or Bare()
    versions = _counters(_stored(registry, store, facts), data, facts, now_us)
    if current is not None and current.versions == versions:
        return current
    listed, complaint = _models(data, current)
    verdicts, notices = _verdicts(store, now_us, current, versions)
    credentials, touched = _credentials(registry, current, versions)
    number = 1 if current is None else current.number + 1
    kept = Snapshot(registry.pepper, versions, credentials, verdicts, notices, listed, number=number, listed=listed)
    # A file that asks nothing lists models that an active pack may bind all the same.
    if not listed.by_name:
        return replace(kept, complaint=complaint)
    # Facts that were not asked for the last snapshot missed what was touched then.
    asked_before = current is not None and bool(current.listed.by_name)
    known = facts.update(credentials, listed, now_us, touched if asked_before else None)
    models, held = known.models, known.standings
    epochs = dict.fromkeys(held, number)
    if current is not None and list(current.models.by_name.items()) == list(models.by_name.items()):
        models = current.models
        epochs = current.epochs | dict.fromkeys(known.changed or (), number)
        if known.changed is None:
            # What did not change stays the same object, so that its cached decisions still hold.
            epochs = dict.fromkeys(held, number)
            for name in held.keys() & current.standings.keys():
                if held[name] == current.standings[name]:
                    held[name], epochs[name] = current.standings[name], current.epochs[name]
    return replace(
        kept, models=models, standings=held, epochs=epochs, proofs=known.proofs, facts_epoch=known.epoch,
        complaint=complaint, packs_complaint=known.complaint,
    )  # fmt: skip


def _verdicts(
    store: VerdictStore, now_us: int, current: Snapshot | None, versions: Counters
) -> tuple[dict[str, tuple[Verdict, ...]], dict[str, Verdict]]:
    if current is not None and current.versions[1] == versions[1]:
        return current.verdicts, current.notices
    verdicts = store.every_in_force(now_us)
    return verdicts, {one.verdict_id: one for some in verdicts.values() for one in some}


def _credentials(
    registry: Registry, current: Snapshot | None, versions: Counters
) -> tuple[dict[str, Credential], Iterable[Credential] | None]:
    """Credentials by hash, and those that are new or changed; None for all."""
    if current is not None and current.versions[0] == versions[0]:
        return current.credentials, ()
    since = None if current is None or current.versions[0] is None else registry.credentials_since(current.versions[0])
    if current is None or since is None:
        return registry.credentials(), None
    return current.credentials | since, since.values()


def _models(data: Path | None, current: Snapshot | None) -> tuple[Models, str | None]:
    """Models that the file lists, the same object where nothing changed, and what is wrong with the file."""
    try:
        models = Models({}) if data is None else read_models(data / FILE)
    except InputError as error:
        if current is None:
            raise
        return current.listed, str(error)
    if current is None:
        return models, None
    # What an active pack asks ends with the pack, not with the row that it binds.
    lost = current.listed.tiers_in_force or not models.by_name.keys() >= current.models.asking
    if lost and not models.tiers_in_force:
        return current.listed, f"`{FILE}` tells no tiers apart any more: restart the gateway if that is meant"
    if current.listed.by_name and not models.by_name:  # as a file is for a moment that is written in place
        return current.listed, f"`{FILE}` lists no model any more: restart the gateway if that is meant"
    same = list(current.listed.by_name.items()) == list(models.by_name.items())
    return current.listed if same else models, None
