"""The upstreams of a file of routes, and a request's ways among them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping

import msgspec

from tiergate.errors import InputError
from tiergate.gateway.dialects.bodies import with_one_model, without_stream_options
from tiergate.gateway.dialects.common import Asked
from tiergate.gateway.dialects.surfaces import Surface
from tiergate.gateway.metered import demand_of
from tiergate.gateway.metering.estimates import Estimator
from tiergate.gateway.replies import RawHeaders
from tiergate.gateway.routing import candidates as routing
from tiergate.gateway.routing.breaker import State
from tiergate.gateway.routing.candidates import Candidate, Group
from tiergate.gateway.routing.failures import Failure
from tiergate.gateway.routing.health import UpstreamHealth
from tiergate.gateway.routing.requirements import Exclusion, from_headers, of_request
from tiergate.gateway.routing.router import Refusal, Route, Router
from tiergate.gateway.routing.routes import Routes
from tiergate.gateway.routing.strategies import Ask, affinity
from tiergate.gateway.upstreams.pool import Limits
from tiergate.gateway.upstreams.upstream import Upstream
from tiergate.gateway.ways import Way
from tiergate.parties.registry import Credential
from tiergate.settings import Settings


class Routing:
    """The file in force and the pools of its upstreams. Belongs to the running event loop."""

    def __init__(self, settings: Settings, estimator: Estimator) -> None:
        self.routes: Routes | None = None
        self._settings = settings
        self._estimator = estimator
        self._router = Router(time.monotonic, random.Random())  # noqa: S311, a lot and no secret
        self._upstreams: dict[str, tuple[routing.Upstream, Upstream]] = {}

    def use(self, routes: Routes | None) -> None:
        """Follow another file. Calls under way at upstreams that changed go on to their end.

        Raises `InputError` for an address that no upstream may have; the file before stays in force then.
        """
        if routes is None or routes is self.routes:
            return
        kept = {name: held for name, held in self._upstreams.items() if routes.upstreams.get(name) == held[0]}
        made = {name: (row, self._open(row)) for name, row in routes.upstreams.items() if name not in kept}
        for name, (_, upstream) in self._upstreams.items():
            if name not in kept:
                upstream.retire()
        self._upstreams = kept | made
        self.routes = routes
        self._router.health.forget_all_but(list(routes.candidates.values()))

    def group(self, name: str) -> Group | None:
        """What a caller names; None for what the file does not have."""
        return None if self.routes is None else self.routes.group(name)

    def ways(
        self, group: Group, surface: Surface, credential: Credential, asked: Asked, body: bytes, headers: RawHeaders,
        now_us: int, barred: Mapping[str, Exclusion],
    ) -> RoutedWays:  # fmt: skip
        """A request's ways. Raises `InputError` for a body that could ask a model that was not judged, and for headers
        that cannot be read.

        :param barred: candidates that the caller is not admitted to.
        """
        assert self.routes is not None
        tools, asked = asked.tool_models, msgspec.structs.replace(asked, tool_models=[])
        body = with_one_model(body, asked, surface.fields)
        input_tokens = self._estimator.asked(group.candidates[0].name, demand_of(asked, body))
        required = of_request(
            tools=asked.needs_tools, vision=asked.needs_vision, structured_output=asked.needs_structure,
            stream=asked.stream, input_tokens=input_tokens, max_tokens=asked.max_tokens,
        )  # fmt: skip
        required &= from_headers(headers)
        required &= self.routes.policy(
            organisation_id=credential.organization_id,
            account_id=credential.account_id,
            credential_id=credential.credential_id,
        )
        session = next((value for name, value in headers if name == b"x-session-id"), None)
        ask = Ask(
            required=required,
            input_tokens=input_tokens,
            max_tokens=asked.max_tokens,
            choices=asked.answers,
            affinity=affinity(
                credential.account_id,
                session=session.decode("latin-1") if session else asked.continues,
                cache_key=asked.cache_key,
                system_text=asked.system_text,
                tool_names=asked.tool_names or (),
            ),
        )
        unfit = _unfit(group, surface, asked, body, tools)
        route = self._router.route(group, ask, now_us, barred, unfit)

        # As they are now: a reload must not send what was judged here to another address.
        upstreams = self._upstreams

        def way(one: Candidate) -> Way:
            adapter = surface.adapters[one.upstream.dialect]
            named = msgspec.structs.replace(asked, model=one.upstream_model)
            sent = adapter.request(with_one_model(body, named, surface.fields), named)
            if not one.upstream.stream_usage:
                sent = without_stream_options(sent)
            return Way(upstreams[one.upstream.name][1], adapter, sent, one.name)

        return RoutedWays(route, way)

    def states(self) -> Iterator[tuple[str, State, int, tuple[int, int, int]]]:
        """Of each upstream: its name, its breaker's state, attempts under way, and its pool's `Upstream.counts`. May be
        called by any thread."""
        now_s = time.monotonic()
        for name, (row, upstream) in self._upstreams.items():
            health = self._router.health.seen(row) or UpstreamHealth()
            yield name, health.breaker.state(now_s), health.under_way, upstream.counts

    async def close(self) -> None:
        """Close all connections; calls under way fail."""
        for _, upstream in self._upstreams.values():
            await upstream.close()

    def _open(self, row: routing.Upstream) -> Upstream:
        settings = self._settings
        limits = Limits(
            connect_s=row.timeouts.connect_s,
            read_s=row.timeouts.read_s,
            answer_s=settings.answer_timeout_s,
            idle_s=settings.upstream_idle_s,
            connections=row.concurrency,
            answer_bytes=settings.max_answer_bytes,
            private=row.private,
        )
        return Upstream(row.url, row.key.get_secret_value() if row.key else None, limits, row.dialect)


class RoutedWays:
    """A request's ways by the file: see `tiergate.gateway.ways.Ways`."""

    def __init__(self, route: Route, way: Callable[[Candidate], Way]) -> None:
        self.models = tuple(one.name for one in route.ordered)
        self._route = route
        self._way = way
        self._trying = False
        self._answering = False

    @property
    def wait_s(self) -> float:
        return self._route.attempts.wait_s

    def next(self) -> Way | None:
        candidate = self._route.attempts.next()
        self._trying = candidate is not None
        return None if candidate is None else self._way(candidate)

    def failed(self, failure: Failure) -> bool:
        """Whether another attempt follows. An attempt fails once, whatever is met after that."""
        trying, self._trying = self._trying, False
        return trying and self._route.attempts.failed(failure)

    def answered(self, status: int) -> None:
        self._trying, self._answering = False, True
        self._route.attempts.answered(status)

    def first_token(self) -> None:
        self._route.attempts.first_token()

    def ended(self, output_tokens: int | None, *, broke_off: bool = False) -> None:
        if broke_off:
            self._route.attempts.broke_off()
        else:
            self._route.attempts.succeeded(output_tokens)

    def close(self) -> None:
        self._route.attempts.close()

    def columns(self) -> dict[str, str | int | None]:
        made = self._route.attempts.made
        last = made[-1].candidate
        return {"route_model": last.name, "upstream": last.upstream.name, "attempts": len(made)}

    def offer(self) -> str | None:
        return self._route.offer()

    def refusal(self) -> Refusal:
        return self._route.refusal()


def _unfit(group: Group, surface: Surface, asked: Asked, body: bytes, tools: list[str]) -> dict[str, Exclusion]:
    """Candidates that cannot be asked this, whoever asks it."""
    said: dict[str, Exclusion | None] = {}
    for dialect in {one.upstream.dialect for one in (*group.candidates, *group.offered)}:
        adapter = surface.adapters.get(dialect)
        said[dialect] = None
        if adapter is None:
            said[dialect] = Exclusion(
                "surface_not_spoken", f"its upstream speaks {dialect}'s API, which has no such call"
            )
        elif dialect != surface.dialect:
            try:
                adapter.request(body, asked)
            except InputError as error:
                said[dialect] = Exclusion("not_translatable", str(error))
    unfit: dict[str, Exclusion] = {}
    for one in (*group.candidates, *group.offered):
        against = said[one.upstream.dialect]
        if any(name != one.upstream_model for name in tools):
            against = Exclusion("tool_model_not_judged", "a tool would ask another model, which was not judged")
        if against is not None:
            unfit[one.name] = against
    return unfit
