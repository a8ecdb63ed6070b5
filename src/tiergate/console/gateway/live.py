"""The gateway now: its own counters where they can be asked, else the newest minutes of its log."""

from __future__ import annotations

from typing import Any

from tiergate.clock import MINUTE
from tiergate.console.origins import Origin, command
from tiergate.console.tables import Column, Link, Table
from tiergate.console.visits import Visit
from tiergate.gateway.telemetry.scraping import Live

TONES = {"closed": "good", "half_open": "warn", "open": "bad"}


def live(visit: Visit) -> dict[str, Any]:
    """What the part of the page shows that is fetched anew every two seconds."""
    services = visit.services
    gateway = services.gateway
    now = None if gateway is None else gateway.live(visit.now_us)
    minute = visit.now_us // MINUTE * MINUTE
    before = services.traffic.figures(minute - MINUTE, minute, every="minute", latencies=True)
    return {
        "now": now if now is not None and now.fault is None else None,
        "gateway_fault": None if now is None else now.fault,
        "asked": gateway is not None,
        "minute": before[0] if before else None,
        "minute_us": minute - MINUTE,
        "recent": [one for one in now.errors if one.recent] if now is not None else [],
        "live_upstreams": _upstreams(visit, now),
        "live_origin": Origin(api="GET /v1/live", note=visit.renderer.words.gateway.live_note) if now else None,
        "serve": command("serve", "--data", services.settings.data, "--upstream", "https://api.example.com/v1"),
        "visit": visit,
    }


def _upstreams(visit: Visit, now: Live | None) -> Table:
    words = visit.renderer.words.gateway
    names = ("under_way", "used", "idle", "waiting")
    rows = [
        {
            "name": one.name,
            "breaker": Link(
                None if one.breaker is None else words.breakers[one.breaker], tone=TONES.get(one.breaker or "", "")
            ),
            **{name: getattr(one, name) for name in names},
        }
        for one in (now.upstreams if now is not None else ())
    ]
    columns = [Column("name", words.columns.upstream), Column("breaker", words.columns.breaker, "badge")]
    columns += [Column(name, words.columns[name], "count") for name in names]
    return Table(name="live_upstreams", columns=columns, rows=rows, empty=words.no_upstreams)
