"""Names are read the same way however they are written, in bounded time, and never by what the caller calls them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.parties.names import MAX_CHARACTERS, MAX_TOKENS, Kind, parse, sound_key


def texts(name: str, kind: Kind = Kind.ORGANISATION) -> list[str]:
    return [token.text for token in parse(name, kind).tokens]


@pytest.mark.parametrize(
    ("name", "tokens", "forms"),
    [
        ("Siemens AG", ["siemens"], {"stock"}),
        ("Siemens Aktiengesellschaft", ["siemens"], {"stock"}),
        ("FABERLIC EUROPE Sp. z o.o.", ["faberlic", "europe"], {"limited"}),
        ("FABERLIC EUROPE Sp. z o. o.", ["faberlic", "europe"], {"limited"}),
        ('Общество с ограниченной ответственностью "Байкал"', ["baykal"], {"limited"}),
        ("OOO Baykal", ["baykal"], {"limited"}),
        ("北京字节跳动科技有限公司", ["bei", "jing", "zi", "jie", "tiao", "dong", "ke", "ji"], {"limited"}),
        ("J.P. Morgan & Co.", ["jp", "morgan"], set()),
        ("Blackstone Partners V L.P.", ["blackstone", "partners", "v"], {"partnership"}),
        ("The Procter and Gamble Company", ["procter", "gamble"], set()),
        ("First Int'l Bank", ["1", "international", "bank"], set()),
        ("SAS Institute Inc", ["sas", "institute"], set()),
        ("BT Group plc", ["bt", "group"], {"stock"}),
        ("Limited Company", ["limited"], set()),
    ],
)
def test_an_organisation_without_its_legal_form(name: str, tokens: list[str], forms: set[str]) -> None:
    read = parse(name, Kind.ORGANISATION)
    assert [token.text for token in read.tokens] == tokens
    assert read.forms == forms


def test_scripts_are_written_in_latin_letters_and_say_what_is_missing() -> None:
    assert texts("Κυριάκος Μητσοτάκης", Kind.PERSON) == ["kyriakos", "mitsotakis"]
    assert texts("Сергей Лавров", Kind.PERSON) == ["sergey", "lavrov"]
    arabic = parse("محمد بن سلمان", Kind.PERSON)
    assert [token.text for token in arabic.tokens] == ["mohammed", "bin", "slmn"]
    assert all(token.abjad for token in arabic.tokens)
    chinese = parse("习近平", Kind.PERSON)
    assert [(token.text, token.native) for token in chinese.tokens] == [("xi", "习"), ("jin", "近"), ("ping", "平")]


def test_letters_chosen_for_their_looks_do_not_hide_a_name() -> None:
    assert texts("Sberbаnk") == texts("Sberbank")  # a Cyrillic а
    assert texts("Ros\u200bneft") == texts("Rosneft")
    assert texts("Ｇａｚｐｒｏｍ") == texts("Gazprom")
    assert texts("Sеrgеу Lavrov", Kind.PERSON) == ["sergey", "lavrov"]  # Cyrillic е and у


def test_common_words_are_worth_less() -> None:
    values = {token.text: token.value for token in parse("Zhevskaya Holdings Solutions", Kind.ORGANISATION).tokens}
    assert values["holding"] < values["solutions"] < values["zhevskaya"] == 1
    person = {token.text: token.value for token in parse("Dr. Ludwig van Beethoven", Kind.PERSON).tokens}
    assert person["dr"] == person["van"] < person["ludwig"] == 1


def test_a_name_of_titles_alone_is_a_name() -> None:
    assert [token.value for token in parse("Don King", Kind.PERSON).tokens] == [1, 1]


def test_an_unknown_kind_is_told_by_its_words() -> None:
    assert parse("Romashka OOO").kind is Kind.ORGANISATION
    assert parse("Deutsche Bank").kind is Kind.ORGANISATION
    assert parse("Olaf Scholz").kind is Kind.PERSON


@pytest.mark.parametrize("name", ["", "   ", "!?—…", "\u200b\u200d", "🙂"])
def test_what_holds_nothing_has_no_tokens(name: str) -> None:
    if not any(unicodedata.category(c) == "So" for c in name):  # pictures are read by their names
        assert parse(name).tokens == ()


@given(st.text(max_size=200), st.sampled_from(Kind))
def test_anything_can_be_read(text: str, kind: Kind) -> None:
    name = parse(text, kind)
    assert len(name.tokens) <= MAX_TOKENS
    for token in name.tokens:
        assert token.text.isascii()
        assert token.text.isalnum()
        assert 0 < token.value <= 1


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789", max_size=30))
def test_a_sound_key_is_short_and_has_no_vowel_but_the_first(text: str) -> None:
    key = sound_key(text)
    assert len(key) <= len(text)
    assert not set(key[1:]) & set("aeiouhwy")


def test_spellings_of_one_name_sound_alike() -> None:
    assert sound_key("gaddafi") == sound_key("qaddafi") == sound_key("kadhafi")
    assert sound_key("osama") == sound_key("usama")


def test_a_very_long_name_is_cut_and_says_so() -> None:
    name = parse("x y " * 1_000_000)
    assert name.cut
    assert len(name.text) == MAX_CHARACTERS
    assert parse("a b " * 20).cut
    assert not parse("Olaf Scholz").cut
