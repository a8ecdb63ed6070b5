"""The key server: evaluates blinded items under the epoch's key, for labs of the group, within their quotas.

It sees elements that look random, and how many each lab asks for. A key is drawn for each epoch, kept for
`KEPT_EPOCHS` of them and then erased, so that tokens of the past can never be tried out again; its public key stays on
record. Every key lies in a file of its own that only its owner can read.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from tiergate.clock import HOUR, Clock
from tiergate.database import make_tables, open_database
from tiergate.errors import StateError
from tiergate.ledger.sketches import load_or_create_key
from tiergate.sharing.tokens.blinding import ELEMENT_BYTES, MOST_ELEMENTS, Evaluator
from tiergate.sharing.tokens.group import Group, Member
from tiergate.sharing.tokens.http import answer, number_of, route

METADATA: Final = sa.MetaData()
_KEYS: Final = sa.Table(
    "joint_keys",
    METADATA,
    sa.Column("epoch", sa.BigInteger, primary_key=True),
    sa.Column("public_key", sa.String(64), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)
_USED: Final = sa.Table(
    "joint_quotas",
    METADATA,
    sa.Column("epoch", sa.BigInteger, primary_key=True),
    sa.Column("lab", sa.Integer, primary_key=True),
    sa.Column("used", sa.BigInteger, nullable=False),
)


class KeyServer:
    """Keys, quotas and what was used of them, in ``folder``. Close it."""

    def __init__(self, folder: Path, group: Group, clock: Clock) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder, self._group, self._clock = folder, group, clock
        self._engine = open_database(folder / "key-server.sqlite")
        make_tables(self._engine, METADATA)
        self._evaluators: dict[int, Evaluator] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        self._engine.dispose()

    def epochs(self) -> dict[int, str]:
        """Public keys of the epochs that are served, in hexadecimal; the current one first."""
        return {epoch: self.key(epoch).public_key.hex() for epoch in self._group.kept(self._clock.now_us())}

    def key(self, epoch: int) -> Evaluator:
        """The key of an epoch, drawn when it is first asked for. Raises `StateError` where it is not served."""
        now = self._clock.now_us()
        kept = self._group.kept(now)
        if epoch not in kept:
            raise StateError(f"epoch {epoch} is not served: {kept[-1]} to {kept[0]} are", code="epoch_not_served")
        with self._lock:
            if epoch not in self._evaluators:
                self._erase(kept)
                evaluator = Evaluator(load_or_create_key(self._folder / f"{epoch}.key", "key of an epoch"))
                with self._engine.begin() as connection:
                    if connection.execute(sa.select(_KEYS).where(_KEYS.c.epoch == epoch)).first() is None:
                        row = {"epoch": epoch, "public_key": evaluator.public_key.hex(), "created_at": now}
                        connection.execute(_KEYS.insert().values(row))
                self._evaluators[epoch] = evaluator
            return self._evaluators[epoch]

    def _erase(self, kept: tuple[int, ...]) -> None:
        for epoch in [one for one in self._evaluators if one not in kept]:
            del self._evaluators[epoch]
        for path in self._folder.glob("*.key"):
            if path.stem.isdigit() and int(path.stem) < kept[-1]:
                path.unlink()

    def evaluate(self, member: Member, epoch: int, elements: bytes) -> bytes:
        """Elements evaluated, with the proof. They count against the quota before anything is computed, and a request
        that is sent again counts again. Raises `StateError` where the quota is used up, `InputError` for no elements.
        """
        key = self.key(epoch)
        self._charge(member, epoch, len(elements) // ELEMENT_BYTES)
        return key.answer(elements)

    def _charge(self, member: Member, epoch: int, count: int) -> None:
        whose = (_USED.c.epoch == epoch) & (_USED.c.lab == member.number)
        with self._engine.begin() as connection:
            connection.exec_driver_sql("begin immediate")
            used = connection.scalar(sa.select(_USED.c.used).where(whose))
            if (used or 0) + count > member.quota:
                left = member.quota - (used or 0)
                raise StateError(
                    f"your quota of {member.quota} items for epoch {epoch} leaves {left}: nominate fewer customers, or "
                    "wait for the next epoch",
                    code="quota_used_up",
                )
            if used is None:
                connection.execute(_USED.insert().values(epoch=epoch, lab=member.number, used=count))
            else:
                connection.execute(_USED.update().where(whose).values(used=used + count))

    def used(self, epoch: int) -> dict[int, int]:
        """Items evaluated in an epoch, by number of the lab."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_USED.c.lab, _USED.c.used).where(_USED.c.epoch == epoch))
            return {row.lab: row.used for row in rows}


def key_server_app(server: KeyServer, group: Group) -> Starlette:
    """Its HTTP: `GET /v1/epochs` and `POST /v1/epochs/{epoch}/evaluate`."""

    def epochs(_member: Member, _request: Request, _body: bytes) -> Response:
        served = [{"epoch": epoch, "public_key": key} for epoch, key in server.epochs().items()]
        return answer({"epoch_us": group.epoch_hours * HOUR, "epochs": served})

    def evaluate(member: Member, request: Request, body: bytes) -> Response:
        evaluated = server.evaluate(member, number_of(request, "epoch"), body)
        return Response(evaluated, media_type="application/octet-stream", headers={"cache-control": "no-store"})

    most = MOST_ELEMENTS * ELEMENT_BYTES
    return Starlette(
        routes=[
            route("/v1/epochs", "GET", group, epochs),
            route("/v1/epochs/{epoch}/evaluate", "POST", group, evaluate, most),
        ]
    )
