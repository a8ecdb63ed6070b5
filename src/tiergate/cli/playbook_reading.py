"""What a deployment has in place, read from its data folder for the checks of playbooks. Nothing is changed."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tiergate.cli.deployment import Deployment, open_deployment
from tiergate.errors import InputError, LedgerError, ProofError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tiergate.admission.models import Models
    from tiergate.advice.playbooks.configuration import Configuration, Kept, Response
    from tiergate.gateway.routing.routes import Routes

NEWEST: Final = 10_000
"""Exchanges that are looked at for text, the newest of the log."""
Read = TypeVar("Read")


def configuration_of(data: Path, routes: Path | None, packs: Path | None, now_us: int) -> Configuration:
    """Read ``data``. ``routes``, ``packs``: the file of routes and the folder of rule packs, where they lie elsewhere.

    A file that is wrong is in `unreadable`. Raises `InputError` when ``data`` is no gateway's data folder.
    """
    from tiergate.admission.activations import ActivationStore, day_of
    from tiergate.admission.holders import Holders
    from tiergate.admission.memberships import Memberships
    from tiergate.admission.models import FILE as MODELS
    from tiergate.admission.models import Models, read_models
    from tiergate.admission.programmes import Programmes
    from tiergate.admission.purposes import Purposes
    from tiergate.admission.rule_packs import load_packs
    from tiergate.advice.playbooks.configuration import Configuration
    from tiergate.gateway.metering.limits import LimitStore
    from tiergate.gateway.routing.reload import FILE as ROUTES
    from tiergate.parties.on_file import DATABASE

    unreadable: dict[str, str] = {}

    def read(name: str, reader: Callable[[], Read], otherwise: Read) -> Read:
        try:
            return reader()
        except InputError as error:
            unreadable[name] = str(error)
            return otherwise

    with open_deployment(data) as opened:
        engine, known = opened.engine, load_packs(packs)
        models = read(MODELS, lambda: read_models(data / MODELS), Models({}))
        decisions, fault = _decisions(data)
        day = day_of(now_us)
        return Configuration(
            models=models,
            routes=read(ROUTES, lambda: _routes(routes or data / ROUTES, models), None),
            limits=tuple(LimitStore(engine).all()),
            packs={one.pack.id: one.standing(day) for one in ActivationStore(engine).active(known, day)},
            ownership_packs=frozenset(one.id for one in known.values() if one.kind == "ownership"),
            parties=(data / DATABASE).is_file(),
            programmes={one.programme_id: one for one in Programmes(engine).every()},
            memberships=tuple(Memberships(engine).every()),
            purposes=tuple(Purposes(engine).every()),
            holders=tuple(Holders(engine).every()),
            credentials=tuple(opened.registry.credentials().values()),
            response=_response(data, opened, now_us, read),
            kept=kept_of(data / "log"),
            decisions=decisions,
            decisions_fault=fault,
            unreadable=unreadable,
        )


def _routes(path: Path, models: Models) -> Routes | None:
    from tiergate.gateway.routing.reload import read

    # Keys are the gateway's: whether they are set where it runs cannot be seen from here.
    return read(path, models, None) if path.is_file() else None


def _response(data: Path, opened: Deployment, now_us: int, read: Callable[..., Any]) -> Response:
    from tiergate.admission.appeals import Appeals
    from tiergate.advice.playbooks.configuration import Response
    from tiergate.response.alerts.events import TYPES, Alert
    from tiergate.response.alerts.sinks import FILE as ALERTS
    from tiergate.response.alerts.sinks import load_sinks
    from tiergate.response.ladder import FILE as POLICY
    from tiergate.response.ladder import load_policy
    from tiergate.response.watch_lock import FOLDER, is_held

    policy = read(POLICY, lambda: load_policy(data / POLICY), load_policy())
    sinks = read(ALERTS, lambda: load_sinks(data / ALERTS), [])
    return Response(
        approvals={step.action.value: step.approvals for step in policy.steps},
        appeal_days=policy.appeal_days,
        alerts=frozenset(
            kind
            for kind in TYPES
            if any(sink.wants(Alert(alert_id="", type=kind, at_us=0, title="", data={})) for sink in sinks)
        ),
        overdue=len(Appeals(opened.engine).overdue(now_us)),
        watched=is_held(data / FOLDER),
    )


def kept_of(folder: Path) -> Kept:
    """What an exchange log keeps, from its newest exchanges."""
    import pyarrow.compute as pc

    from tiergate.advice.playbooks.configuration import Kept
    from tiergate.ledger.log import is_log, read_pieces
    from tiergate.records.schema import TEXT_COLUMNS

    seen = with_text = 0
    if is_log(folder):
        segments, spooled = read_pieces(folder)
        for batches in (iter(spooled), *(read() for read in reversed(segments.values()))):
            for batch in batches:
                seen += batch.num_rows
                texts = [batch.column(name).is_valid() for name in TEXT_COLUMNS if name in batch.schema.names]
                some = texts[0] if texts else None
                for one in texts[1:]:
                    some = pc.or_(some, one)
                with_text += 0 if some is None else pc.sum(some).as_py() or 0
            if seen >= NEWEST:
                break
    return Kept(exchanges=seen, with_text=with_text, setting=os.environ.get("TIERGATE_RETENTION") or "sketches")


def _decisions(data: Path) -> tuple[int | None, str | None]:
    """Decisions on record, None where there is no log, and what is wrong with the newest of a log."""
    from tiergate.cli.decision_options import public_key
    from tiergate.ledger.decision_logs import logs_of
    from tiergate.ledger.decision_reader import DecisionReader

    try:
        places = logs_of(data)
    except InputError:
        return None, None
    records = 0
    for place in places:
        try:
            with closing(DecisionReader(place.folder)) as reader:
                records += reader.size
                if reader.size:
                    reader.checked(reader.size - 1, key=public_key(data, None, reader.origin))
        except (InputError, LedgerError, ProofError) as error:
            return records, f"`{place.folder.name}`: {error}"
    return records, None
