"""Is a name on a list? Candidates among many listed names, scored one by one, with reasons for a reviewer.

A hit is a question to a reviewer, never a decision. The score is of the names alone: kind, country and date of birth,
which whoever asks may have made up, are compared and shown, and rank hits of one score; they never remove one.

Candidates are found by tokens: the same token, one that is a few edits away (`rapidfuzz.process.cdist` over the
vocabulary of the list), one that sounds alike, neighbours written together, an acronym. The `CANDIDATES` listed names
of which most is covered are compared by `scoring.compare`. Nothing is remembered between calls but by a name's text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import OSA
from rapidfuzz.process import cdist

from tiergate.errors import InputError
from tiergate.parties.names import Kind, Name, Token, parse
from tiergate.parties.scoring import THRESHOLD, Comparison, compare

CANDIDATES: Final = 128
"""Listed names that are compared in full for each name asked about."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One listed name; an alias is a row of its own with the same ``reference``.

    ``country`` is ISO 3166-1 alpha-2, ``birth_date`` YYYY, YYYY-MM or YYYY-MM-DD; None where not known.
    """

    name: str
    kind: Kind = Kind.UNKNOWN
    reference: str = ""
    country: str | None = None
    birth_date: str | None = None


class Fact(StrEnum):
    """How a fact of the one asked about relates to the listed one's."""

    AGREES = "agrees"
    DIFFERS = "differs"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Hit:
    """A listed name that is close enough to look at."""

    listed: Listed
    comparison: Comparison
    kind: Fact
    country: Fact
    birth_date: Fact

    @property
    def score(self) -> float:
        """Of the names, in [0, 1]."""
        return self.comparison.score

    def explain(self) -> str:
        """What is alike and what is not, in lines for a reviewer."""
        facts = f"kind {self.kind}, country {self.country}, birth date {self.birth_date}"
        return f"{self.listed.name} ({self.listed.reference or 'no reference'})\n{self.comparison.explain()}\n{facts}"


class NameIndex:
    """Listed names, ready to be searched. Immutable once made; safe to share between threads."""

    def __init__(self, listed: Iterable[Listed]) -> None:
        """:raises InputError: a listed name holds no letter or digit, or a birth date is not one."""
        self._listed: Final = tuple(listed)
        self._names: Final = tuple(parse(entry.name, entry.kind) for entry in self._listed)
        for entry, name in zip(self._listed, self._names, strict=True):
            _must_hold_something(name)
            _must_be_a_date(entry.birth_date)
        self._by_kind: Final = {
            kind: _Searched({row: name for row, name in enumerate(self._names) if name.kind is kind})
            for kind in (Kind.PERSON, Kind.ORGANISATION)
        }

    def __len__(self) -> int:
        return len(self._listed)

    def screen(
        self,
        name: str,
        kind: Kind = Kind.UNKNOWN,
        *,
        country: str | None = None,
        birth_date: str | None = None,
        threshold: float = THRESHOLD,
    ) -> list[Hit]:
        """Listed names that score at least ``threshold``, best first; of one score, those whose facts agree first.

        The name is read as each listed name is, as a person's or an organisation's, whatever ``kind`` says: nobody
        escapes a list of companies by calling themselves a person.

        :raises InputError: the name cannot be read in full, which is not a clearance: it holds no letter or digit, or
            is longer than `parse` reads.
        """
        _must_be_a_date(birth_date)
        readings = {each: parse(name, each) for each in (Kind.PERSON, Kind.ORGANISATION)}
        for reading in readings.values():
            _must_hold_something(reading)
            if reading.cut:
                raise InputError("this name is too long to be screened in one piece; screen its parts")
        hits = []
        for row in self.candidates(name):
            comparison = compare(readings[self._names[row].kind], self._names[row])
            if comparison.score >= threshold:
                entry = self._listed[row]
                facts = (
                    _fact(_known(kind), _known(entry.kind)),
                    _fact(country, entry.country),
                    _date_fact(birth_date, entry.birth_date),
                )
                hits.append(Hit(entry, comparison, *facts))
        return sorted(hits, key=_rank)

    def candidates(self, name: str) -> list[int]:
        """Rows of the list that could match, at most `CANDIDATES`: those first of which most is covered."""
        found = [pair for kind, part in self._by_kind.items() for pair in part.covered(parse(name, kind).tokens)]
        return [row for _, row in sorted(found, key=lambda pair: (-pair[0], pair[1]))[:CANDIDATES]]


