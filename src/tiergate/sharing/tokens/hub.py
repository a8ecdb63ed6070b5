"""The hub: keeps the rows of the labs, opens what enough of them hold, and tells each lab of its own items alone."""

from __future__ import annotations

import hashlib
import re
import threading
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Final

import msgspec
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from tiergate.clock import Clock
from tiergate.database import make_tables, open_database
from tiergate.errors import InputError, StateError
from tiergate.sharing.tokens.clusters import Cluster, clusters
from tiergate.sharing.tokens.group import Group, Member
from tiergate.sharing.tokens.http import answer, number_of, route
from tiergate.sharing.tokens.items import Cause
from tiergate.sharing.tokens.opening import Opening, open_items
from tiergate.sharing.tokens.rows import ROW_BYTES
from tiergate.sharing.tokens.shares import TAG_BYTES

MOST_ROWS: Final = 8_192
"""Rows of one request."""
KEYS_HEADER: Final = "tiergate-keys"
"""SHA-256 of the public keys that a lab's tokens were made under, one key server after another."""

METADATA: Final = sa.MetaData()
_PARTS: Final = sa.Table(
    "joint_parts",
    METADATA,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False, index=True),
    sa.Column("lab", sa.Integer, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("key_digest", sa.String(64), nullable=False),
    sa.Column("received_at", sa.BigInteger, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
)


class SharedItem(msgspec.Struct, frozen=True):
    """An item that enough labs hold. ``tag``: in hexadecimal; ``kind``: its name; ``labs``: how many hold it;
    ``customers_log2``, ``exchanges_log2``: the largest bucket that one of them has."""

    tag: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    kind: Annotated[str, msgspec.Meta(pattern="^[a-z]{1,16}$")]
    labs: int
    customers_log2: int
    exchanges_log2: int


class SharedCluster(msgspec.Struct, frozen=True):
    """A joint cluster as one lab sees it. ``labs``, ``customers``: how many there are, of whichever lab; ``handles``:
    its own; ``tags``: those of the cluster's items that the lab holds."""

    cluster_id: Annotated[str, msgspec.Meta(pattern="^joint-[0-9a-f]{12}$")]
    labs: int
    customers: int
    causes: list[Cause]
    handles: list[int]
    tags: list[str]


class Told(msgspec.Struct, frozen=True):
    """What a lab is told of an epoch. ``labs``: how many handed rows in; ``keys_agree``: whether all did so under one
    key, for a key server that gave them different ones keeps them apart; ``unfit``: how many rows of the lab's own fit
    nothing that others handed in."""

    epoch: int
    threshold: int
    labs: int
    keys_agree: bool
    unfit: int
    items: list[SharedItem]
    clusters: list[SharedCluster]


class Hub:
    """Rows of the epochs that are kept, in ``folder``. Close it."""

    def __init__(self, folder: Path, group: Group, clock: Clock) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._group, self._clock = group, clock
        self._engine = open_database(folder / "hub.sqlite")
        make_tables(self._engine, METADATA)
        self._lock = threading.Lock()
        self._opened: dict[int, tuple[int, Opening, list[Cluster]]] = {}

    def close(self) -> None:
        self._engine.dispose()

    def take(self, member: Member, epoch: int, keys: str, rows: bytes) -> None:
        """Keep rows of a lab, all or none.

        Raises `InputError` for what are no rows, `StateError` for an epoch that is not kept, for rows that were handed
        in before, by whomever, and for more than the lab's quota.
        """
        now = self._clock.now_us()
        kept = self._serves(epoch)
        if not re.fullmatch("[0-9a-f]{64}", keys):
            raise InputError(f"`{KEYS_HEADER}` must be the SHA-256 of the public keys, in hexadecimal")
        count, rest = divmod(len(rows), ROW_BYTES)
        if rest or not 0 < count <= MOST_ROWS:
            raise InputError(f"send 1 to {MOST_ROWS} rows of {ROW_BYTES} bytes each")
        if len({rows[at : at + TAG_BYTES] for at in range(0, len(rows), ROW_BYTES)}) != count:
            raise InputError("two rows have one tag: hand each item in once")
        digest = hashlib.sha256(rows).hexdigest()
        with self._engine.begin() as connection:
            connection.exec_driver_sql("begin immediate")
            connection.execute(_PARTS.delete().where(_PARTS.c.epoch < kept[-1]))
            if connection.execute(sa.select(_PARTS.c.lab).where(_PARTS.c.digest == digest)).first() is not None:
                raise StateError("these rows were handed in before: every row is taken once", code="replayed")
            whose = (_PARTS.c.epoch == epoch) & (_PARTS.c.lab == member.number)
            held = connection.scalar(sa.select(sa.func.sum(_PARTS.c.rows)).where(whose)) or 0
            if held + count > member.quota:
                raise StateError(
                    f"your quota of {member.quota} rows for epoch {epoch} leaves {member.quota - held}",
                    code="quota_used_up",
                )
            row = {"digest": digest, "epoch": epoch, "lab": member.number, "rows": count}
            row |= {"key_digest": keys, "received_at": now, "content": rows}
            connection.execute(_PARTS.insert().values(row))

    def told(self, member: Member, epoch: int) -> Told:
        """What ``member`` may know of an epoch. Raises `StateError` for one that is not kept."""
        self._serves(epoch)
        under = sa.select(_PARTS.c.lab, _PARTS.c.key_digest).where(_PARTS.c.epoch == epoch).distinct()
        with self._engine.connect() as connection:
            seen = connection.execute(under).all()
        opening, found = self._open(epoch)
        mine = member.number
        items = [
            SharedItem(
                one.tag.hex(),
                one.said[mine].kind.name.lower(),
                len(one.said),
                max(said.customers_log2 for said in one.said.values()),
                max(said.exchanges_log2 for said in one.said.values()),
            )
            for one in opening.items
            if mine in one.said
        ]
        held = {bytes.fromhex(one.tag) for one in items}
        return Told(
            epoch=epoch,
            threshold=self._group.threshold,
            labs=len({row.lab for row in seen}),
            keys_agree=len({row.key_digest for row in seen}) < 2,
            unfit=opening.unfit[mine],
            items=items,
            clusters=[
                SharedCluster(
                    cluster_id=one.cluster_id,
                    labs=len(one.labs),
                    customers=len(one.customers),
                    causes=list(one.causes),
                    handles=sorted(handle for lab, handle in one.customers if lab == mine),
                    tags=[tag.hex() for tag in one.tags if tag in held],
                )
                for one in found
                if mine in one.labs
            ],
        )

    def _open(self, epoch: int) -> tuple[Opening, list[Cluster]]:
        """What is open in an epoch, computed anew when rows came in since."""
        with self._lock:
            where = _PARTS.c.epoch == epoch
            with self._engine.connect() as connection:
                count = connection.scalar(sa.select(sa.func.count()).select_from(_PARTS).where(where)) or 0
                cached = self._opened.get(epoch)
                if cached is None or cached[0] != count:
                    parts = connection.execute(
                        sa.select(_PARTS.c.lab, _PARTS.c.content).where(where).order_by(_PARTS.c.received_at)
                    ).all()
                    rows: dict[int, list[bytes]] = defaultdict(list)
                    for part in parts:
                        rows[part.lab].append(part.content)
                    opening = open_items(
                        {lab: b"".join(some) for lab, some in rows.items()}, self._group.threshold, epoch
                    )
                    cached = len(parts), opening, clusters(opening.items, self._group.threshold)
                    self._opened = {old: held for old, held in self._opened.items() if old > epoch - 2}
                    self._opened[epoch] = cached
            return cached[1], cached[2]

    def _serves(self, epoch: int) -> tuple[int, ...]:
        kept = self._group.kept(self._clock.now_us())
        if epoch not in kept:
            raise StateError(f"epoch {epoch} is not kept: {kept[-1]} to {kept[0]} are", code="epoch_not_served")
        return kept


def hub_app(hub: Hub, group: Group) -> Starlette:
    """Its HTTP: `POST /v1/epochs/{epoch}/rows` and `GET /v1/epochs/{epoch}/opened`."""

    def take(member: Member, request: Request, body: bytes) -> Response:
        hub.take(member, number_of(request, "epoch"), request.headers.get(KEYS_HEADER, ""), body)
        return Response(status_code=204)

    def opened(member: Member, request: Request, _body: bytes) -> Response:
        return answer(hub.told(member, number_of(request, "epoch")))

    return Starlette(
        routes=[
            route("/v1/epochs/{epoch}/rows", "POST", group, take, MOST_ROWS * ROW_BYTES),
            route("/v1/epochs/{epoch}/opened", "GET", group, opened),
        ]
    )
