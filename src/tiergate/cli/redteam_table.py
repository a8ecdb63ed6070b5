"""The table that `tiergate redteam` prints: what each control costs the attacker."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tiergate.redteam.assess import Assessment
from tiergate.redteam.attack import Attack
from tiergate.redteam.trial import Control, Trial

NAMES = {
    Control.NONE: "none",
    Control.RATE_LIMIT: "rate limit",
    Control.SIGNUP_CHECK: "identity check",
    Control.DETECTION: "detection",
    Control.WITHOUT_DETECTION: "limit and check",
    Control.ALL: "all three",
    Control.REVIEWED: "all, reviewed",
}


def print_results(results: Sequence[Assessment], console: Console | None = None) -> None:
    """Print the table, the attacks in words and what the figures are worth."""
    console = console or Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name, right in (
        ("exchanges", True),
        ("control", False),
        ("USD each", True),
        ("times", True),
        ("low-high", True),
        ("accounts", True),
        ("days", True),
    ):
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for one in results:
        table.add_row(f"{one.exchanges:,}", NAMES[one.control], *_figures(one))
    console.print(table)
    for one in results:
        if one.attack is not None and one.control is not Control.NONE:
            console.print(f"\n{one.exchanges:,} exchanges, {NAMES[one.control]}:")
            console.print(Padding(Text(_words(one)), (0, 0, 0, 2)))
    console.print(
        "\nSimulated, on a small made-up world, with assumed prices where no dated source was found, and against this "
        "attacker only: a longer search or a cleverer attacker can only be cheaper. 'low-high' takes all prices at "
        "their low and at their high, for the same attacks."
    )


def _figures(one: Assessment) -> tuple[str, ...]:
    if one.attack is None or one.trial is None:
        return ("no attack found", "", "", "", "")
    times = sorted((one.multiplier["low"], one.multiplier["high"]))
    return (
        f"{one.usd_per_exchange['mode']:.4f}",
        f"{one.multiplier['mode']:.2f}",
        f"{times[0]:.3g}-{times[1]:.3g}",
        f"{one.attack.spec.accounts + one.trial.replacements:,}",
        f"{one.trial.days:.1f}",
    )


def _words(one: Assessment) -> str:
    attack, trial = one.attack, one.trial
    assert attack is not None
    assert trial is not None
    parts = [_disguise(attack)]
    if trial.answered_on is not None:
        parts.append(f"first verdict on day {trial.answered_on:g}")
    if trial.replacements or trial.step_ups:
        parts.append(f"{trial.replacements} accounts replaced, {trial.step_ups} verified on demand")
    if trial.looks:
        parts.append(_nearest(trial))
    if trial.honest:
        parts.append(f"{trial.honest} honest accounts under a verdict")
    dearest = sorted(one.items.items(), key=lambda item: -item[1])[:3]
    parts.append("pays for " + ", ".join(f"{name} {value:,.2f}" for name, value in dearest))
    parts.append(f"gets {min(one.elsewhere or 0.0, 1.0):.0%} out of another world")
    return "; ".join(parts)


def _nearest(trial: Trial) -> str:
    """Why nothing was done about it, or not enough: the finding of its accounts that came nearest."""
    near = trial.nearest
    if not near:
        return f"none of its accounts in any finding of {trial.looks} looks"
    where = f"in {trial.looks} looks at best {near['mine']:.0f} of its accounts in a finding"
    if not near["linked"]:
        return f"{where} of an instruction alone, which is only watched"
    return f"{where}, whose workload says {near['queue']:.1f} nats ({near['needed']:.1f} are acted on)"


def _disguise(attack: Attack) -> str:
    spec = attack.spec
    words = [
        f"{1 - spec.address_sharing:.0%} own address",
        f"{1 - spec.payment_sharing:.0%} own card",
        f"{spec.client_programs} client programs" if spec.client_programs else "own client programs",
        f"{spec.wordings} wordings" if spec.wordings else "every prompt reworded",
    ]
    if spec.topics_per_account:
        words.append(f"{spec.topics_per_account} subjects an account")
    for many, said in (
        (spec.filler_words, f"{spec.filler_words} own words a message"),
        (spec.prefix_kib, f"own beginnings of {spec.prefix_kib} KiB"),
        (spec.end_users, f"{spec.end_users} end users an account"),
        (spec.padding, f"{spec.padding:.0%} padding"),
        (spec.aged_days > 1, f"aged {spec.aged_days:g} days"),
    ):
        if many:
            words.append(said)
    if spec.camouflage:
        words.append(f"{spec.camouflage:.0%} camouflage")
    if spec.human_rhythm:
        words.append("human hours")
    if spec.replaced_after_h is not None:
        words.append(f"replaces within {spec.replaced_after_h:g} h")
    return ", ".join(words)
