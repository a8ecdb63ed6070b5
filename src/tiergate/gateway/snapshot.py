"""What every request must know, in memory: credentials by key hash, verdicts by account, models and standings.

Reading it costs a dictionary look-up. It is replaced as a whole, at most a second after the control database or
`models.toml` changed; if they cannot be read the last snapshot stays, so that a verdict never lapses by an outage.
`tiergate.admission.epochs` says when the classified tier closes for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tiergate.admission.epochs import Counters
from tiergate.admission.known_facts import Standing
from tiergate.admission.models import FILE, Models, fingerprint, read_models
from tiergate.errors import InputError
from tiergate.ledger.verdicts import Verdict, VerdictStore
from tiergate.parties.registry import Credential, Registry, key_hash


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of the control database and of `models.toml`.

    ``notices``: verdicts in force by their id. Where tiers are in force, ``standings`` of every credential by its id,
    and ``epochs``: a number that is another one whenever the models or that credential's standing changed.
    ``complaint``: why `models.toml` could not be taken over, None when it was.
    """

    pepper: bytes
    versions: Counters
    credentials: dict[str, Credential]
    verdicts: dict[str, Verdict]
    notices: dict[str, Verdict]
    models: Models = field(default_factory=lambda: Models({}))
    standings: dict[str, Standing] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    number: int = 1
    complaint: str | None = None

    def credential(self, key: str | None) -> Credential | None:
        """The credential behind a presented key.

        The look-up is by a hash of the whole key, so its time says nothing about how much of a guess was right.
        """
        hashed = key_hash(key, self.pepper) if key else None
        return self.credentials.get(hashed) if hashed else None

    def verdict(self, account_id: str, now_us: int) -> Verdict | None:
        """The verdict in force for an account; expiry is checked here, between refreshes too."""
        verdict = self.verdicts.get(account_id)
        if verdict is not None and verdict.expires_at is not None and verdict.expires_at <= now_us:
            return None
        return verdict


Standings = Callable[[Iterable[Credential]], dict[str, Standing]]
"""What is known of who holds each credential, by its id."""


def bare_standings(credentials: Iterable[Credential]) -> dict[str, Standing]:
    """Standings that know no more than the registry does: no second proof, no holder, no membership."""
    return {
        credential.credential_id: Standing(
            credential_id=credential.credential_id,
            credential_bound=False,
            credential_live=credential.revoked_at is None,
            organisation_id=credential.organization_id,
        )
        for credential in credentials
    }


def counters(registry: Registry, store: VerdictStore, data: Path | None) -> Counters:
    """Numbers of which one differs whenever a snapshot would."""
    return registry.version(), store.version(), None if data is None else fingerprint(data / FILE)


def load(
    registry: Registry,
    store: VerdictStore,
    now_us: int,
    current: Snapshot | None,
    data: Path | None = None,
    standings: Standings = bare_standings,
) -> Snapshot:
    """The present state, or ``current`` when nothing changed since. ``data`` is the folder with `models.toml`.

    A file that is wrong, gone or half written must neither open a tier nor keep a revocation from being obeyed: the
    models stay as they were, and the snapshot has a complaint. Raises `InputError` when there are none yet.
    """
    versions = counters(registry, store, data)
    if current is not None and current.versions == versions:
        return current
    models, complaint = _models(data, current)
    verdicts = store.in_force(now_us)
    notices = {verdict.verdict_id: verdict for verdict in verdicts.values()}
    credentials = registry.credentials()
    held = standings(credentials.values()) if models.tiers_in_force else {}
    number = 1
    epochs = dict.fromkeys(held, number)
    if current is not None:
        number = current.number + 1
        epochs = dict.fromkeys(held, number)
        if models is current.models:
            # What did not change stays the same object, so that its cached decisions still hold.
            for name in held.keys() & current.standings.keys():
                if held[name] == current.standings[name]:
                    held[name], epochs[name] = current.standings[name], current.epochs[name]
    return Snapshot(registry.pepper, versions, credentials, verdicts, notices, models, held, epochs, number, complaint)


def _models(data: Path | None, current: Snapshot | None) -> tuple[Models, str | None]:
    """Models in force, the same object where nothing changed, and what is wrong with the file."""
    try:
        models = Models({}) if data is None else read_models(data / FILE)
    except InputError as error:
        if current is None:
            raise
        return current.models, str(error)
    if current is None:
        return models, None
    if current.models.tiers_in_force and not models.tiers_in_force:
        return current.models, f"`{FILE}` tells no tiers apart any more: restart the gateway if that is meant"
    same = list(current.models.by_name.items()) == list(models.by_name.items())
    return current.models if same else models, None
