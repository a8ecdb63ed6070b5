"""Other names in place of identifiers keep what detection reads of these, and nothing else."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.detection.addresses import block_of, neighbourhoods
from tiergate.errors import InputError
from tiergate.response.bundle.renaming import Renaming, renamed

IDS = st.sets(st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFF), min_size=1, max_size=6), min_size=1)
ADDRESSES = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
    st.sampled_from(["10.0.0.1", "10.0.0.2", "2001:DB8::1", "2001:db8::1", "::ffff:10.0.0.1", "", "host.example"]),
)


@given(IDS, st.data())
def test_names_stand_in_the_order_of_the_ids_and_those_of_the_case_stay(ids: set[str], data: st.DataObject) -> None:
    ordered = sorted(ids)
    kept = data.draw(st.sets(st.sampled_from(ordered)))
    given_names = renamed(ordered, kept)
    assert given_names == sorted(set(given_names))
    assert all((new == old) == (old in kept) for new, old in zip(given_names, ordered, strict=True))
    hidden = [one for one in given_names if one not in kept]
    assert all(re.fullmatch(r" other \d{9}", one[-16:]) and one[:-16] in {"", *kept} for one in hidden)


def test_ids_that_cannot_be_renamed_in_order_are_refused() -> None:
    with pytest.raises(InputError, match="cannot be renamed"):
        renamed(["a", "a ", "a !"], {"a", "a !"})


@given(st.lists(ADDRESSES, min_size=1))
def test_addresses_of_one_block_stay_in_one_block_and_equal_ones_equal(addresses: list[str]) -> None:
    renaming = Renaming([], [], [], [])
    new = renaming._column("client_address", pa.array(addresses, pa.string())).to_pylist()
    for one, changed in zip(addresses, new, strict=True):
        for other, likewise in zip(addresses, new, strict=True):
            assert (one == other) == (changed == likewise)
            assert (block_of(one) == block_of(other)) == (block_of(changed) == block_of(likewise)) or not block_of(one)
        assert (block_of(one) is None) == (block_of(changed) is None)
    before, after = (neighbourhoods(pa.array(some, pa.string())).tolist() for some in (addresses, new))
    assert [one < 0 for one in before] == [one < 0 for one in after]
    assert len({*zip(before, after, strict=True)}) == len({*before})


def test_null_and_empty_stay_and_networks_become_their_rank() -> None:
    renaming = Renaming([], [], [64_500, 7018, 13335], ["known"])
    hidden = renaming._column("user_agent", pa.array(["curl", None, "", "curl"])).to_pylist()
    assert (hidden[1], hidden[2]) == (None, "")
    assert hidden[0] == hidden[3] != "curl"
    assert renaming._column("client_asn", pa.array([7018, None, 64_500])).to_pylist() == [0, None, 2]
    tools = renaming._column("tool_names", pa.array([["a", "b"], [], None, ["a", "b"]], pa.list_(pa.string())))
    first, empty, absent, last = tools.to_pylist()
    assert first == last
    assert len(first) == 1
    assert "a" not in first
    assert (empty, absent) == ([""], None)
    assert renaming._column("request_model", pa.array(["known", "ft:acme"])).to_pylist()[0] == "known"
