"""A deployment with one case, looked at once, stepped on by people, and asked on afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from tests.response.test_watch import exchanges_of, quietly, record
from tiergate.clock import HOUR, FixedClock
from tiergate.database import open_database
from tiergate.detection.run import Parameters
from tiergate.ledger.log import ExchangeLog
from tiergate.ledger.sketches import Sketcher, load_or_create_key
from tiergate.ledger.verdicts import Action
from tiergate.parties.registry import Registry
from tiergate.parties.tokens import load_or_create_pepper
from tiergate.response.bundle.writing import export
from tiergate.response.case_files import CaseFile
from tiergate.response.holdings import holdings
from tiergate.response.kept import kept_look
from tiergate.response.ladder import load_policy
from tiergate.response.looks import Look
from tiergate.response.record import record_of
from tiergate.response.watch import Watch
from tiergate.simulation.prompts import GrammarPrompts
from tiergate.simulation.spec import CampaignSpec, WorldSpec
from tiergate.simulation.world import World, simulate

REASON = "<b>one</b> `queue` of #requests, 蒸馏\u202e?"
"""As people write them, or as somebody would who wants to break a page."""


@dataclass(frozen=True)
class Deployment:
    """``data``: its folder; ``file``: its one case; ``end_us``: its last exchange; ``world``: who is who."""

    data: Path
    engine: sa.Engine
    file: CaseFile
    members: frozenset[str]
    end_us: int
    world: World

    @property
    def answered(self) -> int:
        """How many exchanges a look reads."""
        return sum(one < 400 for one in self.world.exchanges["status"].to_pylist())


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    spec = WorldSpec(days=4, people=90, campaigns=(CampaignSpec(accounts=30, payment_sharing=0.6),))
    world = simulate(spec, 1, GrammarPrompts())
    data = tmp_path_factory.mktemp("evidence") / "data"
    data.mkdir()
    (data / "key").write_bytes(b"k" * 32)
    engine = open_database(data / "control.sqlite")
    registry = Registry(engine, load_or_create_pepper(data / "pepper"))
    registry.add_accounts(world.accounts.to_pylist())
    asked = exchanges_of(world)
    end_us = asked[-1].started_at
    watch = Watch(data, engine, registry, load_policy(), FixedClock(end_us))
    first, last = asked[:-900], asked[-900:]
    record(data, first)
    # What is in no segment yet is looked at too, and lies elsewhere afterwards.
    log = ExchangeLog.open(data / "log", sketcher=Sketcher(load_or_create_key(data / "key")))
    log.append(last)
    watch.look(Parameters(decoys=2), quietly)
    log.close()
    (file,) = watch.desk.changes.every(CaseFile)
    answer = watch.answer(file.found.digest)
    held = holdings(Look.read(answer, 1, file.found.digest), {file.case_id: file})
    members = list(held[file.case_id].members.values())
    with watch.desk.changes.writing("ann", end_us + HOUR) as writing:
        limited = msgspec.structs.replace(
            file, step=Action.LIMIT, step_until_us=end_us + 24 * HOUR, step_by="ann", assignee="bea"
        )
        writing.put(file.case_id, limited, "limit", REASON)
        watch.desk.enforce(writing, limited, members)
    yield Deployment(data, engine, limited, frozenset(one.account_id for one in members), end_us, world)
    engine.dispose()


@pytest.fixture(scope="session")
def bundle(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The case's evidence in a file."""
    out = tmp_path_factory.mktemp("bundle") / "case.tar"
    look = kept_look(deployment.data, deployment.file)
    case = record_of(deployment.engine, deployment.file.case_id[:10])
    export(case, look.cases, look.answer, look.read(), out, now_us=deployment.end_us, progress=quietly)
    return out
