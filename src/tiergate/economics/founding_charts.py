"""The two charts of the project's founding essay, each in two layers: as it claims, and as sources have it.

Every bar is a claim of the ledger (`tiergate.catalog.claims`), so a claim that is overridden moves its bar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tiergate.catalog.claim_figures import Figure, Layer, figures, of_layer
from tiergate.catalog.claims import Ledger, Range

LAYERS: Final[tuple[Layer, ...]] = ("claimed", "evidence")


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: ``label`` within ``group``, with the claim that it shows. ``after``: not in the essay, but published
    since; ``alleged_by``: whose own figure it is."""

    layer: Layer
    group: str
    label: str
    value: Range
    unit: str
    claim: str
    status: str
    alleged_by: str
    source: str
    after: bool


@dataclass(frozen=True, slots=True)
class FoundingChart:
    """A chart: bars by layer, and the figures that it is drawn for."""

    name: str
    title: str
    bars: tuple[Bar, ...]
    figures: tuple[Figure, ...]


_EXTRACTION: Final = (("cost", "extraction", "extraction_cost"), ("cost", "training", "training_cost"))
_TIERS: Final = (
    ("classified", "Claude Mythos", "mythos_swe_bench"),
    ("commodity", "Claude Opus 4.7", "swe_bench_opus_4_7"),
    ("commodity", "Claude Opus 4.6", "swe_bench_opus_4_6"),
    ("commodity", "Gemini 3.1 Pro", "swe_bench_gemini_3_1_pro"),
    ("commodity", "GPT-5.4", "swe_bench_gpt_5_4"),
    ("open", "MiniMax M2.5", "swe_bench_minimax_m2_5"),
)


def extraction_against_training(ledger: Ledger) -> FoundingChart:
    """What extraction costs against what training costs, US dollars."""
    return FoundingChart(
        "extraction",
        "Cost of extraction against cost of training",
        _bars(ledger, _EXTRACTION),
        tuple(one for one in figures(ledger) if "extraction_cost" in one.of),
    )


def swe_bench_by_tier(ledger: Ledger) -> FoundingChart:
    """SWE-bench Verified by tier of access, per cent of its tasks."""
    return FoundingChart("tiers", "SWE-bench Verified by tier", _bars(ledger, _TIERS), ())


def moved_bars(before: Ledger, after: Ledger) -> list[tuple[FoundingChart, Bar, Bar]]:
    """Bars that overrides changed, each with its chart: as they were, and as they are."""
    found = []
    for draw in (extraction_against_training, swe_bench_by_tier):
        old, new = draw(before), draw(after)
        found += [(new, *pair) for pair in zip(old.bars, new.bars, strict=True) if pair[0].value != pair[1].value]
    return found


def _bars(ledger: Ledger, rows: tuple[tuple[str, str, str], ...]) -> tuple[Bar, ...]:
    bars = []
    for layer in LAYERS:
        for group, label, name in rows:
            claim = ledger.find(name)
            value = of_layer(claim, layer)
            if value is not None:
                bars.append(
                    Bar(
                        layer, group, label, value, claim.unit, name, claim.status.value, claim.alleged_by,
                        claim.source, after=claim.claimed is None,
                    )
                )  # fmt: skip
    return tuple(bars)
