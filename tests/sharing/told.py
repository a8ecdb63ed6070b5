"""Findings, sightings and opinions at random."""

from __future__ import annotations

import uuid

from hypothesis import strategies as st

from tiergate.sharing.finding import (
    HMAC,
    HMAC_KINDS,
    VOPRF,
    Capability,
    Finding,
    Lab,
    Opinion,
    Sighting,
    Technique,
    Token,
    Told,
    View,
    finding_id,
)
from tiergate.sharing.marking import Tlp

NOW = 1_780_000_000_000_000
MS = 1_000

ids = st.integers(0, 2**128 - 1).map(lambda number: str(uuid.UUID(int=number, version=4)))
labs = st.sampled_from(["lab-a.example", "lab-b.example", "xn--lb-cia.example"]).map(Lab.named)
times = st.tuples(st.integers(0, NOW // MS), st.integers(0, NOW // MS)).map(
    lambda pair: (min(pair) * MS, max(pair) * MS)
)
hexadecimal = st.binary(min_size=16, max_size=64).map(bytes.hex)
contents = st.binary(min_size=32, max_size=32).map(bytes.hex)
tokens = st.one_of(
    st.builds(
        Token,
        scheme=st.just(HMAC),
        epoch=st.just("2026-11"),
        kind=st.sampled_from(sorted(HMAC_KINDS)),
        value=hexadecimal,
    ),
    st.builds(
        Token,
        scheme=st.just(VOPRF),
        epoch=st.just("20261128"),
        kind=st.sampled_from(["account", "payment", "email"]),
        value=hexadecimal,
    ),
)


def _some(values: type[Capability] | type[Technique]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(st.sampled_from(sorted(values)), unique=True).map(tuple)


@st.composite
def findings(draw: st.DrawFn) -> Finding:
    lab = draw(labs)
    created, modified = draw(times)
    first, last = draw(times)
    return Finding(
        finding_id=finding_id(lab, draw(st.text("abc", max_size=4))),
        lab=lab,
        created_us=created,
        modified_us=modified,
        first_seen_us=first,
        last_seen_us=last,
        confidence=draw(st.integers(0, 100)),
        accounts=draw(st.integers(0, 40)),
        exchanges=draw(st.integers(0, 40)),
        capabilities=draw(_some(Capability)),
        techniques=draw(_some(Technique)),
        networks=tuple(draw(st.lists(st.integers(1, 2**32 - 1), unique=True, max_size=4))),
        tokens=tuple(sorted(draw(st.sets(tokens, max_size=6)))),
        revoked=draw(st.booleans()),
        tlp=draw(st.sampled_from(Tlp)),
    )


@st.composite
def sightings(draw: st.DrawFn) -> Sighting:
    created, modified = draw(times)
    first, last = draw(times)
    return Sighting(
        sighting_id=draw(ids),
        about=draw(ids),
        content=draw(contents),
        lab=draw(labs),
        created_us=created,
        modified_us=modified,
        first_seen_us=first,
        last_seen_us=last,
        accounts=draw(st.integers(1, 29)),
        revoked=draw(st.booleans()),
        tlp=draw(st.sampled_from(Tlp)),
    )


@st.composite
def opinions(draw: st.DrawFn) -> Opinion:
    created, modified = draw(times)
    return Opinion(
        opinion_id=draw(ids),
        about=draw(ids),
        content=draw(contents),
        lab=draw(labs),
        created_us=created,
        modified_us=modified,
        view=draw(st.sampled_from(View)),
        revoked=draw(st.booleans()),
        tlp=draw(st.sampled_from(Tlp)),
    )


def told() -> st.SearchStrategy[list[Told]]:
    """Several, of each kind, none twice."""
    return st.tuples(
        st.lists(findings(), max_size=2, unique_by=lambda one: one.finding_id),
        st.lists(sightings(), max_size=2, unique_by=lambda one: one.sighting_id),
        st.lists(opinions(), max_size=2, unique_by=lambda one: one.opinion_id),
    ).map(lambda kinds: [one for kind in kinds for one in kind])
