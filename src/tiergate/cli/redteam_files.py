"""What `tiergate redteam` writes: redteam.json, redteam.csv and, where matplotlib is there, redteam.svg."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tiergate
from tiergate.redteam.assess import Assessment
from tiergate.redteam.background import Setting
from tiergate.redteam.trial import Control

COLUMNS = (
    *("exchanges", "control", "usd_per_exchange", "usd_per_exchange_low", "usd_per_exchange_high"),
    *("multiplier", "multiplier_low", "multiplier_high", "accounts", "days", "replacements", "step_ups"),
    *("first_verdict_day", "honest_accounts_answered", "share_elsewhere", "trials"),
)
CAVEAT = (
    "simulated: a small made-up world, assumed prices where their source says so, and this attacker with this budget "
    "of search only; a cleverer attacker pays less, so each multiplier is an upper bound on what the controls achieve"
)


def as_rows(results: Sequence[Assessment]) -> list[dict[str, Any]]:
    """Assessments as plain values; what is infinite (nothing found) becomes null."""
    return [_finite(asdict(one)) for one in results]


def write_results(out: Path, results: Sequence[Assessment], setting: Setting, run: dict[str, Any]) -> None:
    """Write redteam.json and redteam.csv into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    whole = {
        "tiergate": tiergate.__version__,
        "simulated": True,
        "caveat": CAVEAT,
        "setting": asdict(setting),
        **run,
        "assessments": as_rows(results),
    }
    _replace(out / "redteam.json", json.dumps(whole, indent=2) + "\n")
    half = out / "redteam.csv.part"
    with half.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_csv_row(one) for one in results)
    half.replace(out / "redteam.csv")


def figure(results: Sequence[Assessment], out: Path) -> Path | None:
    """Draw the cost curves into ``out``, a line for each control; None where matplotlib is not installed."""
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogLocator, NullFormatter
    except ModuleNotFoundError:
        return None
    path = out / "redteam.svg"
    with mpl.rc_context({"svg.hashsalt": "tiergate", "svg.fonttype": "none", "font.size": 9.0}):
        drawing = Figure(figsize=(6.4, 3.6), layout="constrained")
        FigureCanvasSVG(drawing)
        axes = drawing.subplots()
        for control, marker in zip(Control, "osD^vxP", strict=True):
            some = [one for one in results if one.control is control and one.usd_per_exchange]
            cost = [one.usd_per_exchange["mode"] for one in some]
            axes.plot([one.exchanges for one in some], cost, marker=marker, label=str(control).replace("_", " "))
        axes.set_xscale("log")
        axes.set_yscale("log")
        wanted = sorted({one.exchanges for one in results})
        axes.set_xticks(wanted, [f"{number:,}" for number in wanted])
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("exchanges the attacker gets out")
        axes.set_ylabel("USD per exchange, cheapest attack found")
        axes.set_title("Simulated, against this attacker only", loc="left", fontsize=9.0)
        axes.grid(which="major", linewidth=0.4)
        drawing.legend(loc="outside right upper", frameon=False, title="control")
        drawing.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    return path


def _csv_row(one: Assessment) -> list[object]:
    cost, times, attack, trial = one.usd_per_exchange, one.multiplier, one.attack, one.trial
    return [
        one.exchanges,
        str(one.control),
        *(cost.get(level) for level in ("mode", "low", "high")),
        *(times.get(level) for level in ("mode", "low", "high")),
        *((attack.spec.accounts,) if attack else (None,)),
        *((trial.days, trial.replacements, trial.step_ups, trial.answered_on, trial.honest) if trial else (None,) * 5),
        one.elsewhere,
        one.trials,
    ]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    return None if value == float("inf") else value


def _replace(path: Path, text: str) -> None:
    half = path.with_name(path.name + ".part")
    half.write_text(text, encoding="utf-8")
    half.replace(path)
