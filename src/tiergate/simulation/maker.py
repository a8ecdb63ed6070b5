"""What populations are made of: accounts, their places and clients, and how much they ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tiergate.clock import DAY, MINUTE
from tiergate.simulation.prompts import PromptSource
from tiergate.simulation.rhythm import sittings
from tiergate.simulation.spec import WorldSpec
from tiergate.simulation.surroundings import Client, Place, Surroundings

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
LOAD_WINDOW_US = 10 * MINUTE
FREE_MAIL = ("gmail.com", "outlook.com", "qq.com", "yahoo.com", "proton.me", "163.com", "icloud.com", "gmx.de")
PLANS = ("free", "pay_as_you_go", "subscription", "team", "enterprise")


class Request(NamedTuple):
    """One exchange. ``time`` in microseconds from the world's start; ``client`` and ``max_tokens`` are the member's own
    where None; ``campaign``: the campaign whose purpose it serves, None for everything innocent."""

    time: int
    text: str
    place: Place
    system: str | None = None
    tools: tuple[str, ...] | None = None
    client: Client | None = None
    campaign: str | None = None
    end_user: str | None = None
    session: str | None = None
    max_tokens: int | None = None


@dataclass
class Member:
    """One account: its row of the accounts table (times in microseconds from the start), how it asks, what it asked.

    ``population``: what it is called in the truth table. ``pivots_at``: when it turns to the new model, if it does.
    """

    population: str
    account: dict[str, Any]
    client: Client
    model: int
    temperature: float | None
    max_tokens: int | None
    streams: bool
    requests: list[Request] = field(default_factory=list)
    pivots_at: int | None = None


class Maker:
    """What all populations are made from."""

    def __init__(
        self,
        spec: WorldSpec,
        rng: np.random.Generator,
        prompts: PromptSource,
        surroundings: Surroundings,
        loads: Sequence[F64] = (),
    ) -> None:
        self.spec, self.rng, self.prompts, self.surroundings, self.loads = spec, rng, prompts, surroundings, loads
        self.cards = [f"card_{rng.integers(1 << 60):015x}" for _ in range(40)]

    def member(self, population: str, created: int, place: Place, client: Client, **account: Any) -> Member:
        """An account with its own payment, mail and settings, unless ``account`` says otherwise."""
        rng = self.rng
        free = rng.random() < 0.7
        domain = str(rng.choice(FREE_MAIL, p=_falling(len(FREE_MAIL)))) if free else f"site{rng.integers(1 << 30)}.com"
        row: dict[str, Any] = {
            "account_id": f"acct_{rng.integers(1 << 62):016x}",
            "created_at": created,
            "status": "active",
            "plan": str(rng.choice(PLANS, p=(0.25, 0.4, 0.25, 0.08, 0.02))),
            "signup_path": str(
                rng.choice(("self_serve", "education", "startup", "marketplace"), p=(0.85, 0.06, 0.05, 0.04))
            ),
            "declared_country": place.country,
            "email_domain": domain,
            "email_hash": f"mail_{rng.integers(1 << 60):015x}",
            "payment_hash": f"card_{rng.integers(1 << 60):015x}"
            if rng.random() < 0.98
            else str(rng.choice(self.cards)),
            "payment_bin": str(400_000 + int(rng.zipf(1.3)) % 900),
            "payment_country": place.country,
            "signup_address": place.address,
            "signup_user_agent": self.surroundings.browser(rng).user_agent,
            "verification": str(rng.choice(("email", "phone", "payment"), p=(0.3, 0.3, 0.4))),
        }
        if rng.random() < 0.4:
            row |= {"phone_hash": f"phone_{rng.integers(1 << 60):015x}", "phone_country": place.country}
        return Member(
            population,
            row | account,
            client,
            model=int(rng.choice(3, p=(0.5, 0.3, 0.2))),
            temperature=[None, 0.0, 0.2, 0.7, 1.0][rng.choice(5, p=(0.45, 0.15, 0.1, 0.2, 0.1))],
            max_tokens=[None, 512, 1024, 2048, 4096][rng.choice(5, p=(0.5, 0.1, 0.15, 0.1, 0.15))],
            streams=bool(rng.random() < 0.5),
        )

    def signed_up(self) -> int:
        """Microseconds before the start at which an ordinary account was made: within a year, more of late."""
        return -int(self.rng.beta(1, 1.3) * 365 * DAY)

    def subjects(self, count: int = 3) -> list[int]:
        """A few subjects of somebody's own, the first the favourite."""
        known = self.prompts.subjects
        return [int(one) for one in self.rng.choice(known, size=min(count, known), replace=False)]

    def talk(
        self,
        member: Member,
        times: I64,
        places: Sequence[Place],
        *,
        subjects: Sequence[int] | None = None,
        template: str | None = None,
        use: float = 1.0,
        system: str | None = None,
        tools: tuple[str, ...] | None = None,
    ) -> Member:
        """Give ``member`` requests at ``times`` on its own ``subjects``, a share ``use`` of them put into ``template``,
        from ``places`` (the first three times in four). Returns the member."""
        rng, own = self.rng, list(subjects or self.subjects())
        favour = np.minimum(rng.geometric(0.6, len(times)) - 1, len(own) - 1).tolist()
        elsewhere = (rng.random(len(times)) < 0.25).tolist()
        filled = (rng.random(len(times)) < use).tolist()
        for at, chosen, away, fill in zip(times.tolist(), favour, elsewhere, filled, strict=True):
            text = self.prompts.asking(rng, own[chosen])
            if template is not None and fill:
                text = template.replace("{filling}", text)
            place = places[int(rng.integers(len(places)))] if away else places[0]
            member.requests.append(Request(at, text, place, system, tools))
        return member

    def volumes(self, count: int, total: float) -> I64:
        """Heavy-tailed exchanges by account (log-normal, sigma 1.3) that add up to about ``total``."""
        if not count:
            return np.empty(0, np.int64)
        drawn = self.rng.lognormal(0, 1.3, count)
        drawn = np.minimum(drawn, np.quantile(drawn, 0.998) * 1.5)
        volumes: I64 = np.maximum(1, np.round(drawn * total / drawn.sum())).astype(np.int64)
        return volumes


def person(rng: np.random.Generator, volume: int, days: float, turns: float = 3.5) -> I64:
    """Times (volume,) of somebody's own day, somewhere in the world."""
    hour = float(rng.choice((4.0, 9.0, 14.0, 19.5), p=(0.25, 0.3, 0.25, 0.2)) + rng.normal(0, 1.8))
    spread, weekend = float(rng.uniform(1.5, 4.5)), float(rng.uniform(0.2, 1))
    return sittings(rng, volume, days, hour=hour, spread_h=spread, turns=turns, weekend=weekend)


def _falling(count: int) -> F64:
    weights = 1 / np.arange(1, count + 1)
    return np.asarray(weights / weights.sum())
