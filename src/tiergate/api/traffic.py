"""Operations on what goes through: sums over the exchange log, a gateway as it is now, its routes."""

from __future__ import annotations

from typing import Annotated, Final, cast, get_args

import msgspec

from tiergate.api.operations import Call, Operation
from tiergate.api.operators import Permission
from tiergate.api.problems import ProblemError
from tiergate.clock import DAY
from tiergate.gateway.routing.listed import Listed, routes_of
from tiergate.gateway.telemetry.scraping import Live
from tiergate.gateway.traffic.figures import By, Every, Figure

Moment = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class TrafficQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From when until before when, microseconds since the epoch, UTC: the last day where it is not said, in whole hours
    or, from three days on, whole days. ``by``: `model`, `tier`, `upstream`, `status`, `reason`, with commas between;
    ``every``: a row for each minute, hour or day."""

    from_us: Moment | None = None
    to_us: Moment | None = None
    by: Annotated[str, msgspec.Meta(max_length=64)] = ""
    every: Every | None = None


class TrafficSums(msgspec.Struct, frozen=True, kw_only=True):
    """Sums, and when the newest exchange that is in them began, to the minute. ``fault``: why they are not kept up."""

    items: list[Figure]
    newest_us: int | None
    fault: str | None


def traffic(call: Call) -> TrafficSums:
    asked: TrafficQuery = call.query
    by = [name for name in asked.by.split(",") if name]
    unknown = set(by) - set(get_args(By))
    if unknown:
        raise ProblemError(
            400, "unfit_query", f"traffic is not kept by `{min(unknown)}`", f"give some of {', '.join(get_args(By))}"
        )
    to_us = call.now_us if asked.to_us is None else asked.to_us
    from_us = to_us - DAY if asked.from_us is None else asked.from_us
    held = call.services.traffic
    figures = held.figures(from_us, to_us, cast("list[By]", by), every=asked.every, latencies=True)
    return TrafficSums(items=figures, newest_us=held.standing()[1], fault=held.fault)


def live(call: Call) -> Live:
    gateway = call.services.gateway
    if gateway is None:
        raise ProblemError(
            404, "no_gateway_to_ask", "nobody said where the gateway can be asked",
            "set TIERGATE_METRICS_PORT for the gateway and TIERGATE_CONTROL_METRICS_URL here",
        )  # fmt: skip
    return gateway.live(call.now_us)


def routes(call: Call) -> Listed:
    return routes_of(call.services.settings.data)


def _see(path: str, name: str, summary: str, **more: object) -> Operation:
    return Operation(
        method="GET", path=path, name=name, summary=summary, subject="gateway", permission=Permission.SEE_GATEWAY,
        **more,  # type: ignore[arg-type]
    )  # fmt: skip


OPERATIONS: Final = (
    _see("/v1/traffic", "traffic", "Exchanges, tokens, money and latency", handler=traffic, query=TrafficQuery,
         gives=TrafficSums),
    _see("/v1/live", "live", "The gateway now", handler=live, gives=Live),
    _see("/v1/routes", "list_routes", "Routes as the gateway reads them, or what is wrong with them", handler=routes,
         gives=Listed),
)  # fmt: skip
