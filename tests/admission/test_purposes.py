"""What an authorisation covers, and what it does not."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.admission.parties import HASH, admitted, authorised, founded, in_memory
from tiergate.admission.purposes import Asset, AssetKind, Evidence, Purposes, asset, check, covers
from tiergate.errors import InputError, StateError

DOMAIN, REPOSITORY, CIDR, CVE = AssetKind


@pytest.mark.parametrize(
    ("kind", "held", "wanted", "covered"),
    [
        (DOMAIN, "Example.org.", "example.org", True),
        (DOMAIN, "example.org", "www.example.org", False),
        (DOMAIN, "*.example.org", "a.b.example.org", True),
        (DOMAIN, "*.example.org", "example.org", False),
        (DOMAIN, "*.example.org", "badexample.org", False),
        (DOMAIN, "*.example.org", "*.a.example.org", True),
        (DOMAIN, "a.example.org", "*.example.org", False),
        (DOMAIN, "bücher.example", "xn--bcher-kva.example", True),
        (REPOSITORY, "https://github.com/Acme/Tool.git", "github.com/acme/tool", True),
        (REPOSITORY, "github.com/acme/*", "github.com/acme/tool", True),
        (REPOSITORY, "github.com/acme/*", "github.com/acme-evil/tool", False),
        (REPOSITORY, "github.com/acme/tool", "github.com/acme/tool2", False),
        (CIDR, "192.0.2.0/24", "192.0.2.77", True),
        (CIDR, "192.0.2.0/24", "192.0.3.0/25", False),
        (CIDR, "192.0.2.0/25", "192.0.2.0/24", False),
        (CIDR, "2001:db8::/32", "192.0.2.1", False),
        (CIDR, "2001:db8::/32", "2001:db8:1::/48", True),
        (CVE, "CVE-2026-*", "cve-2026-12345", True),
        (CVE, "CVE-2026-1234", "CVE-2026-12345", False),
    ],
)
def test_coverage(kind: AssetKind, held: str, wanted: str, covered: bool) -> None:
    assert covers(asset(kind, held), asset(kind, wanted)) is covered


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (DOMAIN, "*.org"), (DOMAIN, "org"), (DOMAIN, "*"), (DOMAIN, "a..org"), (DOMAIN, "192.0.2.1"), (DOMAIN, ""),
        (DOMAIN, "exa mple.org"), (DOMAIN, "a.*.org"),
        (REPOSITORY, "github.com/*"), (REPOSITORY, "github.com"), (REPOSITORY, "github.com/a/../b"),
        (REPOSITORY, "*/a/b"), (REPOSITORY, "github.com/*/x"), (REPOSITORY, "/a/b"),
        (CIDR, "0.0.0.0/0"), (CIDR, "10.0.0.1/8"), (CIDR, "::/0"), (CIDR, "x"),
        (CVE, "CVE-*"), (CVE, "CVE-2026"), (CVE, "2026-1234"),
    ],
)  # fmt: skip
def test_what_says_nothing_is_refused(kind: AssetKind, written: str) -> None:
    with pytest.raises(InputError, match="can be authorised"):
        asset(kind, written)


NETWORKS = st.tuples(st.integers(0, 2**32 - 1), st.integers(8, 32)).map(
    lambda pair: str(ipaddress.ip_network(pair, strict=False))
)


@given(NETWORKS, NETWORKS)
def test_a_network_covers_another_when_it_holds_its_ends(outer: str, inner: str) -> None:
    whole, part = ipaddress.ip_network(outer), ipaddress.ip_network(inner)
    expected = part[0] in whole and part[-1] in whole
    assert covers(asset(CIDR, outer), asset(CIDR, inner)) is expected


@given(st.sampled_from(AssetKind), st.text(max_size=40))
def test_normalising_twice_changes_nothing(kind: AssetKind, written: str) -> None:
    try:
        once = asset(kind, written)
    except InputError:
        return
    assert asset(kind, once.value) == once
    assert covers(once, once)


def test_declared_is_not_authorised() -> None:
    engine = in_memory()
    founded(engine)
    held = admitted(engine)
    store = Purposes(engine)
    site = asset(DOMAIN, "*.example.org")
    proof = Evidence(sha256=HASH, issuer="legal", expires_at_us=100)

    def declare(code: str, *assets: Asset, evidence: tuple[Evidence, ...] = (proof,), now_us: int = 5) -> str:
        made = store.declare(held.membership_id, code, assets=assets, evidence=evidence, author="amy", now_us=now_us)
        return made.purpose_id

    for call, code in (
        (lambda: declare("espionage", site), "purpose_not_allowed"),
        (lambda: declare("test_own_systems"), "asset_needed"),
        (lambda: declare("test_own_systems", asset(CVE, "CVE-2026-1234")), "asset_needed"),
        (lambda: declare("test_own_systems", site, evidence=()), "evidence_needed"),
        (lambda: declare("test_own_systems", site, now_us=100), "evidence_needed"),
    ):
        with pytest.raises(StateError) as caught:
            call()
        assert caught.value.code == code
    purpose_id = declare("test_own_systems", site)
    assert check(store.get(purpose_id), 6) == ["purpose_not_accepted"]
    for involved in ("Amy", "ann"):
        with pytest.raises(StateError, match="cannot accept"):
            store.accept(purpose_id, author=involved, now_us=6)
    store.accept(purpose_id, author="rob", now_us=6)
    purpose = store.get(purpose_id)
    assert check(purpose, 99, [asset(DOMAIN, "www.example.org")]) == []
    assert check(purpose, 99, [asset(DOMAIN, "example.net")]) == ["asset_not_covered"]
    store.withdraw(purpose_id, author="amy", now_us=7)
    with pytest.raises(StateError, match="already"):
        store.withdraw(purpose_id, author="amy", now_us=8)
    assert check(store.get(purpose_id), 100) == ["purpose_withdrawn", "authorisation_expired"]
    triage = declare("triage", evidence=())
    store.accept(triage, author="rob", now_us=6)
    assert check(store.get(triage), 10**15) == []
    assert [change.action for change in store.history(purpose_id)] == ["declare", "accept", "withdraw"]
    assert len(store.every(held.membership_id)) == 2
    assert authorised(engine, held).accepted_by == "rob"
