"""Which own accounts a finding touches: those that agree in a place and a tool that few have."""

from __future__ import annotations

import msgspec
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tests.sharing.test_taxii import FOUND, OURS, THEIRS
from tiergate.sharing.finding import Finding, keyed_token
from tiergate.sharing.matching import COLUMNS, COMMON, Match, Own

KEY, EPOCH = b"k" * 32, "2026-11"
ROWS = st.lists(
    st.tuples(
        st.integers(0, 25).map("acct-{}".format),
        st.none() | st.integers(1, 4),
        st.none() | st.sampled_from(["t1", "t2", ""]),
        st.none() | st.sampled_from(["u1", "u2"]),
    ),
    max_size=80,
)
Rows = list[tuple[str, int | None, str | None, str | None]]


def own(rows: Rows, parts: int = 1) -> Own:
    names = ("account_id", *COLUMNS)
    types = (pa.string(), pa.int64(), pa.string(), pa.string())
    some = [rows[start::parts] for start in range(parts)]
    return Own(
        pa.record_batch([pa.array([row[i] for row in part], types[i]) for i in range(4)], names=list(names))
        for part in some
    )


def finding(networks: set[int], fingerprints: set[str], agents: set[str], accounts: set[str]) -> Finding:
    tokens = {keyed_token(KEY, EPOCH, "tls_fingerprint", one) for one in fingerprints}
    tokens |= {keyed_token(KEY, EPOCH, "user_agent", one) for one in agents}
    tokens |= {keyed_token(KEY, EPOCH, "account", one, lab=THEIRS) for one in accounts}
    return msgspec.structs.replace(FOUND, networks=tuple(sorted(networks)), tokens=tuple(sorted(tokens)))


@given(
    ROWS,
    st.sets(st.integers(1, 4)),
    st.sets(st.sampled_from(["t1", "t2"])),
    st.sets(st.sampled_from(["u1", "u2"])),
    st.sets(st.integers(0, 25).map("acct-{}".format), max_size=3),
)
def test_matches_are_those_of_the_definition_in_any_batches(
    rows: Rows, networks: set[int], fingerprints: set[str], agents: set[str], accounts: set[str]
) -> None:
    told = (networks, fingerprints, agents)
    expected: dict[str, set[str]] = {}
    for column, values in enumerate(told):
        for value in values:
            holders = {row[0] for row in rows if row[column + 1] == value}
            for account in holders if len(holders) <= COMMON else ():
                expected.setdefault(account, set()).add(COLUMNS[column])
    for account in accounts & {row[0] for row in rows}:
        expected.setdefault(account, set()).add("account")
    found = own(rows).matches(finding(*told, accounts), {EPOCH: KEY}, THEIRS)
    assert {one.account_id: set(one.by) for one in found} == expected
    for one in found:
        # Whoever has the epoch's key can tell of any account: that alone, or with one thing more, touches nobody.
        assert one.touches == ("client_asn" in one.by and bool({"tls_fingerprint", "user_agent"} & set(one.by)))
    assert own(rows, 3).matches(finding(*told, accounts), {EPOCH: KEY}, THEIRS) == found


def test_without_the_epochs_key_and_for_another_lab_nothing_but_networks_matches() -> None:
    rows: Rows = [("acct-1", 1, "t1", "u1")]
    told = finding({1}, {"t1"}, {"u1"}, {"acct-1"})
    network = Match(account_id="acct-1", by=("client_asn",), touches=False)
    assert own(rows).matches(told, {}, THEIRS) == [network]
    assert own(rows).matches(told, {EPOCH: b"x" * 32}, THEIRS) == [network]
    assert own(rows).matches(told, {"2026-12": KEY}, THEIRS) == [network]
    (match,) = own(rows).matches(told, {EPOCH: KEY}, OURS)
    assert match.by == ("client_asn", "tls_fingerprint", "user_agent")
