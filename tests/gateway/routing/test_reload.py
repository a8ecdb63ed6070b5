"""A file that changes under the gateway: taken over when it is right, complained of once when it is not."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from tests.gateway.routing.files import ENVIRONMENT, TEXT, tiers
from tiergate.admission.models import Models
from tiergate.errors import InputError
from tiergate.gateway.routing.reload import FILE, InForce, load

NO_TIERS = Models({})


def write(path: Path, text: str) -> None:
    """Write so that the file counts as changed, whatever the clock of the file system can tell apart."""
    path.write_text(text, encoding="utf-8")
    write.turn += 1  # type: ignore[attr-defined]
    os.utime(path, ns=(write.turn, write.turn))  # type: ignore[attr-defined]


write.turn = 1_000_000_000_000_000_000  # type: ignore[attr-defined]


def strategy(held: InForce) -> str:
    assert held.routes is not None
    return held.routes.groups["chat"].strategy


def test_a_file_is_taken_over_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / FILE
    write(path, TEXT)
    first = load(path, None, NO_TIERS, ENVIRONMENT)
    assert load(path, first, NO_TIERS, ENVIRONMENT) is first
    write(path, TEXT.replace("strategy: cheapest", "strategy: fastest"))
    second = load(path, first, NO_TIERS, ENVIRONMENT)
    assert (strategy(first), strategy(second)) == ("cheapest", "fastest")


@pytest.mark.parametrize("spoil", ["half", "misspelt", "gone", "folder"])
def test_a_wrong_file_leaves_the_old_one_in_force_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: str
) -> None:
    path = tmp_path / FILE
    write(path, TEXT)
    held = load(path, None, NO_TIERS, ENVIRONMENT)
    path.unlink()
    if spoil == "folder":
        path.mkdir()
    elif spoil != "gone":
        write(path, TEXT[: TEXT.index("groups:")] if spoil == "half" else TEXT.replace("strategy", "stratgy"))
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            held = load(path, held, NO_TIERS, ENVIRONMENT)
            assert strategy(held) == "cheapest"
            assert held.complaint
    (said,) = caplog.messages
    assert "the routes stay as they were" in said
    if spoil == "misspelt":
        assert "did you mean `strategy`?" in said
    if spoil == "folder":
        path.rmdir()
    write(path, TEXT.replace("strategy: cheapest", "strategy: sticky"))
    held = load(path, held, NO_TIERS, ENVIRONMENT)
    assert (strategy(held), held.complaint) == ("sticky", None)


def test_other_tiers_are_checked_against_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / FILE
    write(path, TEXT)
    held = load(path, None, NO_TIERS, ENVIRONMENT)
    held = load(path, held, tiers(swift="classified", wise="open", own="open"), ENVIRONMENT)
    assert "are of the tiers classified and open" in (held.complaint or "")
    assert strategy(held) == "cheapest"
    assert load(path, held, NO_TIERS, ENVIRONMENT).complaint is None


def test_a_gateway_starts_without_the_file_and_not_with_a_wrong_one(tmp_path: Path) -> None:
    path = tmp_path / FILE
    held = load(path, None, NO_TIERS, ENVIRONMENT)
    assert (held.routes, held.complaint) == (None, None)
    write(path, TEXT.replace("strategy", "stratgy"))
    with pytest.raises(InputError, match=FILE):
        load(path, None, NO_TIERS, ENVIRONMENT)
    assert load(path, held, NO_TIERS, ENVIRONMENT).complaint
