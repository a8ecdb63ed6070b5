"""Whom we share with, when each was last heard, and what of theirs was refused."""

from __future__ import annotations

from collections import Counter
from typing import Final

from tiergate.console.origins import Origin, command
from tiergate.console.sharing.known import known
from tiergate.console.tables import Column, Link, Table
from tiergate.console.visits import View, Visit
from tiergate.sharing.listing import last_heard

RECENT: Final = 100


def peers(visit: Visit) -> View:
    words, services = visit.renderer.words.sharing, visit.services
    every = services.peers.every()
    newest = last_heard(services.shared.engine, [one.peer_id for one in every])
    heard, _ = known(visit)
    by_peer = Counter(one.peer.name for one in heard.findings.values()) if heard is not None else None
    columns = [
        Column("name", words.columns.peer),
        Column("state", words.columns.state, "badge"),
        Column("clearance", words.columns.clearance, "badge"),
        Column("findings", words.columns.findings, "count"),
        Column("heard_us", words.columns.heard_us, "time"),
        Column("sent_us", words.columns.sent_us, "time"),
        Column("refused", words.columns.refused, "count"),
        Column("url", words.columns.url, "code"),
        Column("token_until_us", words.columns.token_until_us, "time"),
    ]
    table = Table(
        name="peers",
        columns=columns,
        rows=[
            {
                "name": one.name,
                "state": Link(words.states.ended) if one.ended_at_us else Link(words.states.active, tone="good"),
                "clearance": Link(one.clearance.label),
                "findings": None if by_peer is None else by_peer[one.name],
                "heard_us": newest.get(one.peer_id),
                "sent_us": one.sent_us or None,
                "refused": Link(sum(services.receiving.refused(one).values()), "/sharing/refused"),
                "url": one.url,
                "token_until_us": one.token_until_us or None,
            }
            for one in every
        ],
        empty=words.no_peers,
    )
    return {
        "tables": [table], "table": table, "lab": services.cases.desk.policy.sharing.lab,
        "live": [one.name for one in every if one.ended_at_us is None and one.url is not None],
        "origin": Origin(api="GET /v1/sharing/peers", command=_line(visit, "peers", "list")),
    }  # fmt: skip


def refused(visit: Visit) -> View:
    words, services = visit.renderer.words.sharing, visit.services
    every = services.peers.every()
    names = {one.peer_id: one.name for one in every}
    counts = Table(
        name="refused",
        columns=[
            Column("peer", words.columns.peer),
            Column("code", words.columns.code, "code"),
            Column("times", words.columns.times, "count"),
        ],
        rows=[
            {"peer": one.name, "code": code, "times": times}
            for one in every
            for code, times in services.receiving.refused(one).items()
        ],
        empty=words.none_refused,
    )
    recent = Table(
        name="recent",
        columns=[
            Column("at_us", words.columns.at_us, "time"),
            Column("peer", words.columns.peer),
            Column("code", words.columns.code, "code"),
            Column("object", words.columns.object, "code"),
            Column("reason", words.columns.reason, "prose"),
        ],
        rows=[
            {"at_us": arrival.at_us, "peer": names.get(peer_id, peer_id), "code": one.code, "object": one.stix_id,
             "reason": one.reason}
            for peer_id, arrival in services.receiving.recent(RECENT)
            for one in arrival.faults[:RECENT]
        ][:RECENT],
        empty=words.none_recent,
    )  # fmt: skip
    return {
        "tables": [counts, recent], "counts": counts, "recent": recent,
        "origin": Origin(api="GET /v1/sharing/peers", command=_line(visit, "peers", "list")),
    }  # fmt: skip


def _line(visit: Visit, *words: str) -> str:
    return command("share", *words, "--data", visit.services.settings.data.name)
