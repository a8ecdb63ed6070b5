"""Which logs a deployment has, and which decision an id names."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.decisions import made_log
from tiergate.errors import InputError
from tiergate.ledger.decision_logs import find_decision, logs_of, place_of


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs of the first, second and tenth worker."""
    folder = tmp_path_factory.mktemp("data")
    for number in (1, 2, 10):
        made_log(place_of(folder, number).folder, number)
    return folder


def test_ids_name_a_log_and_a_place_in_it(data: Path) -> None:
    assert [place.prefix for place in logs_of(data)] == ["", "worker-2/", "worker-10/"]
    for place in logs_of(data):
        for index in (0, 7, 10**17):
            assert find_decision(data, f"{place.prefix}{index}") == (place, index)
    assert logs_of(data / "decisions") == logs_of(data)
    copy = data / "decisions" / "worker-2"
    assert [place.folder for place in logs_of(copy)] == [copy]
    assert find_decision(copy, "1") == (logs_of(copy)[0], 1)


@pytest.mark.parametrize(
    "name",
    ["", "-1", "00", "x", "٣", "9" * 30, "worker-1/0", "worker-3/0", "worker-02/0", "worker-2/", "worker-2/00", "/0",
     "worker-2//0", "worker-2/../0", "../decisions/0", "0\n", "worker-2/0\n", "worker-64/0", "worker-100/0"],
)  # fmt: skip
def test_what_is_no_id_is_refused(data: Path, name: str) -> None:
    with pytest.raises(InputError, match="is no decision"):
        find_decision(data, name)


@given(st.text("worker-/0129.\n", max_size=12))
def test_no_text_leads_outside_the_logs(data: Path, name: str) -> None:
    try:
        place, index = find_decision(data, name)
    except InputError:
        return
    assert place in logs_of(data)
    assert f"{place.prefix}{index}" == name


def test_a_folder_without_a_log_says_so(tmp_path: Path) -> None:
    for ask in (logs_of, lambda data: find_decision(data, "0")):
        with pytest.raises(InputError, match="no decision log"):
            ask(tmp_path)
