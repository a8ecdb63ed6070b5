"""Scores are symmetric, bounded, explained, the same however a name is written, and right often enough."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.names import Pair, load, quality
from hypothesis import given
from hypothesis import strategies as st

from tiergate.parties.names import Kind, parse
from tiergate.parties.scoring import THRESHOLD, compare

PEOPLE = (
    "Olaf Scholz",
    "Usama bin Laden",
    "Jean-Claude Juncker",
    "Мария Захарова",
    "习近平",
    "محمد بن سلمان",
    "A. Khamenei",
)
COMPANIES = (
    "Deutsche Bank AG",
    "OAO Gazprom",
    "Banco Santander, S.A.",
    "Nanshan Group Co Ltd",
    "北京字节跳动科技有限公司",
)
WORDS = st.sampled_from(" ".join(PEOPLE + COMPANIES).split())
NAMES = st.one_of(st.text(max_size=60), st.lists(WORDS, min_size=1, max_size=7).map(" ".join))


def score(left: str, right: str, kind: Kind = Kind.PERSON) -> float:
    return compare(parse(left, kind), parse(right, kind)).score


@given(NAMES, NAMES, st.sampled_from(Kind), st.sampled_from(Kind))
def test_a_score_is_symmetric_bounded_and_the_sum_of_its_parts(left: str, right: str, one: Kind, other: Kind) -> None:
    there = compare(parse(left, one), parse(right, other))
    back = compare(parse(right, other), parse(left, one))
    assert there.score == back.score
    assert 0 <= there.score <= 1
    assert [(part.left, part.right, part.cost) for part in there.parts] == [
        (part.right, part.left, part.cost) for part in back.parts
    ]
    if there.parts:
        assert there.score == 2.0 ** -sum(part.cost for part in there.parts)
        assert all(part.cost >= 0 for part in there.parts)


@given(NAMES, st.sampled_from(Kind))
def test_a_name_is_itself(text: str, kind: Kind) -> None:
    name = parse(text, kind)
    assert compare(name, name).score == (1 if name.tokens else 0)


@given(st.sampled_from(PEOPLE + COMPANIES), st.randoms(use_true_random=False))
def test_the_order_of_tokens_makes_no_difference(name: str, random: object) -> None:
    words = name.replace(",", " ").split()
    random.shuffle(words)  # type: ignore[attr-defined]
    assert score(name, " ".join(words)) == 1


@pytest.mark.parametrize("name", [name for name in PEOPLE + COMPANIES if name.isascii()])
@pytest.mark.parametrize("kind", [Kind.PERSON, Kind.ORGANISATION])
def test_case_and_marks_make_no_difference(name: str, kind: Kind) -> None:
    marked = name.replace("a", "á").replace("o", "o\u0308").replace("e", "ê")
    for written in (name.upper(), name.lower(), marked, marked.upper(), f"  {name} .", name.replace(" ", "  ")):
        assert score(name, written, kind) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ltd", "Limited"),
        ("AG", "Aktiengesellschaft"),
        ("GmbH", "Gesellschaft mit beschränkter Haftung"),
        ("S.A.R.L.", "SARL"),
        ("OOO", "Общество с ограниченной ответственностью"),
        ("Corp.", "Corporation"),
        ("Sp. z o.o.", "sp z oo"),
        ("LLC", "L.L.C."),
        ("Co., Ltd.", "Company Limited"),
    ],
)
def test_a_legal_form_can_be_written_in_any_way_or_left_out(one: str, other: str) -> None:
    assert score(f"Zhevskaya {one}", f"Zhevskaya {other}", Kind.ORGANISATION) == 1
    assert score(f"Zhevskaya {one}", "Zhevskaya", Kind.ORGANISATION) == 1


def test_another_legal_form_alone_does_not_hide_a_company() -> None:
    assert THRESHOLD <= score("Zhevskaya AG", "Zhevskaya LLP", Kind.ORGANISATION) < 1


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("J.-C. Juncker", "Jean-Claude Juncker"),
        ("JC Juncker", "Jean-Claude Juncker"),
        ("SergeiLavrov", "Sergei Lavrov"),
        ("Dr. Rami Makhlouf", "Rami Makhlouf"),
        ("Ben Netanyahu", "Benjamin Netanyahu"),
        ("Moammar Qaddafi", "Muammar Gaddafi"),
        ("Sergey Lavrov", "Sergey Viktorovich Lavrov"),
        ("Xi Jinping", "习近平"),
        ("習近平", "习近平"),
    ],
)
def test_people_who_are_one(left: str, right: str) -> None:
    assert score(left, right) >= THRESHOLD


@pytest.mark.parametrize(
    ("left", "right", "kind"),
    [
        ("Barack Obama", "Michelle Obama", Kind.PERSON),
        ("习近朋", "习近平", Kind.PERSON),
        ("Bank of Armenia", "Bank of America", Kind.ORGANISATION),
        ("Saudi Arabian Gas Company", "Saudi Arabian Oil Company", Kind.ORGANISATION),
    ],
)
def test_those_who_are_two(left: str, right: str, kind: Kind) -> None:
    assert score(left, right, kind) < THRESHOLD


def test_a_rare_word_more_parts_names_further_than_a_common_one() -> None:
    rare = score("Zhevskaya", "Zhevskaya Kalibrovka", Kind.ORGANISATION)
    assert score("Zhevskaya", "Zhevskaya Group", Kind.ORGANISATION) > rare


def test_a_reviewer_can_read_why() -> None:
    lines = compare(parse("Olaf Schulze", Kind.PERSON), parse("Scholz, Olaf", Kind.PERSON)).explain().splitlines()
    assert lines[0].startswith("score 0.")
    assert lines[1].startswith("schulze ~ scholz: 2 edits")
    assert lines[2] == "olaf ~ olaf: same, costs 0.00"


def test_garbage_takes_bounded_time() -> None:
    left = parse(" ".join(f"a{n}b" for n in range(40)), Kind.PERSON)
    right = parse(" ".join(f"ab{n}" for n in range(40)), Kind.PERSON)
    one_word = parse("ab" * 1_000, Kind.PERSON)
    # Without the bounds on what is compared, these two would not end within the suite's time limit.
    compare(left, right)
    compare(left, one_word)


@pytest.mark.shared_data
def test_labelled_pairs_are_told_apart(shared_data: Path) -> None:
    pairs = load(shared_data / "org")
    held_out = [pair for pair in pairs if not pair.tuning]
    assert len(pairs) == 826
    assert len(held_out) == 379
    assert _f1(pairs) >= 0.89
    assert _f1(held_out) >= 0.85


def _f1(pairs: list[Pair]) -> float:
    return quality(pairs, [score(pair.left, pair.right, pair.kind) for pair in pairs], THRESHOLD)["f1"]
