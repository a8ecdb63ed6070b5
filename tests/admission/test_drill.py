"""The drill in a sandbox: what it finds is what a gateway would say, and the deployment stays as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.june_world import CLOSED, CLOSED_COMMODITY, COMMODITY, World, build

from tiergate.admission.drill import drill, proposed_models
from tiergate.admission.grants import Grants
from tiergate.admission.models import read_models
from tiergate.clock import DAY, SystemClock
from tiergate.errors import InputError

SIZES = {"eligible": 3, "ineligible": 2, "not_attested": 2, "commodity": 1}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = build(tmp_path_factory.mktemp("drill") / "data", SIZES)
    yield made
    made.engine.dispose()


def test_each_class_fares_as_the_order_says_and_all_stand_as_before(world: World) -> None:
    now_us = SystemClock().now_us()
    before = hashed(world.data)
    done = drill(world.data, (), now_us, packs=world.data / "packs")
    assert hashed(world.data) == before
    assert (done.models, done.pack, done.carried) == ((CLOSED_COMMODITY, CLOSED), "june_order@2", 0)
    assert done.restored
    fared = {(one.model, one.attested, one.before, one.during): one.holders for one in done.groups}
    assert fared == {
        (CLOSED, "eligible", "allow", "allow"): 3,
        (CLOSED, "ineligible", "allow", "deny"): 2,
        (CLOSED, "none", "allow", "review"): 2,
        (CLOSED, "none", "deny", "deny"): 1,
        (CLOSED_COMMODITY, "eligible", "allow", "allow"): 3,
        (CLOSED_COMMODITY, "ineligible", "allow", "deny"): 2,
        (CLOSED_COMMODITY, "none", "allow", "review"): 3,
    }
    assert (done.loses, done.keeps, done.had_none) == (9, 6, 1)
    assert {one.subject for one in done.rows if one.loses and one.model == CLOSED} == {
        person.person_id for person in [*world.of("ineligible"), *world.of("not_attested")]
    }


def test_other_models_need_another_version_for_which_statements_are_taken_to_hold(world: World) -> None:
    done = drill(world.data, (CLOSED, COMMODITY), SystemClock().now_us(), packs=world.data / "packs")
    assert (done.pack, done.carried, done.restored) == ("june_order@3", 5, True)
    assert {one.model for one in done.rows if one.loses} == {CLOSED, COMMODITY}


def test_classes_that_have_expired_and_grants_that_have_ended_do_not_help(world: World) -> None:
    done = drill(world.data, (), SystemClock().now_us() + 40 * DAY, packs=world.data / "packs")
    assert {one.attested for one in done.groups} == {"expired", "none"}
    assert all("grant_not_in_force" in one.reasons for one in done.groups
               if one.model == CLOSED and one.attested == "expired")  # fmt: skip


def test_a_revoked_grant_is_no_access_to_lose(world: World) -> None:
    person = world.of("not_attested")[0]
    Grants(world.engine).revoke(
        world.grants[person.person_id], author="op", reason="over", now_us=SystemClock().now_us()
    )
    done = drill(world.data, (CLOSED,), SystemClock().now_us(), packs=world.data / "packs")
    (row,) = [one for one in done.rows if one.subject == person.person_id]
    assert (row.before, row.loses) == ("deny", False)


def test_what_is_not_there_is_said(world: World, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lists no model `gone`"):
        drill(world.data, ("gone",), 0)
    with pytest.raises(InputError, match="not a gateway's data folder"):
        drill(tmp_path, (), 0)
    assert proposed_models(read_models(tmp_path / "models.toml")) == ()


def hashed(data: Path) -> dict[str, str]:
    """A digest of each file of the deployment, but for what SQLite shares among those who read."""
    return {
        str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(data.rglob("*")) if path.is_file() and not path.name.endswith("-shm")
    }  # fmt: skip
