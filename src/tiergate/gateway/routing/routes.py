"""`gateway.yaml` as a whole: names that lead somewhere, tiers that are not mixed, secrets from the environment.

A wrong file is refused with every fault it has, each with its line; `tiergate.gateway.routing.reload` then keeps the
one that was in force.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from pydantic import SecretStr

from tiergate.admission.known_facts import TIER_RANK
from tiergate.admission.models import Models
from tiergate.errors import InputError
from tiergate.gateway.routing.candidates import Candidate, Group, Upstream
from tiergate.gateway.routing.prices import FREE, Price, listed, start_us
from tiergate.gateway.routing.requirements import Requirements
from tiergate.gateway.routing.rows import GroupRow, ModelRow, PoliciesRow, Sections, UpstreamRow, sections
from tiergate.gateway.routing.urls import url_fault
from tiergate.records.strict_yaml import Faults, Node, UnreadableError, read_tree

MOST_CANDIDATES: Final = 64
"""Of a group: each request looks at all of them."""

MOST_SHOWN: Final = 20
"""Faults in one message."""


class FaultyRoutesError(InputError):
    """A file of routes that cannot be used; ``faults`` are all that were found, each with its line."""

    def __init__(self, faults: list[str]) -> None:
        more = len(faults) - MOST_SHOWN
        super().__init__("; ".join(faults[:MOST_SHOWN]) + (f"; and {more} more" if more > 0 else ""))
        self.faults = faults


class Routes(msgspec.Struct, frozen=True):
    """The file, checked. ``candidates`` and ``groups`` are by the names that callers use; no name is in both."""

    upstreams: dict[str, Upstream]
    candidates: dict[str, Candidate]
    groups: dict[str, Group]
    policies: PoliciesRow = PoliciesRow()

    def group(self, name: str) -> Group | None:
        """What a caller names: a group, or a model by itself as a group of one; None for a name that is not there."""
        return self.groups.get(name)

    def policy(self, *, organisation_id: str | None, account_id: str, credential_id: str) -> Requirements:
        """What the file requires of every request of a key: joined, so each can only tighten the others."""
        said, none = self.policies, Requirements()
        joined = said.everyone & said.accounts.get(account_id, none) & said.keys.get(credential_id, none)
        return joined & said.organisations.get(organisation_id or "", none)


def parse(content: bytes, models: Models, environment: Mapping[str, str] | None) -> Routes:
    """Check a file of routes.

    :param models: `models.toml`, which says the tier of each candidate.
    :param environment: where keys are looked up; None leaves them out, to check a file where the keys are not.
    Raises `FaultyRoutesError`.
    """
    faults = Faults()
    try:
        tree = read_tree(content)
    except UnreadableError as error:
        raise FaultyRoutesError([str(error)]) from error
    said = sections(tree, faults)
    if said is not None:
        routes = _Joiner(said, tree, models, environment, faults).routes()
        if not faults.found:
            return routes
    raise FaultyRoutesError(faults.found)


class _Joiner:
    """Follows every name in a file. What is wrong is added to ``faults``."""

    def __init__(
        self, said: Sections, tree: Node, models: Models, environment: Mapping[str, str] | None, faults: Faults
    ) -> None:
        self._said = said
        self._tree = tree
        self._models = models
        self._environment = environment
        self._faults = faults

    def routes(self) -> Routes:
        said = self._said
        upstreams = {name: self._upstream(name, row) for name, row in said.upstreams.items()}
        candidates = {
            name: self._candidate(name, row, upstreams[row.upstream])
            for name, row in said.models.items()
            if self._leads(row.upstream, upstreams, "upstream", "models", name, "upstream")
        }
        self._one_tier_a_model(candidates.values())
        groups = {name: self._group(name, row, candidates) for name, row in said.groups.items()}
        for name in said.groups.keys() & said.models.keys():
            self._add(f"`groups.{name}` has the name of a model: callers could not tell them apart", "groups", name)
        alone = {name: Group(name=name, candidates=(one,)) for name, one in candidates.items()}
        return Routes(upstreams, candidates, groups | alone, said.policies)

    def _upstream(self, name: str, row: UpstreamRow) -> Upstream:
        self._named(name, "upstreams")
        fault = url_fault(row.url, private=row.private)
        if fault is not None:
            self._add(f"`upstreams.{name}.url`: {fault}", "upstreams", name, "url")
        return Upstream(
            name=name, url=row.url.rstrip("/"), dialect=row.dialect, private=row.private,
            key_env=row.key_env, key=self._key(name, row.key_env),
            timeouts=row.timeouts, concurrency=row.concurrency, retry_ratio=row.retry_ratio,
            stream_usage=row.stream_usage,
        )  # fmt: skip

    def _key(self, name: str, variable: str | None) -> SecretStr | None:
        if variable is None or self._environment is None:
            return None
        key = self._environment.get(variable)
        if not key:
            self._add(f"`upstreams.{name}.key_env`: set the environment variable `{variable}`", "upstreams", name,
                      "key_env")  # fmt: skip
            return None
        if not (key.isascii() and key.isprintable()) or " " in key:
            text = f"`upstreams.{name}.key_env`: `{variable}` holds what no header can carry, such as a line break"
            self._add(text, "upstreams", name, "key_env")
        return SecretStr(key)

    def _candidate(self, name: str, row: ModelRow, upstream: Upstream) -> Candidate:
        self._named(name, "models")
        behind = self._said.upstreams[row.upstream]
        listed = self._models.by_name.get(name)
        if listed is None and self._models.tiers_in_force:
            self._add(f"`models.{name}` has no row in models.toml, which says its tier: no caller could use it",
                      "models", name)  # fmt: skip
        return Candidate(
            name=name,
            upstream=upstream,
            upstream_model=row.upstream_model or name,
            prices=self._prices(name, row),
            context_tokens=row.context_tokens,
            output_tokens=row.output_tokens,
            capabilities=row.capabilities,
            region=row.region or behind.region,
            retention_days=behind.retention_days if row.retention_days is None else row.retention_days,
            origin=row.origin,
            tier=listed.tier if listed else None,
        )

    def _prices(self, name: str, row: ModelRow) -> tuple[Price, ...]:
        if bool(row.prices) + bool(row.list_price) + row.free > 1:
            text = f"`models.{name}` has more than one of `prices`, `list_price` and `free`: leave one"
            self._add(text, "models", name)
        if row.free:
            return (FREE,)
        rows = row.prices
        if row.list_price and not rows:
            try:
                return listed(row.list_price)
            except InputError as error:
                self._add(f"`models.{name}.list_price`: {error}", "models", name, "list_price")
                return ()
        if not rows:
            text = (
                f"`models.{name}` has no price, so every request would be refused: give `prices`, `list_price` or "
                "`free: true`"
            )
            self._add(text, "models", name)
        days = [row.from_day for row in rows]
        if len(set(days)) < len(days):
            self._add(f"`models.{name}.prices` has two prices from one day", "models", name, "prices")
        return tuple(
            Price(
                from_us=start_us(row.from_day),
                input=row.input, output=row.output, cached_input=row.cached_input, cache_write=row.cache_write,
                reasoning=row.reasoning,
            )
            for row in sorted(rows, key=lambda row: row.from_day)
        )  # fmt: skip

    def _one_tier_a_model(self, candidates: Iterable[Candidate]) -> None:
        """One model at an upstream under two names must not be of two tiers: the lower one would open the higher."""
        if not self._models.tiers_in_force:
            return
        seen: dict[tuple[str, str], Candidate] = {}
        for one in candidates:
            first = seen.setdefault((one.upstream.url, one.upstream_model), one)
            if first.tier != one.tier:
                self._add(
                    f"`models.{one.name}` and `models.{first.name}` are one model at the upstream, but their tiers in "
                    f"models.toml differ",
                    "models", one.name,
                )  # fmt: skip
            listed = self._models.by_name.get(one.upstream_model)
            if listed is not None and TIER_RANK[listed.tier] > TIER_RANK.get(one.tier or "", -1):
                self._add(
                    f"`models.{one.name}` asks for `{one.upstream_model}`, which models.toml lists as {listed.tier}: "
                    f"give `{one.name}` that tier there",
                    "models", one.name, "upstream_model",
                )  # fmt: skip

    def _group(self, name: str, row: GroupRow, candidates: dict[str, Candidate]) -> Group:
        self._named(name, "groups")
        place = f"`groups.{name}.candidates`"
        members = [
            candidates[one]
            for one in row.candidates
            if self._leads(one, self._said.models, "model", "groups", name, "candidates") and one in candidates
        ]
        if not row.candidates or len(row.candidates) > MOST_CANDIDATES:
            self._add(f"{place} must name 1 to {MOST_CANDIDATES} models", "groups", name, "candidates")
        if len(set(row.candidates)) < len(row.candidates):
            self._add(f"{place} names a model twice", "groups", name, "candidates")
        for weighted in row.weights:
            self._leads(weighted, row.candidates, "candidate", "groups", name, "weights")
        if row.weights and row.strategy not in ("weighted", "sticky"):
            text = (
                f"`groups.{name}.weights` says nothing under the strategy `{row.strategy}`: use `weighted` or `sticky`"
            )
            self._add(text, "groups", name, "weights")
        offered = [one for one in members if one.tier in row.offer]
        tried = [one for one in members if one.tier not in row.offer]
        if members and not tried:
            self._add(f"`groups.{name}.offer` has the tier of every candidate: none is left to try", "groups", name,
                      "offer")  # fmt: skip
        self._one_tier(name, tried, offered)
        offered.sort(key=lambda one: -TIER_RANK.get(one.tier or "", 0))
        return Group(
            name=name, candidates=tuple(tried), offered=tuple(offered), strategy=row.strategy, weights=row.weights,
            max_attempts=row.max_attempts, retry_500=row.retry_500, fallback=row.fallback,
        )  # fmt: skip

    def _one_tier(self, name: str, tried: list[Candidate], offered: list[Candidate]) -> None:
        tiers = sorted({one.tier for one in tried if one.tier}, key=lambda tier: -TIER_RANK[tier])
        if len(tiers) > 1:
            self._add(
                f"`groups.{name}.candidates` are of the tiers {' and '.join(tiers)}: write `offer: [{tiers[-1]}]`, and "
                f"an error names those without trying them, or take them out",
                "groups", name, "candidates",
            )  # fmt: skip
        if len(tried) > 1 and "classified" in tiers:
            self._add(
                f"`groups.{name}.candidates` are classified: decision and credit are for one model, so name one alone",
                "groups", name, "candidates",
            )  # fmt: skip
        for one in offered:
            if tiers and TIER_RANK[one.tier or ""] > TIER_RANK[tiers[0]]:
                self._add(f"`groups.{name}.offer` would offer `{one.name}` of a higher tier", "groups", name, "offer")

    def _named(self, name: str, section: str) -> None:
        if not (name.isascii() and name.isprintable() and 0 < len(name) <= 256 and " " not in name):
            self._add(f"`{section}` has a name that is not 1 to 256 printable ASCII characters", section, name)

    def _leads(self, name: str, there: Iterable[str], kind: str, *where: str) -> bool:
        """Whether a name is there; a fault otherwise."""
        known = list(there)
        if name in known:
            return True
        close = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean `{close[0]}`?" if close else f"there are {', '.join(known) or 'none'}"
        self._add(f"`{'.'.join(where)}`: there is no {kind} `{name}`: {hint}", *where)
        return False

    def _add(self, text: str, *where: str) -> None:
        node: Any = self._tree
        for name in where:
            node = node.value.get(name, node) if isinstance(node.value, dict) else node
        self._faults.add(node.line, text)
