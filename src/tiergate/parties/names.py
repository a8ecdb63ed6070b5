"""Names made comparable: one spelling, one script, and what each part is worth.

A name becomes a row of `Token`. Compatibility forms, case, marks and invisible characters go (Unicode NFKC); every
script is written in Latin letters by the tables of `anyascii`, character by character. That is a transliteration, not a
reading, and its limits are: Arabic and Hebrew come without the vowels that are not written, so such tokens are compared
by consonants; Chinese characters come in Mandarin without tones, Japanese ones too, which is wrong for Japanese; a
foreign name spelt in Chinese characters does not come back.

Legal forms (`legal_forms.toml`), titles, particles, short forms and abbreviations (`name_words.toml`) are hand-made
lists. What a word of an organisation's name is worth comes from how many of 22,296 companies that file with the SEC
use it (`organisation_words.txt`).
"""

from __future__ import annotations

import math
import re
import tomllib
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from anyascii import anyascii

MAX_CHARACTERS: Final = 400
"""Of a name, the rest is not read: the longest listed names have some 250. `Name.cut` says that it happened."""
MAX_TOKENS: Final = 24


class Kind(StrEnum):
    """What a name is the name of. `UNKNOWN` is read as an organisation where a word says so, as a person otherwise."""

    PERSON = "person"
    ORGANISATION = "organisation"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Token:
    """One part of a name.

    ``text`` is [a-z0-9]+; ``key`` is what it sounds like (`sound_key`); ``native`` is the Chinese or Korean
    character it was written as, else empty; ``abjad`` says that vowels are missing; ``value`` in (0, 1] is what it
    tells about who is meant.
    """

    text: str
    key: str
    native: str
    abjad: bool
    value: float


@dataclass(frozen=True, slots=True)
class Name:
    """A name as it is compared. ``forms`` are classes of its legal form (`limited`, `stock`, ...)."""

    text: str
    kind: Kind
    tokens: tuple[Token, ...]
    forms: frozenset[str]
    cut: bool


def parse(text: str, kind: Kind = Kind.UNKNOWN) -> Name:
    """Read one name. It never fails: of what holds no letter or digit the tokens are empty.

    Remembered by the text itself and never by an id of the caller's, which may come back with another name.
    """
    return _parse(text[: MAX_CHARACTERS + 1], Kind(kind))  # cut before it is remembered: memory stays bounded


@lru_cache(maxsize=16_384)
def _parse(text: str, kind: Kind) -> Name:
    shown = text[:MAX_CHARACTERS]
    words = _words(shown)
    cut = len(text) > MAX_CHARACTERS or len(words) > MAX_TOKENS
    bare, forms = _without_forms(_organisation_words(shown)) if kind is not Kind.PERSON else (words, frozenset())
    if kind is Kind.UNKNOWN:
        kind = Kind.ORGANISATION if forms or any(_ORGANISATION_SIGN.get(w.text, 0) for w in words) else Kind.PERSON
    tokens = _organisation(bare) if kind is Kind.ORGANISATION else _person(words)
    return Name(shown, kind, tokens[:MAX_TOKENS], forms if kind is Kind.ORGANISATION else frozenset(), cut)


@lru_cache(maxsize=65_536)
def sound_key(text: str) -> str:
    """Consonants of [a-z0-9]+ in classes that spellings of one name tend to share: gaddafi, qaddafi -> `ktf`.

    A first vowel stays, as `a`; `h`, `w` and `y` go with the vowels; digits stay. Coarse on purpose: it finds
    candidates and makes an edit cheaper, and never makes two tokens equal.
    """
    folded = _SOUNDS.sub(lambda found: _SOUND_OF[found[0]], text).translate(_SOUND_LETTERS)
    consonants = re.sub(r"[aeiouhwy]", "", folded[1:])
    first = "a" if folded[:1] in set("aeiou") else folded[:1] if folded[:1] not in set("hwy") else ""
    return re.sub(r"(.)\1+", r"\1", first + consonants)


_SOUND_OF: Final = {
    "shch": "s", "sch": "s", "tch": "j", "sh": "s", "ch": "j", "zh": "j", "dzh": "j", "dj": "j", "kh": "k",
    "gh": "k", "ph": "f", "th": "t", "dh": "t", "ts": "s", "tz": "s", "cz": "j", "hs": "s", "ck": "k",
    "ce": "s", "ci": "s", "cy": "s",
}  # fmt: skip
_SOUNDS: Final = re.compile("|".join(sorted(_SOUND_OF, key=len, reverse=True)))
_SOUND_LETTERS: Final = str.maketrans("bcdgqvxz", "pktkkfss")


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    native: str
    abjad: bool


