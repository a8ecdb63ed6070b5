"""The report's figures, each a pure function from rows to an inline SVG."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tiergate.cli.cases import Case, Row
from tiergate.cli.report.layout import spring_layout
from tiergate.cli.report.palette import AGAINST, FOR, GRID, INK, PAPER, QUIET, RC, REST, inline
from tiergate.cli.report.traffic import Traffic

WIDE: Final = (8.2, 2.6)
HALF: Final = (4.0, 2.9)


def drawing(draw: Callable[[Figure], None], size: tuple[float, float], prefix: str, label: str) -> str:
    """Run ``draw`` on a figure of ``size`` inches and return it as an SVG fragment with ids under ``prefix``."""
    with mpl.rc_context(RC):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return inline(buffer.getvalue(), prefix, label)


def waterfall(case: Case, prefix: str) -> str:
    """Log-odds by family, running from zero: what speaks for the case, then what speaks against it."""
    sums: dict[tuple[str, str], float] = {}
    for row in case.speaking_for + case.speaking_against:
        key = ("for" if row["log_odds"] > 0 else "against", row["family"])
        sums[key] = sums.get(key, 0.0) + row["log_odds"]
    steps = sorted(sums.items(), key=lambda item: -item[1])
    total = sum(sums.values())

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        start, reach = 0.0, max((abs(v) for v in sums.values()), default=1.0) + abs(total)
        for place, ((direction, _family), value) in enumerate(steps):
            against = direction == "against"
            axes.barh(
                place,
                value,
                left=start,
                height=0.62,
                color="none" if against else FOR,
                edgecolor=AGAINST if against else FOR,
                hatch="////" if against else None,
            )
            axes.plot([start + value] * 2, [place - 0.31, place + 1.31], color=GRID, linewidth=0.8, zorder=0)
            axes.text(max(start, start + value) + reach * 0.012, place, _signed(value), va="center")
            start += value
        axes.barh(len(steps), total, height=0.62, color=INK)
        axes.text(max(total, 0) + reach * 0.012, len(steps), _signed(total), va="center", weight="bold")
        names = [family.replace("_", " ") for (_, family), _ in steps]
        axes.set_yticks(range(len(steps) + 1), [*names, "all together"])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.invert_yaxis()
        axes.axvline(0, color=QUIET, linewidth=0.8)
        axes.margins(x=0.1)
        axes.set_xlabel("log-odds (natural logarithm); hatched: speaks against")
        axes.grid(axis="x")

    size = (WIDE[0], 0.95 + 0.3 * (len(steps) + 1))
    return drawing(draw, size, prefix, f"Waterfall of log-odds by evidence family, {total:+.1f} in all")


def timeline(traffic: Traffic, prefix: str) -> str:
    """Exchanges per bin of time: the case's accounts above, everyone else below, each on its own scale."""

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 2]})
        moments = traffic.starts.astype("datetime64[us]")
        for axes, values, colour, name in (
            (above, traffic.case, FOR, "accounts of the case"),
            (below, traffic.rest, REST, "everyone else"),
        ):
            axes.fill_between(moments, values, step="post", color=colour, alpha=0.22, linewidth=0)
            axes.step(moments, values, where="post", color=colour, linewidth=1.2)
            axes.set_title(name)
            axes.set_ylim(bottom=0)
            axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
            axes.grid(axis="y")
            axes.margins(x=0)
        below.set_xlabel(f"UTC; exchanges per {traffic.bin_name}")
        _calendar(below)

    return drawing(draw, WIDE, prefix, f"Exchanges per {traffic.bin_name}, the case against everyone else")


