"""Requirements only ever tighten, and what is not known never meets one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.routing.candidates import candidate, candidates, requirements
from tiergate.errors import InputError
from tiergate.gateway.routing.candidates import Candidate
from tiergate.gateway.routing.requirements import Requirements, exclusions, from_headers, of_request


@given(requirements, requirements, candidates())
def test_both_are_met_if_and_only_if_each_is(ours: Requirements, theirs: Requirements, one: Candidate) -> None:
    assert (not exclusions(one, ours & theirs)) == (not exclusions(one, ours) and not exclusions(one, theirs))


@given(requirements, requirements, requirements, candidates())
def test_the_order_of_joining_does_not_matter(
    a: Requirements, b: Requirements, c: Requirements, one: Candidate
) -> None:
    assert a & b == b & a
    assert a & a == a
    assert a & Requirements() == Requirements() & a == a
    assert exclusions(one, (a & b) & c) == exclusions(one, a & (b & c))


@given(requirements)
def test_nothing_that_is_unknown_meets_a_requirement(required: Requirements) -> None:
    codes = {found.code for found in exclusions(candidate("x"), required)}
    assert ("region_not_known" in codes) == (required.regions is not None)
    assert ("retention_not_known" in codes) == (required.retention_days is not None)
    assert ("origin_not_known" in codes) == bool(required.barred_origins)
    assert {code for code in codes if code.startswith("no_")} == {f"no_{name}" for name in required.capabilities}


@pytest.mark.parametrize(
    ("has", "required", "code"),
    [
        ({"region": "eu-west-1"}, {"regions": frozenset({"eu"})}, None),
        ({"region": "eu"}, {"regions": frozenset({"eu-west-1"})}, "region_not_allowed"),
        ({"region": "europe"}, {"regions": frozenset({"eu"})}, "region_not_allowed"),
        ({"region": "eu"}, {"regions": frozenset()}, "region_not_allowed"),
        ({"retention_days": 30}, {"retention_days": 30}, None),
        ({"retention_days": 30}, {"retention_days": 0}, "retention_too_long"),
        ({"origin": "CN"}, {"barred_origins": frozenset({"CN", "RU"})}, "origin_barred"),
        ({"origin": "FR"}, {"barred_origins": frozenset({"CN", "RU"})}, None),
        ({"context_tokens": 100}, {"context_tokens": 101}, "context_too_small"),
        ({"output_tokens": 100}, {"output_tokens": 101}, "output_too_small"),
        ({}, {"capabilities": frozenset({"vision"})}, "no_vision"),
    ],
)
def test_each_requirement_has_its_reason(has: dict[str, object], required: dict[str, object], code: str | None) -> None:
    found = exclusions(candidate("x", **has), Requirements(**required))  # type: ignore[arg-type]
    assert [one.code for one in found] == ([code] if code else [])


def test_every_reason_is_given_not_the_first_alone() -> None:
    required = of_request(tools=True, vision=True, stream=True, input_tokens=90_000, max_tokens=20_000)
    found = exclusions(candidate("x", output_tokens=8_000), required)
    codes = ["no_streaming", "no_tools", "no_vision", "context_too_small", "output_too_small"]
    assert [one.code for one in found] == codes
    assert found[3].text == "110,000 tokens are needed, its context holds 100,000"


def test_headers_are_joined() -> None:
    read = from_headers(
        [
            (b"x-tiergate-require-region", b"eu, us-east"),
            (b"x-tiergate-require-region", b"eu-west-1"),
            (b"x-tiergate-require-capabilities", b"tools, structured-output"),
            (b"x-tiergate-require-context", b"200000"),
            (b"x-tiergate-require-retention-days", b"0"),
            (b"x-tiergate-require-origin-not", b"cn,RU"),
            (b"x-other", b"x"),
        ]
    )
    assert read == Requirements(
        capabilities=frozenset({"tools", "structured_output"}),
        context_tokens=200_000,
        regions=frozenset({"eu-west-1"}),
        retention_days=0,
        barred_origins=frozenset({"CN", "RU"}),
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"x-tiergate-require-regions", b"eu"),
        (b"x-tiergate-require-", b"eu"),
        (b"x-tiergate-require-region", b""),
        (b"x-tiergate-require-region", b"eu,,us"),
        (b"x-tiergate-require-region", b"Europe!"),
        (b"x-tiergate-require-capabilities", b"telepathy"),
        (b"x-tiergate-require-context", b"many"),
        (b"x-tiergate-require-context", b"-1"),
        (b"x-tiergate-require-retention-days", b"-1"),
        (b"x-tiergate-require-retention-days", b"1.5"),
        (b"x-tiergate-require-origin-not", b"China"),
        (b"x-tiergate-require-origin-not", b"\xff"),
        (b"x-tiergate-require-region", b"eu," * 200 + b"eu"),
    ],
)
def test_a_header_that_cannot_be_read_is_refused_and_not_passed_over(name: bytes, value: bytes) -> None:
    with pytest.raises(InputError):
        from_headers([(name, value)])


@given(st.sampled_from(["region", "capabilities", "context", "retention-days", "origin-not"]), st.binary(max_size=40))
def test_headers_hold_anything(kind: str, value: bytes) -> None:
    try:
        required = from_headers([(b"x-tiergate-require-" + kind.encode(), value)])
    except InputError:
        return
    assert isinstance(required, Requirements)
