"""The measurements as Markdown tables, each of which can be pasted by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Final

from benchmarks.detection.leak import bracket
from benchmarks.detection.measures import NOMINAL_Q, RATES, calibration, false_discoveries, upper_limit
from benchmarks.detection.measuring import TIERGATE
from benchmarks.detection.results import ACTING, CaseOutcome, Leak, Measurement, Results, Share, WorldResult

NOTHING: Final = "-"


def page(results: Results, plots: Sequence[str] = ()) -> str:
    """The whole of table.md."""
    worlds = results.worlds
    seeds = sorted({one.seed for one in worlds})
    parts = [
        "# Detection of campaigns in simulated worlds",
        f"Split {results.split}, seeds {', '.join(map(str, seeds)) or NOTHING}, {results.accounts:,} accounts; "
        f"{len(worlds)} worlds, {sum(one.facts.exchanges for one in worlds):,} exchanges. All worlds are simulated."
        + ("" if results.decoys is None else f" Tiergate ran with {results.decoys} decoys instead of its own choice.")
        + _codes(worlds),
        *(_recall(worlds, rate) for rate in RATES),
        _by_action(worlds),
        _wronged(worlds, "population", lambda one: one.false_by_population),
        _wronged(worlds, "main language", lambda one: one.false_by_language),
        _cases(worlds),
        _exchanges(worlds),
        _leaks(worlds),
        _relinking(worlds),
        _cost(worlds),
        *(f"![{name.partition('.')[0]}]({name})" for name in plots),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def figure(share: Share | None) -> str:
    """A share with three digits, never rounded to a 0 or 1 that it is not."""
    if share is None or not share.of:
        return NOTHING
    value = share.value
    if 0 < value < 0.0005:
        return f"{value:.0e}"
    return f"{value:.5f}" if 0.9995 <= value < 1 else f"{value:.3f}"


def _recall(worlds: Sequence[WorldResult], rate: float) -> str:
    place = RATES.index(rate)
    names = _detectors(worlds)
    rows = []
    for scenario, some in _by_scenario(worlds).items():
        cells = []
        for name in names:
            found = [m.recall[place].found for m in _of(some, name) if m.recall[place].found.of]
            cell = figure(_sum(found))
            worst, best = (figure(pick(found, key=_value, default=None)) for pick in (min, max))
            if name == TIERGATE and worst != best:
                cell += f" ({worst} to {best})"
            cells.append(cell)
        if any(cell != NOTHING for cell in cells):
            rows.append([scenario, *cells])
    recalls = [m.recall[place] for one in worlds for m in one.measurements.values()]
    allowed = sorted({one.allowed for one in recalls})
    let = f"{allowed[0]} to {allowed[-1]}" if len(allowed) > 1 else str(*allowed)
    return (
        f"## Recall of campaign accounts at an account false-positive rate of {rate:g}\n\n"
        f"In a world of this size the rate lets {let} innocent accounts through; ties count against the detector. "
        "Seeds are pooled; in brackets the worst and the best.\n\n" + table(["scenario", *names], rows)
    )


def _by_action(worlds: Sequence[WorldResult]) -> str:
    rows = []
    for scenario, some in _by_scenario(worlds).items():
        ours = [m.recall_by_action for m in _of(some, TIERGATE)]
        found = [_sum(one[action] for one in ours if action in one) for action in ("watch", *ACTING)]
        if found[0].of:
            none = Share(found[0].of - sum(one.part for one in found), found[0].of)
            rows.append([scenario, *(figure(one) for one in (*found, none))])
    return "## Campaign accounts by the strictest action of their cases\n\n" + table(
        ["scenario", "watch", *ACTING, "in no case"], rows
    )


def _wronged(worlds: Sequence[WorldResult], what: str, taken: Callable[[Measurement], dict[str, Share]]) -> str:
    names = _detectors(worlds)
    sums = {name: [taken(one) for one in _of(worlds, name)] for name in names}
    labels = sorted({label for some in sums.values() for one in some for label in one})
    rows = []
    for label in labels:
        each = [_sum(one[label] for one in sums[name] if label in one) for name in names]
        rows.append([label, f"{max(one.of for one in each):,}", *(f"{one.part:,}" for one in each)])
    every = [_sum(share for one in sums[name] for share in one.values()) for name in names]
    rows.append(["all", f"{max((one.of for one in every), default=0):,}", *(f"{one.part:,}" for one in every)])
    return (
        f"## Innocent accounts accused, by {what}\n\n"
        f"Tiergate: in a case above `watch`. Others: beyond the bar of a false-positive rate of {max(RATES):g}. "
        "All worlds pooled.\n\n" + table([what, "accounts", *names], rows)
    )


def _cases(worlds: Sequence[WorldResult]) -> str:
    cases = [case for m in _of(worlds, TIERGATE) for case in m.cases]
    false = false_discoveries(cases)
    groups: list[tuple[str, list[CaseOutcome]]] = [
        (action, [case for case in cases if case.action == action]) for action in ("watch", *ACTING)
    ]
    rows = [[name, str(len(some)), str(sum(not case.right for case in some))] for name, some in groups]
    bins = [
        [f"up to {edge:g}", str(share.of), f"{confidence:.3f}", figure(share)]
        for edge, confidence, share in calibration(cases)
    ]
    rate = f"{figure(false)} (95% upper limit {upper_limit(false):.3f})" if false.of else NOTHING
    return (
        f"## Cases against the truth\n\nA case is right when most of its accounts are a campaign's. Of {false.of} "
        f"cases opened with q <= {NOMINAL_Q:g}, {false.part} are not: realised false discovery rate {rate}.\n\n"
        + table(["action", "cases", "not right"], rows)
        + "\n\n"
        + table(["confidence", "cases", "mean confidence", "right"], bins)
    )


def _exchanges(worlds: Sequence[WorldResult]) -> str:
    rows = []
    for scenario, some in _by_scenario(worlds).items():
        ours = [m.charged for m in _of(some, TIERGATE)]
        cells = []
        for which in ("any", "acting"):
            wrongly = _sum(one[which].wrongly for one in ours if which in one)
            rightly = _sum(one[which].rightly for one in ours if which in one)
            cells += [f"{wrongly.of:,}", figure(wrongly), figure(rightly)]
        rows.append([scenario, *cells])
    head = ["charged", "of these not the campaign's", "of the campaign's charged"]
    return "## Exchanges charged, in any case and in cases above `watch`\n\n" + table(
        ["scenario", *(f"{one}, any" for one in head), *(f"{one}, above `watch`" for one in head)], rows
    )


def _leaks(worlds: Sequence[WorldResult]) -> str:
    rows = [
        [one.scenario, str(one.seed), case, *_until(one.leak, acting=case != "any")]
        for one in worlds
        if one.leak is not None
        for case in ("above `watch`", "any")
    ]
    if not rows:
        return ""
    head = ["hours", "exchanges", "share", "share of the published length", "accounts in it then"]
    return (
        "## Leaked before the first case with mostly campaign accounts\n\nUpper ends: a detection at these hours "
        "after the campaign's first exchange opened the case, and the one before, at the hours in brackets, did not. "
        "The published length is the provider's figure, at the rate simulated here. Accounts: those of the campaign "
        "that had sent anything, and were in such a case.\n\n" + table(["scenario", "seed", "case", *head], rows)
    )


def _until(leak: Leak, *, acting: bool) -> list[str]:
    before, found = bracket(leak.looks, acting=acting)
    if found is None:
        return [
            f"never in {leak.span_hours:.0f}",
            f"{leak.campaign_exchanges:,}",
            figure(Share(1, 1)),
            NOTHING,
            NOTHING,
        ]
    share = figure(Share(found.sent, leak.campaign_exchanges))
    since = f"{found.hours:.1f} ({before.hours if before else 0:.1f})"
    held = found.acting if acting else found.opened
    published = f"{found.hours / (leak.published_days * 24):.4f}"
    return [since, f"{found.sent:,}", share, published, f"{held.part} of {held.of}"]


def _relinking(worlds: Sequence[WorldResult]) -> str:
    rows = []
    for one in worlds:
        if one.leak is not None and one.leak.relinking:
            for after, look in one.leak.relinking.items():
                share = look.relinked or Share(0, 0)
                rows.append([one.scenario, str(one.seed), after, f"{share.part} of {share.of}", figure(share)])
    if not rows:
        return ""
    return (
        "## Second pool tied to the first\n\nAccounts of the second pool that had sent anything, in a case that also "
        "holds the first pool's accounts (a fifth of it or more) or is tied to such a case.\n\n"
        + table(["scenario", "seed", "after its first exchange", "tied", "share"], rows)
    )


def _cost(worlds: Sequence[WorldResult]) -> str:
    rows = []
    for name in _detectors(worlds):
        used = [one.usage for one in _of(worlds, name)]
        wall = [one.wall_s for one in used]
        rows.append(
            [
                name,
                f"{median(wall):.1f} ({min(wall):.1f} to {max(wall):.1f})",
                f"{median(one.cpu_s for one in used):.1f}",
                f"{max(one.peak_mib for one in used):,}",
            ]
        )
    return (
        "## Cost of one detection\n\nA whole process each, from files with text; peak memory is that of the largest "
        "process of it.\n\n" + table(["detector", "median s (range)", "median CPU s", "peak MiB"], rows)
    )


def _codes(worlds: Sequence[WorldResult]) -> str:
    """A warning when Tiergate's figures come from more than one state of its code."""
    codes = sorted({m.code for m in _of(worlds, TIERGATE)} | {one.leak.code for one in worlds if one.leak})
    if len(codes) < 2:
        return f" Code {codes[0]}." if codes else ""
    return (
        f" **Measured with {len(codes)} states of Tiergate's code ({', '.join(codes)}): not one detector's figures.**"
    )


def _detectors(worlds: Sequence[WorldResult]) -> list[str]:
    return list(dict.fromkeys(name for one in worlds for name in one.measurements))


def _by_scenario(worlds: Sequence[WorldResult]) -> dict[str, list[WorldResult]]:
    return {name: [one for one in worlds if one.scenario == name] for name in dict.fromkeys(w.scenario for w in worlds)}


def _of(worlds: Iterable[WorldResult], name: str) -> list[Measurement]:
    return [one.measurements[name] for one in worlds if name in one.measurements]


def _sum(shares: Iterable[Share]) -> Share:
    return sum(shares, start=Share(0, 0))


def _value(share: Share) -> float:
    return share.value
