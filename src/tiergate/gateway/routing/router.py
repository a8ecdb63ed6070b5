"""From a request to its attempts: who qualifies, in which order, and what to say where nobody can be asked."""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from tiergate.gateway.routing.attempts import Attempts, Clock
from tiergate.gateway.routing.candidates import Candidate, Group
from tiergate.gateway.routing.health import Health
from tiergate.gateway.routing.prices import price_at
from tiergate.gateway.routing.requirements import Exclusion, exclusions
from tiergate.gateway.routing.strategies import Ask, order

NO_PRICE: Final = Exclusion("no_price", "it has no price on this day, and what has no price is not used")
_NOBODY: Final[Mapping[str, Exclusion]] = MappingProxyType({})


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """What an error says where no candidate could be asked.

    :param candidates: every candidate with all that stands against it; ``offer`` is a model of a lower tier that would
        do, for the header `x-tiergate-fallback`.
    """

    status: int
    code: str
    message: str
    candidates: dict[str, tuple[Exclusion, ...]]
    retry_after_s: float | None = None
    offer: str | None = None

    def details(self) -> dict[str, Any]:
        """What stands under `tiergate` in the error."""
        rows = [
            {"model": name, "reasons": [{"code": one.code, "text": one.text} for one in found]}
            for name, found in self.candidates.items()
        ]
        return {"candidates": rows, "fallback": self.offer}


class Route:
    """One request's way: its attempts, and what to say where there is none."""

    def __init__(
        self, router: Router, group: Group, ask: Ask, now_us: int, barred: Mapping[str, Exclusion],
        unfit: Mapping[str, Exclusion],
    ) -> None:  # fmt: skip
        self.group = group
        self._router = router
        self._ask = ask
        self._now_us = now_us
        self._barred = barred
        self._unfit = unfit
        found = {one.name: self._against(one) for one in group.candidates}
        self.excluded = {name: reasons for name, reasons in found.items() if reasons}
        """Candidates that do not qualify, with every reason."""
        qualified = [one for one in group.candidates if not found[one.name]]
        self.ordered = order(group, qualified, ask, router.health.speed, now_us, router.clock(), router.rng)
        """Candidates that qualify, the one to ask first in front."""
        self.attempts = Attempts(group, self.ordered, router.health, router.clock, router.rng)

    def refusal(self) -> Refusal:
        """Why no candidate was asked: none qualifies (400, or 403 where admission bars them all), or none of those that
        do can be asked now (503)."""
        name, offer = self.group.name, self.offer()
        if self.ordered:
            waits, reasons = [], dict(self.excluded)
            for one in self.ordered:
                said = self._router.health.unavailable(one, self._router.clock())
                if said is not None:
                    reasons[one.name] = (said[0],)
                    waits.append(said[1])
            return Refusal(
                status=503, code="no_candidate_available", candidates=reasons, offer=offer,
                message=f"no model of `{name}` that qualifies can be asked right now",
                retry_after_s=min(waits, default=1.0),
            )  # fmt: skip
        if all(one.name in self._barred for one in self.group.candidates):
            message = f"this key is not admitted to any model of `{name}`"
            return Refusal(
                status=403, code="no_candidate_admitted", message=message, candidates=self.excluded, offer=offer
            )
        message = f"no model of `{name}` meets all that this request requires"
        return Refusal(
            status=400, code="no_candidate_qualifies", message=message, candidates=self.excluded, offer=offer
        )

    def offer(self) -> str | None:
        """A model of a lower tier that would do and can be asked, or None. It is offered, never taken."""
        health, now_s = self._router.health, self._router.clock()
        for one in self.group.offered:
            if not self._against(one) and health.unavailable(one, now_s) is None:
                return one.name
        return None

    def _against(self, one: Candidate) -> tuple[Exclusion, ...]:
        found = exclusions(one, self._ask.required)
        if price_at(one.prices, self._now_us) is None:
            found.append(NO_PRICE)
        if one.name in self._unfit:
            found.append(self._unfit[one.name])
        if one.name in self._barred:
            found.insert(0, self._barred[one.name])
        return tuple(found)


class Router:
    """Routes requests and remembers how upstreams fared. One for a process, used from one thread."""

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self.health = Health()
        self.clock = clock
        self.rng = rng

    def route(
        self, group: Group, ask: Ask, now_us: int, barred: Mapping[str, Exclusion] = _NOBODY,
        unfit: Mapping[str, Exclusion] = _NOBODY,
    ) -> Route:  # fmt: skip
        """Who is to be asked.

        :param now_us: microseconds since the epoch, for prices.
        :param barred: candidates that the caller is not admitted to, with what admission says.
        :param unfit: candidates that cannot be asked this by their own API.
        """
        return Route(self, group, ask, now_us, barred, unfit)
