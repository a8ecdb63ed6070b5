"""The essay's two charts, in both layers."""

from __future__ import annotations

from tiergate.catalog.claims import Range, load_claims
from tiergate.economics.founding_charts import extraction_against_training, swe_bench_by_tier


def test_the_cost_chart_as_it_was_claimed() -> None:
    """$48K, $1-5 billion, 20,000-100,000 times: the essay, by way of issue and market.md section 1.2."""
    chart = extraction_against_training(load_claims())
    claimed = {bar.label: bar.value for bar in chart.bars if bar.layer == "claimed"}
    assert claimed == {"extraction": Range(48_000, 48_000, 48_000), "training": Range(1e9, 5e9)}
    (ratio,) = (one.claimed for one in chart.figures if one.id == "training_to_extraction")
    assert ratio is not None
    assert (round(ratio.low), round(ratio.high)) == (20_833, 104_167)


def test_the_tier_chart_as_it_was_claimed_and_as_it_is() -> None:
    """93.9% against the commodity models; 13.1 points then and 6.3 nine days later: market.md section 1.3."""
    bars = swe_bench_by_tier(load_claims()).bars
    claimed = {bar.label: bar.value.mode for bar in bars if bar.layer == "claimed"}
    assert claimed == {"Claude Mythos": 93.9, "Claude Opus 4.6": 80.8, "Gemini 3.1 Pro": 80.6, "GPT-5.4": 80.0}
    best = max(bar.value.high for bar in bars if bar.layer == "claimed" and bar.group == "commodity")
    assert round(93.9 - best, 1) == 13.1
    later = max(bar.value.high for bar in bars if bar.layer == "evidence" and bar.group == "commodity")
    assert round(93.9 - later, 1) == 6.3
    assert [bar.label for bar in bars if bar.after] == ["Claude Opus 4.7", "MiniMax M2.5"]


def test_a_vendors_figure_is_never_without_its_name() -> None:
    assert all(bar.alleged_by for bar in swe_bench_by_tier(load_claims()).bars if bar.value.high >= 85.1)


def test_an_override_moves_its_bar_in_the_layer_of_evidence_alone() -> None:
    before, after = (
        extraction_against_training(load_claims().with_overrides(given)) for given in ([], ["training_cost=1e8"])
    )
    changed = [(old, new) for old, new in zip(before.bars, after.bars, strict=True) if old != new]
    assert [(new.layer, new.label, new.value.mode) for _, new in changed] == [("evidence", "training", 1e8)]
