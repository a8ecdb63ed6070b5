"""Rule packs as files: what they say of days, and that a wrong file is refused by file and key."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.admission.activations import ActivationStore, day_of
from tiergate.admission.rule_packs import (
    Period,
    RulePack,
    Standing,
    find_pack,
    in_force,
    load_packs,
    parse_pack,
    standing,
)
from tiergate.clock import DAY
from tiergate.database import open_database
from tiergate.errors import InputError, SettingsError

PACKS = load_packs()
OFAC = (Path(__file__).parents[2] / "src/tiergate/admission/packs/ofac_50.toml").read_text(encoding="utf-8")
START = date(2026, 1, 1)
NOW = 20_454 * DAY  # 2026-01-01


def pack(name: str) -> RulePack:
    return find_pack(PACKS, name)


def test_the_packs_that_are_brought_have_sources_texts_and_days() -> None:
    assert {one.id for one in PACKS.values()} == {
        "ofac_50", "bis_affiliates", "eu_ownership_control", "uk_ofsi", "provider_supported_regions",
        "june_order", "ear_person", "itar_person",
    }  # fmt: skip
    for one in PACKS.values():
        assert all(source.licence and source.url and source.covers for source in one.sources)
        assert any(source.read for source in one.sources)
        assert one.undecided


@pytest.mark.parametrize(
    ("day", "said"),
    [
        ("2025-09-28", Standing.OUT),
        ("2025-09-29", Standing.IN_FORCE),
        ("2025-11-09", Standing.IN_FORCE),
        ("2025-11-10", Standing.SUSPENDED),
        ("2026-11-09", Standing.SUSPENDED),
        ("2026-11-10", Standing.UNCONFIRMED),
        ("2027-06-01", Standing.UNCONFIRMED),
    ],
)
def test_bis_is_suspended_for_a_year_and_then_not_known(day: str, said: Standing) -> None:
    bis = pack("bis_affiliates")
    assert standing(bis, date.fromisoformat(day)) is said
    assert in_force(bis, date.fromisoformat(day)) is (said is Standing.IN_FORCE)


def test_the_june_order_held_for_nineteen_days() -> None:
    order = pack("june_order")
    days = [date(2026, 6, 1) + timedelta(n) for n in range(60)]
    held = [day for day in days if in_force(order, day)]
    assert (held[0], held[-1], len(held)) == (date(2026, 6, 12), date(2026, 6, 30), 19)


@st.composite
def periods(draw: st.DrawFn) -> tuple[Period, ...]:
    """Periods in order, with gaps or without, the last perhaps open."""
    at, made = 0, []
    for _ in range(draw(st.integers(1, 5))):
        begin = at + draw(st.integers(0, 4))
        at = begin + draw(st.integers(0, 6)) + 1
        status = draw(st.sampled_from(["in_force", "suspended", "unconfirmed"]))
        made.append(Period(status=status, valid_from=START + timedelta(begin), valid_to=START + timedelta(at - 1)))
    if draw(st.booleans()):
        last = made.pop()
        made.append(Period(status=last.status, valid_from=last.valid_from))
    return tuple(made)


@given(periods(), st.integers(-3, 60))
def test_a_day_is_in_the_one_period_that_has_it_or_in_none(drawn: tuple[Period, ...], offset: int) -> None:
    import msgspec

    made = msgspec.structs.replace(pack("ofac_50"), periods=drawn)
    day = START + timedelta(offset)
    holding = {
        START + timedelta(n): one.status
        for one in drawn
        for n in range(70)
        if one.valid_from <= START + timedelta(n) and START + timedelta(n) <= (one.valid_to or date.max)
    }
    assert standing(made, day).value == holding.get(day, "out")
    assert in_force(made, day) is (holding.get(day) == "in_force")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("threshold_ppm = 500_000", "threshold_ppm = 50.0", "key `test.threshold_ppm`: expected `int`, got `float`"),
        ("threshold_ppm = 500_000", "threshold_ppm = 0", "key `test.threshold_ppm` is not between"),
        ('operator = ">="', 'operator = "=>"', "key `test.operator`: invalid enum value"),
        ("aggregate = true", "agregate = true", "key `test`: object contains unknown field `agregate`"),
        ('unknown = "review"', 'unknown = "allow"', "key `unknown`: invalid enum value"),
        ('unknown = "review"\n', "", "object missing required field `unknown`"),
        ("version = 1", "version = 0", "key `version` counts from 1"),
        ('lists = ["SDN"]', "lists = []", "key `seeds` names neither"),
        ('lists = ["SDN"]', 'headquarters = ["China"]', "has `China`, which is no code of ISO"),
        ('lists = ["SDN"]', 'headquarters = ["CN"]\nheadquarters_clear = ["CN"]', "names `CN`, which"),
        ('kind = "ownership"', 'kind = "person"', "key `seeds` belongs to packs of kind `ownership`"),
        ("valid_from = 2014-08-13", "valid_from = 2014-08-13\nvalid_to = 2013-01-01", r"\[0\].valid_to` is before"),
        ("valid_from = 2014-08-13", "valid_from = 2014-13-13", "is no TOML"),
        ('id = "ofac_50"', 'id = "ofac"', "key `id` is `ofac`; call the file"),
        ('tiers = ["*"]', 'tiers = ["classified", "comodity"]', "key `applies_to.tiers` names a tier that is none of"),
        ("control = false", "control = false\nequal_presumes_control = true", "equal_presumes_control` says nothing"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_by_file_and_key(old: str, new: str, message: str) -> None:
    assert old in OFAC
    with pytest.raises(InputError, match=f"`ofac_50.toml`.*{message}"):
        parse_pack(OFAC.replace(old, new, 1), "ofac_50.toml")


def test_periods_in_disorder_are_refused() -> None:
    more = '\n[[periods]]\nstatus = "suspended"\nvalid_from = 2020-01-01\n'
    with pytest.raises(InputError, match=r"periods\[0\].valid_to` is missing"):
        parse_pack(OFAC + more, "ofac_50.toml")
    closed = OFAC.replace("valid_from = 2014-08-13", "valid_from = 2014-08-13\nvalid_to = 2020-01-01")
    with pytest.raises(InputError, match=r"periods\[1\].valid_from` is not after"):
        parse_pack(closed + more, "ofac_50.toml")


def test_an_operators_version_stands_beside_ours_and_may_not_take_its_number(tmp_path: Path) -> None:
    (tmp_path / "ofac_50.v2.toml").write_text(OFAC.replace("version = 1", "version = 2"))
    packs = load_packs(tmp_path)
    assert find_pack(packs, "ofac_50").version == 2
    assert find_pack(packs, "ofac_50@1").version == 1
    with pytest.raises(InputError, match="no rule pack is called `ofac_50@3`"):
        find_pack(packs, "ofac_50@3")
    (tmp_path / "ofac_50.toml").write_text(OFAC)
    with pytest.raises(InputError, match="`ofac_50@1` is there already"):
        load_packs(tmp_path)


def test_no_file_that_is_meant_for_a_pack_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "ofac_50.v2.TOML").write_text(OFAC.replace("version = 1", "version = 2"))
    with pytest.raises(InputError, match=r"call the file `ofac_50.v2.toml`"):
        load_packs(tmp_path)


def test_two_people_activate_from_a_day_on_and_an_epoch_replays_it(tmp_path: Path) -> None:
    store = ActivationStore(open_database(tmp_path / "control.sqlite"))
    ofac, today = pack("ofac_50"), day_of(NOW)
    for names in (("A", ""), ("Ann Lee", "ann  lee"), (" ", "B")):
        with pytest.raises(InputError, match="two different names"):
            store.record(ofac, "activate", day=today, names=names, reason="x", now_us=NOW)
    with pytest.raises(InputError, match="is past"):
        store.record(ofac, "activate", day=today - timedelta(1), names=("A", "B"), reason="x", now_us=NOW)
    with pytest.raises(InputError, match="is not active"):
        store.record(ofac, "deactivate", day=today, names=("A", "B"), reason="x", now_us=NOW)
    assert store.epoch() == 0
    later = today + timedelta(10)
    store.record(ofac, "activate", day=later, names=("A", "B"), reason="terms", now_us=NOW)
    assert store.active(PACKS, later - timedelta(1)) == []
    assert [one.pack.name for one in store.active(PACKS, later)] == ["ofac_50@1"]
    planned = store.epoch()
    store.record(ofac, "deactivate", day=later, names=("A", "C"), reason="called off", now_us=NOW)
    assert store.active(PACKS, later) == []
    assert [one.pack.name for one in store.active(PACKS, later, planned)] == ["ofac_50@1"]
    assert [(row.action, row.second_name) for row in store.history()] == [("activate", "B"), ("deactivate", "C")]


def test_a_rule_of_which_it_is_not_known_whether_it_holds_needs_a_source(tmp_path: Path) -> None:
    store = ActivationStore(open_database(tmp_path / "control.sqlite"))
    bis, day = pack("bis_affiliates"), date(2026, 11, 10)
    with pytest.raises(InputError, match="is not known: confirm it with the source"):
        store.record(bis, "activate", day=day, names=("A", "B"), reason="x", now_us=NOW)
    store.record(bis, "activate", day=day, names=("A", "B"), reason="x", now_us=NOW, confirmation="91 FR 1")
    (active,) = store.active(PACKS, day)
    assert active.standing(day) is Standing.IN_FORCE
    # Confirmed while suspended it stays suspended: the source is about the open question only.
    assert active.standing(date(2026, 1, 1)) is Standing.SUSPENDED


def test_a_pack_that_is_active_may_neither_vanish_nor_change(tmp_path: Path) -> None:
    store = ActivationStore(open_database(tmp_path / "control.sqlite"))
    store.record(pack("ofac_50"), "activate", day=day_of(NOW), names=("A", "B"), reason="x", now_us=NOW)
    changed = parse_pack(OFAC.replace("500_000", "400_000"), "ofac_50.toml")
    with pytest.raises(SettingsError, match="`ofac_50@1` was changed after"):
        store.active({("ofac_50", 1): changed}, day_of(NOW))
    with pytest.raises(InputError, match="with another text before: give the change a new `version`"):
        store.record(changed, "activate", day=day_of(NOW), names=("A", "B"), reason="x", now_us=NOW)
    # It was kept as it was activated, so that nobody needs its file.
    assert [one.pack for one in store.active({}, day_of(NOW))] == [pack("ofac_50")]
    assert store.with_kept({}) == {("ofac_50", 1): pack("ofac_50")}
    with store.engine.begin() as connection:
        connection.exec_driver_sql("update pack_texts set text = replace(text, '500000', '400000')")
    with pytest.raises(SettingsError, match="changed in the database"):
        store.active({}, day_of(NOW))
    with store.engine.begin() as connection:
        connection.exec_driver_sql("delete from pack_texts")  # as an earlier release left it
    with pytest.raises(SettingsError, match="`ofac_50@1`, which is active, is missing"):
        store.active({}, day_of(NOW))
