"""`labs.toml` is read strictly, and a token is of exactly one lab."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sharing.tokens.conftest import TOKENS, group
from tiergate.clock import HOUR
from tiergate.errors import InputError
from tiergate.sharing.tokens.group import load_group

LAB = '[[labs]]\nname = "{name}"\nnumber = {number}\ntoken_sha256 = "{digest}"\n'
TWO = LAB.format(name="a", number=1, digest="1" * 64) + LAB.format(name="b", number=2, digest="2" * 64)


def load(folder: Path, text: str) -> object:
    (folder / "labs.toml").write_text(text)
    return load_group(folder / "labs.toml")


def test_a_group_is_read(tmp_path: Path) -> None:
    read = load(tmp_path, "threshold = 2\nepoch_hours = 6\n" + TWO)
    assert [(one.name, one.number, one.quota) for one in read.labs] == [("a", 1, 200_000), ("b", 2, 200_000)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("threshold = 1\n" + TWO, "threshold"),
        ("threshold = 3\n" + TWO, "threshold"),
        ("threshold = 2\nepoch_hours = 0\n" + TWO, "epoch_hours"),
        ("threshold = 2\nprice = 3\n" + TWO, "price"),
        ("threshold = 2\n" + TWO.replace("number = 2", "number = 1"), "one number"),
        ("threshold = 2\n" + TWO.replace("number = 2", "number = 256"), "1 to 255"),
        ("threshold = 2\n" + TWO.replace('"b"', '"a"'), "one name"),
        ("threshold = 2\n" + TWO.replace('"b"', '"B b"'), "no name"),
        ("threshold = 2\n" + TWO.replace("2" * 64, "1" * 64), "one token"),
        ("threshold = 2\n" + TWO.replace("2" * 64, "secret"), "SHA-256"),
        ("threshold = 2\n" + TWO + "quota = 0\n", "quota"),
        ("threshold = [", "labs.toml"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"docs/sharing\.md"):
        load_group(tmp_path / "labs.toml")


def test_who_shows_a_token() -> None:
    of = group()
    assert [getattr(of.who(f"Bearer {token}"), "number", None) for token in TOKENS] == [1, 2, 3, 4, 5]
    for shown in (
        "",
        "Bearer",
        f"Basic {TOKENS[0]}",
        f"Bearer {TOKENS[0]}x",
        TOKENS[0],
        f"Bearer {of.labs[0].token_sha256}",
    ):
        assert of.who(shown) is None


def test_two_epochs_are_kept() -> None:
    assert group().kept(240 * HOUR) == (10, 9)
