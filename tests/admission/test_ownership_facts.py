"""Facts of the parties' store as rules see them, on one day and on another."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np

from tiergate.admission.activations import ActivePack
from tiergate.admission.eligibility import Reason, judge
from tiergate.admission.ownership_facts import facts_of, no_facts
from tiergate.admission.rule_packs import find_pack, load_packs
from tiergate.clock import DAY
from tiergate.database import open_database
from tiergate.parties.fact_rows import Listing, Party, Stake, fact_key, party_id, shown_id
from tiergate.parties.facts import FactStore

X, A, P = (party_id("test", name) for name in "XAP")
SALE = (date(2026, 3, 1) - date(1970, 1, 1)).days * DAY
OFAC, PROVIDER = (find_pack(load_packs(), name) for name in ("ofac_50", "provider_supported_regions"))


def test_t1_a_sale_clears_from_its_day_and_the_old_decision_is_made_again(tmp_path: Path) -> None:
    store = FactStore(open_database(tmp_path / "parties.sqlite"))
    facts = [
        Party(key=fact_key("X"), party=X, headquarters="CN", incorporated_in="HK"),
        Party(key=fact_key("A"), party=A, headquarters="SG"),
        Party(key=fact_key("P"), party=P, kind="person"),
        Listing(key=fact_key("SDN"), party=X, list="SDN"),
        Stake(key=fact_key("s"), owner=X, owned=A, prong="shares", lo_ppm=600_000, hi_ppm=600_000),
        Stake(key=fact_key("p"), owner=P, owned=A, prong="shares", lo_ppm=400_000, hi_ppm=400_000),
    ]
    store.add(facts, source="test", now_us=SALE - 9 * DAY)
    known = store.as_of(SALE - DAY).recorded_us
    sold = Stake(key=fact_key("s"), owner=X, owned=A, prong="shares", lo_ppm=490_000, hi_ppm=490_000, effective_us=SALE)
    store.add([sold], source="test", now_us=SALE + 9 * DAY)
    said = {}
    for name, at_us, as_known in (("before", SALE - 1, None), ("after", SALE, None), ("replayed", SALE - 1, known)):
        snapshot = facts_of(store.as_of(at_us, as_known))
        said[name] = [judge(ActivePack(pack), snapshot, date(2026, 2, 28)).of(shown_id(A)) for pack in (OFAC, PROVIDER)]
    assert [one.reason for one in said["before"]] == [Reason.OWNERSHIP] * 2
    assert [one.reason for one in said["after"]] == [Reason.NOT_OWNED] * 2
    assert [one.verdict for one in said["replayed"]] == [one.verdict for one in said["before"]]
    again = facts_of(store.as_of(SALE - 1, known))
    assert judge(ActivePack(OFAC), again, date(2026, 2, 28)).of(shown_id(A)) == said["replayed"][0]


def test_a_proof_of_the_same_facts_on_the_same_day_has_the_same_reference(tmp_path: Path) -> None:
    store = FactStore(open_database(tmp_path / "parties.sqlite"))
    held = Stake(key=fact_key("s"), owner=X, owned=A, prong="shares", lo_ppm=600_000, hi_ppm=600_000)
    ending = Stake(key=fact_key("p"), owner=P, owned=A, prong="shares", lo_ppm=1, hi_ppm=1, valid_to_us=SALE)
    store.add([Listing(key=fact_key("SDN"), party=X, list="SDN"), held, ending], source="test", now_us=1)

    def proof(at_us: int) -> str | None:
        return judge(ActivePack(OFAC), facts_of(store.as_of(at_us)), date(2026, 2, 28)).of(shown_id(A)).proof

    before = proof(SALE - 2 * DAY)
    assert before == proof(SALE - 1) != proof(SALE) == proof(SALE + DAY)
    store.add([Party(key=fact_key("A"), party=A)], source="test", now_us=2)
    assert proof(SALE - 1) not in (before, None)


def test_what_a_snapshot_says_of_places_and_people(tmp_path: Path) -> None:
    store = FactStore(open_database(tmp_path / "parties.sqlite"))
    rows = [
        Party(key=fact_key("X"), party=X, headquarters=" cn ", incorporated_in="US-DE"),
        Party(key=fact_key("P"), party=P, kind="person"),
    ]
    store.add(rows, source="test", now_us=SALE)
    facts = facts_of(store.as_of(SALE))
    at, person = facts.number(shown_id(X)), facts.number(shown_id(P))
    assert at is not None
    assert person is not None
    assert facts.headquarters.only_in(["CN"])[at]
    assert facts.incorporated.only_in(["US"])[at]
    assert np.flatnonzero(facts.people).tolist() == [person]
    assert facts.number("pty_stranger") is None
    assert judge(ActivePack(OFAC), no_facts(), date(2026, 2, 28)).of("pty_x").reason is Reason.ORGANISATION_UNKNOWN
