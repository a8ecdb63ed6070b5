"""Rules on whether a model does the work: capability, context, what it can, what it costs, how long it takes."""

from __future__ import annotations

from typing import Final

from tiergate.advice.candidates import OWN, Candidate, Market, Price
from tiergate.advice.requirements import Load, Requirements
from tiergate.advice.rules import Finding, Rule, ask, broken, listed, met, unknown, worst
from tiergate.catalog.cited import Cited

Evals = tuple[tuple[str, float, tuple[tuple[str, float], ...]], ...]
Work = tuple[float, int, int, float]
"""Requests a month, tokens of input and of output, share of the input from the cache."""


def work_of(load: Load) -> Work:
    return load.requests_per_month, load.input_tokens, load.output_tokens, load.cached_share


def usd_of(price: Price, work: Work) -> float:
    """US dollars a month at list price; input from a cache costs as much as other where no price for it is listed."""
    requests, given, answered, cached = work
    from_cache = price.input if price.cached_input is None else price.cached_input
    input_usd = given * ((1 - cached) * price.input + cached * from_cache)
    return requests * (input_usd + answered * price.output) / 1e6


def monthly_usd(one: Candidate, work: Work, own_usd: float | None) -> float | None:
    """What the load costs by this way; None where no price is on file."""
    if one.way == OWN:
        return own_usd
    return None if one.price is None else usd_of(one.price, work)


def _eci(one: Candidate, least: float, market: Market) -> Finding:
    score = market.scores.get(one.model.id)
    if score is None:
        return unknown(f"it has no score of Epoch's index on file: {least:g} is asked")
    source = Cited(as_of=market.day, source=f"{score.source}, vintage {score.as_of}", licence=score.licence)
    return (met if score.eci >= least else broken)(f"{score.eci:.1f} points of ECI, {least:g} are asked", source)


def _evals(one: Candidate, asked: Evals, _market: Market) -> Finding:
    findings = []
    for name, least, scores in asked:
        score = dict(scores).get(one.model.id)
        if score is None:
            findings.append(unknown(f"your evaluation `{name}` has no score of it: {least:g} is asked"))
        else:
            said = f"{score:g} in your evaluation `{name}`, {least:g} is asked"
            findings.append((met if score >= least else broken)(said))
    return worst(findings)


def _context(one: Candidate, tokens: tuple[int, int], market: Market) -> Finding:
    whole, answer = tokens
    if one.way == OWN:
        return _context_elsewhere(one, whole, market)
    if one.offer is None or one.offer.context_tokens is None:
        return unknown(f"how large its context is, is not on file: {whole:,} tokens are asked")
    if one.offer.context_tokens < whole:
        return broken(f"its context holds {one.offer.context_tokens:,} tokens, {whole:,} are asked", one.offer)
    if one.offer.output_tokens is not None and one.offer.output_tokens < answer:
        return broken(f"its answers have {one.offer.output_tokens:,} tokens at most, {answer:,} are asked", one.offer)
    return met(f"its context holds {one.offer.context_tokens:,} tokens", one.offer)


def _context_elsewhere(one: Candidate, whole: int, market: Market) -> Finding:
    """Of weights on machines of one's own, the largest context that anybody serves them with."""
    offers = [each.offer for each in market.ways(one.model) if each.offer is not None and each.offer.context_tokens]
    largest = max(offers, key=lambda offer: offer.context_tokens or 0, default=None)
    if largest is None:
        return unknown(f"how large its context is, is not on file: {whole:,} tokens are asked")
    said = f"{largest.context_tokens:,} tokens at {largest.provider}"
    if (largest.context_tokens or 0) < whole:
        return unknown(f"its context is not known to hold {whole:,} tokens: {said}", largest)
    return ask(f"serve it with a context of {whole:,} tokens, as it has {said}", largest)


def _needs(one: Candidate, needs: tuple[str, ...], _market: Market) -> Finding:
    if one.way == OWN:
        return ask(f"serve it so that it has {listed(needs)}")
    if one.offer is None:
        return unknown(f"whether it has {listed(needs)} is not on file")
    missing = [need for need in needs if need not in one.offer.capabilities]
    if missing:
        return unknown(f"that it has {listed(missing)} is not on file", one.offer)
    return met(f"it has {listed(needs)}", one.offer)


def _budget(one: Candidate, asked: tuple[float, Work, float | None], _market: Market) -> Finding:
    most, work, own_usd = asked
    usd = monthly_usd(one, work, own_usd)
    if usd is None:
        if one.way == OWN:
            return unknown("what your own hosting costs is not given: `own_hosting_usd_per_month`")
        return unknown(f"no price of {one.way} is on file")
    sources = () if one.price is None or one.way == OWN else (one.price.fact,)
    return (met if usd <= most else broken)(
        f"${usd:,.0f} a month at this load, ${most:,.0f} at most are asked", *sources
    )


def _latency(one: Candidate, asked: tuple[float, tuple[tuple[str, float], ...]], _market: Market) -> Finding:
    most, measured = asked
    seconds = dict(measured).get(one.model.id)
    if seconds is None:
        return ask(f"measure it: {most:g} s are asked, and `latency.measured_s` has no figure of it")
    return (met if seconds <= most else broken)(f"{seconds:g} s as you measured, {most:g} s are asked")


def _asks_evals(told: Requirements) -> Evals | None:
    return tuple((one.name, one.least, tuple(sorted(one.scores.items()))) for one in told.capability.evals) or None


def _asks_context(told: Requirements) -> tuple[int, int] | None:
    whole = told.load.context_tokens or told.load.input_tokens + told.load.output_tokens
    return (whole, told.load.output_tokens) if whole else None


def _asks_budget(told: Requirements) -> tuple[float, Work, float | None] | None:
    most = told.budget_usd_per_month
    return None if most is None else (most, work_of(told.load), told.own_hosting_usd_per_month)


def _asks_latency(told: Requirements) -> tuple[float, tuple[tuple[str, float], ...]] | None:
    if told.latency is None:
        return None
    return told.latency.most_s, tuple(sorted(told.latency.measured_s.items()))


RULES: Final = (
    Rule("least_eci", ("capability.least_eci",), lambda told: told.capability.least_eci, _eci),
    Rule("own_evals", ("capability.evals",), _asks_evals, _evals),
    Rule("context", ("load.context_tokens", "load.input_tokens", "load"), _asks_context, _context),
    Rule("needs", ("load.needs",), lambda told: tuple(told.load.needs) or None, _needs),
    Rule("budget", ("budget_usd_per_month",), _asks_budget, _budget),
    Rule("latency", ("latency.most_s",), _asks_latency, _latency),
)