_APOSTROPHES: Final = str.maketrans(dict.fromkeys("'`’‘ʼʾʿʻ′´\"“”״׳", ""))
_ABJAD: Final = re.compile("[\u0590-\u05ff\u0600-\u06ff\u0750-\u077f\ufb1d-\ufdff\ufe70-\ufefc]")
_CHARACTER: Final = re.compile("([\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\U00020000-\U0003ffff])")
_LATIN: Final = re.compile("[a-z0-9]+")
_UNWRITTEN: Final = re.compile("[\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]")
"""Vowel points of Hebrew and Arabic and the stretching stroke: most writers leave them out."""
_MIXED: Final = re.compile("[a-z][^\\s\\-]*[\u0370-\u052f]|[\u0370-\u052f][^\\s\\-]*[a-z]")
_LOOK_ALIKES: Final = str.maketrans("авекмнорстухіјѕԁԛԝαβεικμνορτυχ", "abekmhopctyxijsdqwabeikuvoptux")
_ASCII_ONLY: Final = re.compile(r"[\x20-\x7e]*\Z")


def _words(text: str) -> list[_Word]:
    if _ASCII_ONLY.match(text):
        return [_Word(word, "", False) for word in _LATIN.findall(_ascii_folded(text))]
    words: list[_Word] = []
    whole = unicodedata.normalize("NFKC", text)
    whole = _UNWRITTEN.sub("", "".join(c for c in whole if unicodedata.category(c) != "Cf"))
    for piece in _CHARACTER.sub(r" \1 ", whole.casefold().translate(_APOSTROPHES)).split():
        if _MIXED.search(piece):  # Latin and Cyrillic or Greek in one word: letters chosen for how they look
            piece = piece.translate(_LOOK_ALIKES)
        latin = _LATIN.findall(_ascii_folded(anyascii(piece)))
        native = piece if len(piece) == 1 and _CHARACTER.match(piece) else ""
        words.extend(_Word(word, native, _ABJAD.search(piece) is not None) for word in latin)
    return words


def _ascii_folded(text: str) -> str:
    return text.lower().translate(_APOSTROPHES).replace("&", " and ")


def _organisation_words(text: str) -> list[_Word]:
    """As `_words`, with letters that dots join as one word: `S.A.R.L.` is `sarl`, `V L.P.` is `v lp`.

    Letters at the end that only blanks part (`sp. z o. o.`) are joined where they spell a legal form.
    """
    words = _words(_DOTTED.sub("", text))
    letters = 0
    while letters < len(words) and len(words[-1 - letters].text) == 1 and not words[-1 - letters].native:
        letters += 1
    for length in range(letters, 1, -1):
        written = "".join(word.text for word in words[-length:])
        if (written,) in _FORM_CLASSES:
            return [*words[:-length], _Word(written, "", False)]
    return words


_DOTTED: Final = re.compile(r"(?<=\b[^\W\d_])\.(?=[^\W\d_]\b)")


def _spelt(entry: str) -> tuple[str, ...]:
    return tuple(word.text for word in _words(entry))


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(files("tiergate.parties").joinpath(name).read_text(encoding="utf-8"))


_FORM_CLASSES: Final = {
    _spelt(entry): kind for kind, entries in _table("legal_forms.toml").items() for entry in entries
}
_LONGEST_FORM: Final = max(len(form) for form in _FORM_CLASSES)
_FORM_STARTS: Final = frozenset(form[0] for form in _FORM_CLASSES)
_WORDS: Final = _table("name_words.toml")


def _first_of_each(rows: list[list[str]]) -> dict[str, str]:
    """Spelling -> the spelling that stands for its row. Of rows that share one, the first counts."""
    first: dict[str, str] = {}
    for row in rows:
        for entry in row:
            first.setdefault("".join(_spelt(entry)), "".join(_spelt(row[0])))
    return first


