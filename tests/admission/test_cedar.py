"""What the policies rest on, from Cedar's specification: default deny, forbid overrides permit, errors skip.

Cases after docs.cedarpolicy.com, "Authorization" (how decisions are made, determining and erroring policies) and
"Operators" (short circuits, `has`, sets), held against the installed engine.
"""

from __future__ import annotations

import cedarpy
import pytest

WHO = {"principal": 'User::"ann"', "action": 'Action::"view"', "resource": 'File::"plan"'}
PERMIT = "permit (principal, action, resource)"
FORBID = "forbid (principal, action, resource)"
ERROR = "when { context.absent == 1 }"
ALLOW, DENY = cedarpy.Decision.Allow, cedarpy.Decision.Deny


@pytest.mark.parametrize(
    ("policies", "decision", "reasons", "errors"),
    [
        # Nothing permits: deny, and no policy determines it.
        ("", DENY, set(), 0),
        (f"{PERMIT} when {{ false }};", DENY, set(), 0),
        # One permit is enough, and every permit that holds determines.
        (f"{PERMIT};", ALLOW, {"policy0"}, 0),
        (f"{PERMIT}; {PERMIT};", ALLOW, {"policy0", "policy1"}, 0),
        # Forbid overrides permit, in any order; only the forbids determine then, all of them.
        (f"{PERMIT}; {FORBID};", DENY, {"policy1"}, 0),
        (f"{FORBID}; {PERMIT};", DENY, {"policy0"}, 0),
        (f"{PERMIT}; {FORBID}; {FORBID}; {FORBID} when {{ false }};", DENY, {"policy1", "policy2"}, 0),
        (f"{FORBID};", DENY, {"policy0"}, 0),
        # `unless` is `when` not.
        (f"{PERMIT}; {FORBID} unless {{ true }};", ALLOW, {"policy0"}, 0),
        (f"{PERMIT}; {FORBID} when {{ true }} unless {{ false }};", DENY, {"policy1"}, 0),
        # A policy that errors is skipped: a permit permits nothing, and, the trap, a forbid does not forbid.
        (f"{PERMIT} {ERROR};", DENY, set(), 1),
        (f"{PERMIT}; {PERMIT} {ERROR};", ALLOW, {"policy0"}, 1),
        (f"{PERMIT}; {FORBID} {ERROR};", ALLOW, {"policy0"}, 1),
        (f"{PERMIT}; {FORBID} {ERROR}; {FORBID};", DENY, {"policy2"}, 1),
        # `&&`, `||` and `if` short-circuit, so that `has` guards what may be absent.
        (f"{PERMIT} when {{ context has absent && context.absent == 1 }};", DENY, set(), 0),
        (f"{PERMIT} when {{ true || context.absent == 1 }};", ALLOW, {"policy0"}, 0),
        (f"{PERMIT} when {{ if context has absent then context.absent == 1 else true }};", ALLOW, {"policy0"}, 0),
        # Arithmetic beyond 64 bits is an error.
        (f"{PERMIT} when {{ 9223372036854775807 + context.one > 0 }};", DENY, set(), 1),
        # Values of different types are unequal, not an error; ordering them is one.
        (f'{PERMIT} when {{ context.one != "1" }};', ALLOW, {"policy0"}, 0),
        (f'{PERMIT} when {{ context.one < "1" }};', DENY, set(), 1),
        # The empty set: contained in every set, and sharing an element with none.
        (f"{PERMIT} when {{ [1].containsAll(context.none) && [].containsAll(context.none) }};", ALLOW, {"policy0"}, 0),
        (f"{PERMIT} when {{ [1].containsAny(context.none) }};", DENY, set(), 0),
        (f"{PERMIT} when {{ context.none.isEmpty() }};", ALLOW, {"policy0"}, 0),
    ],
)  # fmt: skip
def test_a_case_of_the_specification(policies: str, decision: object, reasons: set[str], errors: int) -> None:
    said = cedarpy.is_authorized(WHO | {"context": {"one": 1, "none": []}}, policies, [])
    assert said.decision is decision
    assert set(said.diagnostics.reasons) == reasons
    assert len(said.diagnostics.errors) == errors


def test_entities_are_held_to_the_schema() -> None:
    schema = 'entity User { "cleared": Set<String> };'
    entity = '[{"uid": {"type": "User", "id": "ann"}, "attrs": {"cleared": %s}, "parents": []}]'
    assert len(cedarpy.Entities.from_json_str(entity % '["a"]', schema)) == 1
    for wrong in ('"a"', "[1]", "null", '["a"], "clearde": []'):
        with pytest.raises(ValueError, match=r"."):
            cedarpy.Entities.from_json_str(entity % wrong, schema)
