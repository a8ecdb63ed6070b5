"""How advice is shown to people: tables of the short list, of continuity and of what rules the others out."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tiergate.cli.rows import print_rows
from tiergate.cli.terminal import counted, note, say

if TYPE_CHECKING:
    from tiergate.advice.advising import Advice
    from tiergate.advice.candidates import Candidate
    from tiergate.advice.programme_path import Path
    from tiergate.advice.shortlist import Reason
    from tiergate.catalog.models import Model

MOST_RANKED = 10
MOST_TO_FIND_OUT = 10
VERDICTS = {"MET": "met", "ASK": "to agree", "UNKNOWN": "not known", "BROKEN": "ruled out"}


def say_advice(advice: Advice) -> None:
    """All of it, in the order in which it is read: the tier, who is left, what to do, what if, why not the others."""
    told = advice.asked.requirements
    say(f"{told.organisation.name}, {advice.market.day}: {', '.join(told.tasks)}")
    say(f"classified tier needed: {advice.need.answer}: {advice.need.because}")
    say()
    _say_ranking(advice)
    _say_agreements(advice)
    _say_risks(advice)
    _say_continuity(advice)
    for path in advice.paths:
        _say_path(path)
    _say_unknown(advice)
    _say_excluded(advice)
    note("--why-not MODEL has every rule on a model with its sources, --json all of it; no legal advice")


def say_model(advice: Advice, model: Model) -> None:
    """Every rule on every way to have one model, with line and sources."""
    from tiergate.advice.rules import Verdict

    say(f"{model.name} ({model.id}) of {model.developer}, {model.country}, on {advice.market.day}")
    ways = advice.market.ways(model)
    if not ways:
        say(f"  not out yet: released on {model.released}")
    for one in ways:
        say(f"{one.id}, {one.standing.tier}")
        for verdict in sorted(Verdict, reverse=True):
            for reason in advice.found.reasons(one, verdict):
                say(f"  {VERDICTS[verdict.name]}: {_words(advice, reason)}")
                for source in reason.finding.sources:
                    say(f"    as of {source.as_of}, {source.source} ({source.licence})")


def _words(advice: Advice, reason: Reason) -> str:
    line = reason.line(advice.asked)
    return f"{reason.rule.id}{f' (line {line})' if line else ''}: {reason.finding.text}"


def _say_ranking(advice: Advice) -> None:
    from tiergate.advice.regret import worst_regret
    from tiergate.advice.rules import Verdict

    if not advice.ranking:
        say("no model meets all that is asked")
        return
    regret, rows = worst_regret(advice.scenarios), []
    for one in advice.ranking[:MOST_RANKED]:
        best = advice.best[one.name]
        cost, score = advice.usd[best.id], advice.market.scores.get(one.name)
        central = sorted(one.central.items(), key=lambda pair: -pair[1])[:2]
        rows.append(
            (
                one.name,
                best.id.partition("@")[2],
                best.standing.tier,
                f"{one.wins:.1%}",
                f"{sum(one.acceptability[:3]):.1%}",
                ", ".join(f"{name} {weight:.0%}" for name, weight in central) or "never",
                "-" if cost is None else f"{cost:,.0f}",
                "-" if score is None else f"{score.eci:.1f}",
                "-" if best.id not in regret else f"{regret[best.id]:,.0f}",
                len(advice.found.reasons(best, Verdict.ASK)),
                len(advice.risks[best.id]),
            )
        )
    print_rows(
        ("model", "way", "tier", "wins", "first three", "wins where weights are about", "USD a month", "ECI",
         "worst regret, USD", "to agree", "risks"),
        rows,
        right="lllrrlrrrrr",
    )  # fmt: skip
    more = len(advice.ranking) - MOST_RANKED
    if more > 0:
        say(f"and {more} more, none of which wins more often")
    priorities = advice.asked.requirements.priorities
    order = f"weights in the order {' >= '.join(priorities)}" if priorities else "all weights alike"
    days = [advice.best[one.name].price for one in advice.ranking]
    oldest = min((one.since for one in days if one is not None), default=None)
    prices = f"; list prices, the oldest of {oldest}" if oldest else ""
    note(f"wins: share of {advice.draws:,} draws, {order}, seed {advice.seed}{prices}; regret: see below")


def _say_agreements(advice: Advice) -> None:
    from tiergate.advice.rules import Verdict

    told: dict[str, list[str]] = {}
    for one in advice.ranking[:MOST_RANKED]:
        for reason in advice.found.reasons(advice.best[one.name], Verdict.ASK):
            told.setdefault(_words(advice, reason), []).append(one.name)
    _say_of_models("to be agreed or done before they are used:", told)


def _say_risks(advice: Advice) -> None:
    told: dict[str, list[str]] = {}
    for one in advice.ranking[:MOST_RANKED]:
        for risk in advice.risks[advice.best[one.name].id]:
            told.setdefault(f"{risk.kind}: {risk.text}", []).append(one.name)
    _say_of_models("risks on file, which rule nothing out:", told)


def _say_of_models(heading: str, told: dict[str, list[str]]) -> None:
    if told:
        say()
        say(heading)
    for text, names in told.items():
        say(f"  {text} [{_names(names)}]")


def _say_continuity(advice: Advice) -> None:
    if not advice.scenarios:
        return
    days = advice.asked.requirements.continuity
    top = {advice.best[one.name].id for one in advice.ranking[:MOST_RANKED]}
    rows = []
    for scenario in advice.scenarios:
        outcomes = [one for one in scenario.outcomes if one.choice in top]
        stopped = [one for one in outcomes if one.stops]
        if stopped or scenario.vendor == "nobody":
            lost = [one.eci_lost for one in stopped if one.eci_lost is not None]
            stand_ins = _names(sorted({one.stand_in for one in stopped if one.stand_in})) or "-"
            dearest = f"{max((one.usd for one in outcomes), default=0.0):,.0f}"
            rows.append((scenario.vendor, len(stopped), stand_ins, dearest, _range(lost)))
    say()
    print_rows(
        (f"gone for {days.days} days", "stop", "stand-ins", "USD of the dearest", "ECI lost"),
        rows,
        right="lrlrr",
    )
    loss = (
        f"${days.loss_usd_per_day:,.0f} a day without a model" if days.loss_usd_per_day else "days without a model free"
    )
    note(f"{days.switch_days} days to switch, {loss}; a vendor's regret: how much more than the best choice then")


def _say_path(path: Path) -> None:
    say()
    done = ", once what is missing is done" if path.eligible == "yes" and path.missing else ""
    say(f"into {path.programme.name} of {path.programme.operator}: eligible: {path.eligible}{done}")
    say(f"  opens {', '.join(path.models) or 'nothing on file today'}")
    for one in path.conditions:
        say(f"  {'to do' if one.answer == 'yes' and one.missing else one.answer}: {one.of}: {one.text}")
    if path.missing:
        say("  missing:")
    for text in path.missing:
        say(f"    {text}")


def _say_unknown(advice: Advice) -> None:
    from tiergate.advice.rules import Verdict

    unknown = advice.found.to_find_out
    if not unknown:
        return
    say()
    say(f"ruled out by nothing, with something to find out first ({counted(len(unknown), 'way')} to have a model):")

    def few(one: Candidate) -> tuple[int, float]:
        score = advice.market.scores.get(one.model.id)
        return len(advice.found.reasons(one, Verdict.UNKNOWN)), -(score.eci if score else 0.0)

    for one in sorted(unknown, key=few)[:MOST_TO_FIND_OUT]:
        texts = "; ".join(reason.finding.text for reason in advice.found.reasons(one, Verdict.UNKNOWN))
        say(f"  {one.id}: {texts}")
    if len(unknown) > MOST_TO_FIND_OUT:
        say(f"  and {len(unknown) - MOST_TO_FIND_OUT} more")


def _say_excluded(advice: Advice) -> None:
    counts: Counter[str] = Counter()
    only: Counter[str] = Counter()
    lines: dict[str, int | None] = {}
    from tiergate.advice.rules import Verdict

    for one in advice.found.excluded:
        reasons = advice.found.reasons(one, Verdict.BROKEN)
        lines |= {reason.rule.id: reason.line(advice.asked) for reason in reasons}
        counts.update(reason.rule.id for reason in reasons)
        if len(reasons) == 1:
            only[reasons[0].rule.id] += 1
    if not counts:
        return
    say()
    print_rows(
        ("ruled out by", "line", "ways", "by this alone"),
        [(rule, lines[rule] or "-", count, only[rule]) for rule, count in counts.most_common()],
        right="lrrr",
    )


def _names(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _range(values: list[float]) -> str:
    if not values:
        return "-"
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low} to {high}"