_TITLES: Final = {"".join(_spelt(entry)) for entry in _WORDS["titles"]}
_PARTICLES: Final = {"".join(_spelt(entry)) for entry in _WORDS["particles"]}
_JOINERS: Final = {"".join(_spelt(entry)) for entry in _WORDS["joiners"]}
_SAME: Final = _first_of_each(_WORDS["same"])
_ABBREVIATIONS: Final = _first_of_each(_WORDS["abbreviations"])
_NUMBERS: Final = {"".join(_spelt(entry)): number for number, row in _WORDS["numbers"].items() for entry in row}


def _short_forms() -> dict[str, frozenset[int]]:
    rows: dict[str, set[int]] = {}
    for number, row in enumerate(_WORDS["short_forms"]):
        for entry in row:
            rows.setdefault(entry, set()).add(number)
    return {entry: frozenset(numbers) for entry, numbers in rows.items()}


_SHORT_FORMS: Final = _short_forms()


def one_person(left: str, right: str) -> bool:
    """Whether two given names are known as the full and a short form of one name, or two short forms of it."""
    ours = _SHORT_FORMS.get(left)
    return ours is not None and not ours.isdisjoint(_SHORT_FORMS.get(right, ()))


def _counts() -> dict[str, int]:
    lines = files("tiergate.parties").joinpath("organisation_words.txt").read_text(encoding="utf-8").splitlines()
    return {word: int(count) for word, count in (line.split() for line in lines if not line.startswith("#"))}


_COMPANIES: Final = 22_296
_RARE: Final = 20
_ORGANISATION_SIGN: Final = {word: count for word, count in _counts().items() if count >= _RARE}


@lru_cache(maxsize=65_536)
def _organisation_value(word: str) -> float:
    """1 for a word that fewer than 20 of the counted companies use, down to 0.2 for what one in ten does."""
    count = max(_ORGANISATION_SIGN.get(word, 0), _RARE)
    return max(0.2, math.log(_COMPANIES / 10 / count) / math.log(_COMPANIES / 10 / _RARE))


def _without_forms(words: list[_Word]) -> tuple[list[_Word], frozenset[str]]:
    """Take legal forms away: of several words wherever they stand, single words at the end; never everything.

    A single word at the start counts only where no form was found otherwise, and not of two letters, so that `SAS
    Institute Inc` and `BT Group` keep theirs; `OOO Romashka` and `AO Sever` lose theirs.
    """
    forms: set[str] = set()
    kept: list[_Word] = []
    start = 0
    while start < len(words):
        length, kind = _form_at(words, start) if words[start].text in _FORM_STARTS else (0, "")
        if length > 1 or (length == 1 and kept and all(w.text in _FORM_STARTS for w in words[start + 1 :])):
            forms.add(kind)
            start += length
        else:
            kept.append(words[start])
            start += 1
    if not forms and len(kept) > 1 and (len(kept[0].text) > 2 or kept[0].text == "ao"):
        kind = _FORM_CLASSES.get((kept[0].text,), "")
        if kind:
            forms.add(kind)
            kept = kept[1:]
    return (kept, frozenset(forms - {"any"})) if kept else (words, frozenset())


def _form_at(words: list[_Word], start: int) -> tuple[int, str]:
    for length in range(min(_LONGEST_FORM, len(words) - start), 0, -1):
        kind = _FORM_CLASSES.get(tuple(word.text for word in words[start : start + length]))
        if kind is not None:
            return length, kind
    return 0, ""


def _organisation(words: list[_Word]) -> tuple[Token, ...]:
    told = [word for word in words if word.text not in _JOINERS] or words
    tokens = []
    for word in told:
        text = _NUMBERS.get(word.text) or _ABBREVIATIONS.get(word.text, word.text)
        tokens.append(Token(text, sound_key(text), word.native, word.abjad, _organisation_value(text)))
    return tuple(tokens)


def _person(words: list[_Word]) -> tuple[Token, ...]:
    tokens = []
    for word in words:
        text = _SAME.get(word.text, word.text)
        weak = not word.native and (word.text in _TITLES or word.text in _PARTICLES)
        tokens.append(Token(text, sound_key(text), word.native, word.abjad, WEAK if weak else 1.0))
    if all(token.value == WEAK for token in tokens):  # "Don King", "Al Ben Ali": then they are the name
        return tuple(Token(token.text, token.key, token.native, token.abjad, 1.0) for token in tokens)
    return tuple(tokens)


WEAK: Final = 0.1
"""Value of a title or a particle beside a name's other parts."""
