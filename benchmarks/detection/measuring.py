"""Everything that is measured about one world, each measurement a process of its own and kept as a file of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from benchmarks.detection.children import ROOT, call, run_child
from benchmarks.detection.leak import RELINK_H, search
from benchmarks.detection.results import Leak, Look, Measurement, WorldFacts, WorldResult, fingerprint, kept, load
from benchmarks.detection.worlds import PUBLISHED_DAYS, Split

from tiergate.clock import HOUR

TIERGATE: Final = "tiergate"
LEAK: Final = "leak"

Tell = Callable[[str], None]
Step = Callable[[Tell], object]
"""One measurement; what it is told to call with a few words says how far it is."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command was told. ``out``: its folder; ``decoys``: of each detection, None for the detector's choice."""

    out: Path
    shared_data: Path
    split: Split
    accounts: int
    decoys: int | None

    @property
    def detector(self) -> str:
        """Name under which Tiergate's measurements are kept: other decoys are other measurements."""
        return TIERGATE if self.decoys is None else f"{TIERGATE}-{self.decoys}-decoys"


class WorldBench:
    """One scenario under one seed."""

    def __init__(self, settings: Settings, scenario: str, seed: int, peers: list[str]) -> None:
        self.settings, self.scenario, self.seed, self.peers = settings, scenario, seed, peers
        self.name = f"{scenario}-{settings.split}-{seed}-{settings.accounts}"
        self.world = settings.out / "worlds" / self.name
        self.measured = settings.out / "measured" / self.name
        self.cases = settings.out / "cases" / self.name / settings.detector
        self.scratch = settings.out / "scratch" / self.name

    def steps(self) -> Iterator[tuple[str, Step]]:
        """What there is to measure, by name; a step that was measured before costs nothing."""
        yield TIERGATE, self._tiergate
        if self.scenario in PUBLISHED_DAYS:
            yield LEAK, self._leak
        for peer in self.peers:
            yield peer, partial(self._peer, peer)

    def result(self) -> WorldResult | None:
        """What has been measured so far; None before the world's facts are known."""
        facts = load(self.measured / "world.json", WorldFacts)
        if facts is None:
            return None
        wanted = {TIERGATE: self.settings.detector} | {peer: peer for peer in self.peers}
        known = {name: load(self.measured / f"{file}.json", Measurement) for name, file in wanted.items()}
        return WorldResult(
            scenario=self.scenario,
            seed=self.seed,
            facts=facts,
            measurements={name: one for name, one in known.items() if one is not None},
            leak=load(self.measured / f"{self.settings.detector}.leak.json", Leak),
        )

    def clear(self) -> None:
        """Remove the world: its seed makes it again."""
        for folder in (self.world, self.scratch):
            shutil.rmtree(folder, ignore_errors=True)

    def _facts(self) -> WorldFacts:
        """Make the world where it is not there."""
        known = load(self.measured / "world.json", WorldFacts)
        if known is not None and self.world.is_dir():
            return known
        # Made by the same code from the same seed, the world has the same facts as before.
        (self.measured / "world.json").unlink(missing_ok=True)
        return kept(self.measured / "world.json", WorldFacts, self._make)

    def _make(self) -> WorldFacts:
        self.world.parent.mkdir(parents=True, exist_ok=True)
        one = self.settings
        facts, _ = call(
            "truth:make_world",
            WorldFacts,
            self.scratch,
            folder=self.world,
            shared_data=one.shared_data,
            scenario=self.scenario,
            seed=self.seed,
            split=one.split,
            accounts=one.accounts,
        )
        return facts

    def _tiergate(self, _: Tell) -> Measurement:
        return kept(self.measured / f"{self.settings.detector}.json", Measurement, self._detect)

    def _detect(self) -> Measurement:
        """`tiergate detect` on the world's files, as users run it."""
        self._facts()
        decoys = [] if self.settings.decoys is None else ["--decoys", str(self.settings.decoys)]
        command = ["detect", str(self.world), "--out", str(self.cases), *decoys]
        usage = run_child("tiergate", command, self.scratch / "detect.log")
        measured, _ = call(
            "judge:judge_cases",
            Measurement,
            self.scratch,
            world=self.world,
            cases=self.cases,
            detector=TIERGATE,
            code=detector_code(),
        )
        return msgspec.structs.replace(measured, usage=usage)

    def _peer(self, peer: str, _: Tell) -> Measurement:
        return kept(self.measured / f"{peer}.json", Measurement, lambda: self._score(peer))

    def _score(self, peer: str) -> Measurement:
        self._facts()
        scores = self.scratch / f"{peer}.npy"
        _, usage = call("scoring:score", int, self.scratch, world=self.world, peer=peer, scores=scores)
        code = fingerprint(ROOT / "benchmarks" / "detection" / "peers")
        measured, _ = call(
            "judge:judge_scores",
            Measurement,
            self.scratch,
            world=self.world,
            scores=scores,
            detector=peer,
            code=code,
        )
        return msgspec.structs.replace(measured, usage=usage)

    def _leak(self, tell: Tell) -> Leak:
        return kept(self.measured / f"{self.settings.detector}.leak.json", Leak, partial(self._search, tell))

    def _search(self, tell: Tell) -> Leak:
        facts = self._facts()
        first, last = facts.campaign_first_us, facts.campaign_last_us
        assert first is not None
        assert last is not None
        span = (last + 1 - first) / HOUR

        def at(hours: float) -> Look:
            file = self.measured / self.settings.detector / f"look-{hours:09.4f}h.json"
            tell(f"{hours:.1f} h")
            return kept(file, Look, partial(self._look, first, hours))

        looks = search(at, span)
        relinking: dict[str, Look] = {}
        if facts.second_pool_us is not None:
            start = (facts.second_pool_us - first) / HOUR
            relinking = {f"{after:g} h": at(start + after) for after in RELINK_H if start + after <= span}
        return Leak(
            code=detector_code(),
            campaign_exchanges=facts.campaign_exchanges,
            span_hours=span,
            published_days=PUBLISHED_DAYS[self.scenario],
            looks=looks,
            relinking=relinking,
        )

    def _look(self, first_us: int, hours: float) -> Look:
        self._facts()
        made, usage = call(
            "looks:look",
            Look,
            self.scratch,
            world=self.world,
            until_us=first_us + round(hours * HOUR),
            campaign_first_us=first_us,
            decoys=self.settings.decoys,
            cases=self.scratch / "look",
        )
        return msgspec.structs.replace(made, usage=usage)


def detector_code() -> str:
    """Fingerprint of the package under measurement."""
    return fingerprint(ROOT / "src" / "tiergate")