def strips(counts: dict[str, list[int]], start_us: int, step_us: int, prefix: str) -> str:
    """A row for each account: bars in the bins of ``step_us`` microseconds from ``start_us`` on, as high as its share
    of the account's busiest bin."""
    bins = max(len(row) for row in counts.values())
    moments = (start_us + step_us * np.arange(bins, dtype=np.int64)).astype("datetime64[us]")

    def draw(figure: Figure) -> None:
        from matplotlib.dates import date2num

        axes = figure.subplots()
        at = date2num(moments + np.timedelta64(step_us // 2, "us"))  # type: ignore[no-untyped-call]
        for place, row in enumerate(counts.values()):
            used = np.flatnonzero(row)
            height = 0.8 * np.array(row)[used] / max(*row, 1)
            # One line for all bars of a row, broken between them: a path a bar would make a large file.
            x = np.repeat(at[used], 3)
            y = np.column_stack([np.full(len(used), place + 0.4), place + 0.4 - height, np.full(len(used), np.nan)])
            axes.plot(x, y.ravel(), color=FOR, linewidth=min(4.0, 380 / bins), solid_capstyle="butt")
        # Names of accounts are no formulas.
        axes.set_yticks(range(len(counts)), [one.replace("$", r"\$") for one in counts])
        axes.tick_params(axis="y", length=0, labelsize=6.5)
        axes.set_ylim(len(counts) - 0.4, -0.6)
        axes.set_xlabel("UTC")
        axes.grid(axis="x")
        axes.margins(x=0.01)
        axes.xaxis_date()
        _calendar(axes)

    size = (WIDE[0], 0.7 + 0.16 * len(counts))
    return drawing(draw, size, prefix, f"Exchanges of {len(counts)} accounts of the case over time, a row each")


def rhythm(traffic: Traffic, prefix: str) -> str:
    """Share of each side's exchanges by hour of the day, UTC."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        hours = np.arange(25)
        for counts, colour, style, name in (
            (traffic.rest_hours, REST, "--", "everyone else"),
            (traffic.case_hours, FOR, "-", "the case"),
        ):
            share = counts / max(counts.sum(), 1)
            axes.step(hours, np.append(share, share[-1]), where="post", color=colour, linestyle=style, label=name)
        axes.axhline(1 / 24, color=GRID, linewidth=0.8)
        axes.set_xlim(0, 24)
        axes.set_xticks(range(0, 25, 6))
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.grid(axis="y")
        axes.set_xlabel("hour of the day, UTC")
        axes.legend(loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.16), handlelength=1.6)

    return drawing(draw, HALF, prefix, "Share of exchanges by hour of the day, the case against everyone else")


def link_graph(links: list[Row], prefix: str) -> str:
    """The strongest links between the case's accounts: darker is stronger, larger is linked to more accounts."""
    names = sorted({row[side] for row in links for side in ("account_a", "account_b")})
    place = {name: number for number, name in enumerate(names)}
    ends = np.array([(place[row["account_a"]], place[row["account_b"]]) for row in links], np.int64).reshape(-1, 2)
    weights = np.array([row["weight"] for row in links], float)
    points = spring_layout(len(names), ends, weights)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        strength = weights / max(weights.max(initial=0.0), 1e-9)
        order = np.argsort(strength)
        axes.add_collection(
            LineCollection(
                [points[pair] for pair in ends[order]],
                colors=REST,
                linewidths=(0.3 + 1.3 * strength[order]).tolist(),
                alpha=0.45,
            )
        )
        degree = np.bincount(ends.ravel(), minlength=len(names))
        axes.scatter(
            points[:, 0],
            points[:, 1],
            s=(12 + 50 * degree / max(degree.max(initial=1), 1)) * min(1.0, 100 / len(names)),
            c=FOR,
            edgecolors=PAPER,
            linewidths=0.6,
            zorder=3,
        )
        axes.set_axis_off()
        axes.set_aspect("equal", adjustable="datalim")
        axes.margins(0.06)

    label = f"{len(names)} accounts of the case joined by {len(links)} of their strongest links"
    return drawing(draw, HALF, prefix, label)


def calibration(decoys: list[Row], prefix: str) -> str:
    """Scores of real clusters against scores of decoys: how high chance alone gets on this very log."""
    chance = np.array([row["score"] for row in decoys if row["kind"] == "decoy"], float)
    real = np.array([row["score"] for row in decoys if row["kind"] == "target"], float)
    cases = [row["score"] for row in decoys if row["kind"] == "target" and row["case_id"] is not None]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        every = np.concatenate([chance, real])
        edges = np.histogram_bin_edges(every, bins=40).tolist()
        axes.hist(chance, edges, histtype="stepfilled", color="none", edgecolor=AGAINST, hatch="////", label="decoys")
        axes.hist(real, edges, histtype="step", color=FOR, linewidth=1.6, label="clusters in the log")
        heights: npt.NDArray[np.int64] = np.histogram(every, edges)[0]
        top = max(int(heights.max(initial=1)), 1)
        axes.plot(cases, [top * 1.25] * len(cases), "v", color=FOR, markersize=6, label="became a case", clip_on=False)
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(0, top * 1.6)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_xlabel("score (log-odds)")
        axes.set_title("clusters in each range of scores, logarithmic")
        axes.grid(axis="y")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))

    return drawing(draw, WIDE, prefix, f"Scores of {len(real)} clusters against {len(chance)} decoys")


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")


def _calendar(axes: mpl.axes.Axes) -> None:
    from matplotlib import dates

    locator = dates.AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        dates.ConciseDateFormatter(locator, show_offset=False)  # type: ignore[no-untyped-call]
    )
