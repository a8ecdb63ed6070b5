"""The pictures of a dossier, by the names that its blocks give them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pyarrow as pa

from tiergate.cli.cases import Case
from tiergate.cli.dossier.glyphs import legible
from tiergate.cli.report.figures import link_graph, strips, timeline, waterfall
from tiergate.cli.report.traffic import traffic_by_case
from tiergate.response.dossier.facts import Facts
from tiergate.response.dossier.observed import DRAWN


def pictures(facts: Facts, batches: Iterable[pa.RecordBatch]) -> dict[str, str]:
    """SVG fragments that take their colours from CSS variables.

    :param batches: all exchanges that the look read, with account_id and started_at.
    """
    accounts = {one.account_id for one in facts.accounts}
    drawn: dict[str, str] = {}
    over_time = traffic_by_case(batches, {"case": accounts})
    if over_time:
        drawn["timeline"] = timeline(over_time["case"], "t")
    if facts.traffic.strips:
        by_volume = sorted(facts.traffic.strips, key=lambda one: (-sum(one.counts), one.account_id))
        some = (
            by_volume if len(by_volume) <= DRAWN else [by_volume[at * len(by_volume) // DRAWN] for at in range(DRAWN)]
        )
        counts = {legible(one.account_id): one.counts for one in some}
        drawn["strips"] = strips(counts, facts.traffic.start_us, facts.traffic.step_us, "s")
    for number, part in enumerate(facts.parts):
        case = Case({"case_id": part.case_id}, evidence=[msgspec.structs.asdict(one) for one in part.evidence])
        if part.evidence:
            drawn[f"waterfall-{number}"] = waterfall(case, f"w{number}")
        if part.links:
            drawn[f"graph-{number}"] = link_graph(part.links, f"g{number}")
    return drawn