class _Searched:
    """The listed names of one kind, by what their tokens look and sound like."""

    def __init__(self, names: dict[int, Name]) -> None:
        self._rows: Final = list(names)
        self._values: Final = np.array([sum(token.value for token in name.tokens) for name in names.values()])
        texts: dict[str, set[int]] = {}
        acronyms: dict[str, set[int]] = {}
        keys: dict[str, set[int]] = {}
        bare: dict[str, set[int]] = {}
        for at, name in enumerate(names.values()):
            for text, _ in _pieces(name.tokens):
                texts.setdefault(text, set()).add(at)
            if len(name.tokens) > 1:
                acronyms.setdefault("".join(token.text[0] for token in name.tokens), set()).add(at)
            for token in name.tokens:
                keys.setdefault(token.key, set()).add(at)
                if token.abjad:
                    bare.setdefault(token.key, set()).add(at)
        self._texts: Final = _Vocabulary(texts)
        self._acronyms: Final = _Vocabulary(acronyms)
        self._keys: Final = _Vocabulary(keys)
        self._bare: Final = _Vocabulary(bare)

    def covered(self, tokens: tuple[Token, ...]) -> list[tuple[float, int]]:
        """How much of the tokens listed names cover, best first, at most `CANDIDATES`, each with its row.

        Mostly it counts how much of the shorter name is found, for parts may be missing; then how much of the longer.
        """
        if not tokens or not self._rows:
            return []
        values = np.array([token.value for token in tokens])
        total = values @ self._shares(tokens)
        asked = values.sum()
        best = total / np.minimum(self._values, asked) + 0.25 * total / np.maximum(self._values, asked)
        kept = np.flatnonzero(best >= _LEAST_COVERED)
        order = kept[np.argsort(-best[kept], kind="stable")][:CANDIDATES]
        return [(float(best[at]), self._rows[at]) for at in order]

    def _shares(self, tokens: tuple[Token, ...]) -> NDArray[np.float64]:
        """How well each token is found in each listed name, shape (tokens, listed), in [0, 1]."""
        share = np.zeros((len(tokens), len(self._rows)))
        for text, places in _pieces(tokens):
            self._texts.near(text, _MOST_EDITS, places, share)
        for at, token in enumerate(tokens):
            self._acronyms.near(token.text, 0, (at,), share)
            self._keys.same(token.key, at, share)
            if token.abjad:
                self._keys.near(token.key, 1, (at,), share)
            else:
                self._bare.near(token.key, 1, (at,), share)
        return share


class _Vocabulary:
    """Strings of a list, shortest first, each with the places of the names that hold it."""

    def __init__(self, holders: dict[str, set[int]]) -> None:
        self._texts: Final = sorted(holders, key=len)
        self._lengths: Final = np.array([len(text) for text in self._texts], np.int64)
        self._holders: Final = {text: np.fromiter(places, np.intp, len(places)) for text, places in holders.items()}

    def same(self, text: str, at: int, share: NDArray[np.float64]) -> None:
        """Raise the share of names that sound alike."""
        holders = self._holders.get(text)
        if holders is not None:
            share[at, holders] = np.maximum(share[at, holders], _SOUNDS_ALIKE)

    def near(self, text: str, edits: int, places: tuple[int, ...], share: NDArray[np.float64]) -> None:
        """Raise the share of names that hold a string near this one to 1 - edits / length, at all of ``places``."""
        edits = min(edits, max(len(text) - 1, 0) // 2)
        start, end = np.searchsorted(self._lengths, [len(text) - edits, len(text) + edits + 1])
        near = self._texts[start:end]
        if edits == 0:
            found = [(text, 0)] if text in self._holders else []
        else:
            distances = cdist([text], near, scorer=OSA.distance, score_cutoff=edits, dtype=np.uint8)[0]
            found = [(near[column], int(distances[column])) for column in np.flatnonzero(distances <= edits)]
        for written, distance in found:
            holders = self._holders[written]
            alike = 1 - distance / max(len(text), len(written))
            for place in places:
                share[place, holders] = np.maximum(share[place, holders], alike)


def _pieces(tokens: tuple[Token, ...]) -> list[tuple[str, tuple[int, ...]]]:
    """Tokens, and two and three neighbours written together, with the positions that each stands for."""
    return [
        ("".join(token.text for token in tokens[start : start + length]), tuple(range(start, start + length)))
        for length in (1, 2, 3)
        for start in range(len(tokens) - length + 1)
    ]


_MOST_EDITS: Final = 3
_LEAST_COVERED: Final = 0.4
_SOUNDS_ALIKE: Final = 0.7
_DATE: Final = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?\Z")


def _must_hold_something(name: Name) -> None:
    if not name.tokens:
        raise InputError(
            f"the name `{name.text}` holds no letter or digit, so it cannot be screened; give one that does"
        )


def _must_be_a_date(text: str | None) -> None:
    if text is not None and not _DATE.match(text):
        raise InputError(f"`{text}` is not a birth date; write YYYY, YYYY-MM or YYYY-MM-DD")


def _fact(asked: str | None, listed: str | None) -> Fact:
    if asked is None or listed is None:
        return Fact.UNKNOWN
    return Fact.AGREES if asked.casefold() == listed.casefold() else Fact.DIFFERS


def _known(kind: Kind) -> str | None:
    return None if kind is Kind.UNKNOWN else kind


def _date_fact(asked: str | None, listed: str | None) -> Fact:
    """As far as both are known: 1970 agrees with 1970-03-01."""
    shared = min(len(asked or ""), len(listed or ""))
    return _fact(asked and asked[:shared], listed and listed[:shared])


def _rank(hit: Hit) -> tuple[float, int, str, str]:
    agreeing = sum((fact is Fact.AGREES) - (fact is Fact.DIFFERS) for fact in (hit.kind, hit.country, hit.birth_date))
    return -hit.score, -agreeing, hit.listed.name, hit.listed.reference
