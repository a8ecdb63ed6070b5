"""The decision record of advice: canonical JSON (RFC 8785) of all that it rests on, with a signed note of its digest.

::

    DIR/advice.json   what was asked, every verdict with its rule, line and sources, ranking, cost, regret, risks
    DIR/advice.note   its SHA-256 in a signed note (c2sp.org/signed-note), where there is a key
    DIR/aibom.json    the bill of materials

The same requirements, facts, day, draws and seed give the same bytes: no clock goes in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec
import rfc8785

import tiergate
from tiergate.advice.advising import Advice, look_again
from tiergate.advice.candidates import Candidate
from tiergate.advice.regret import worst_regret
from tiergate.advice.rules import Verdict
from tiergate.advice.shortlist import Reason
from tiergate.catalog.cited import Cited
from tiergate.errors import InputError, ProofError
from tiergate.ledger.notes import Note, PrivateKey, PublicKey, SignatureLine, parse_note

FORMAT: Final = "tiergate-advice/1"
RECORD: Final = "advice.json"
NOTE: Final = "advice.note"
_MOST_BYTES: Final = 64 << 20
_FIRST_LINE: Final = "tiergate advice 1"


class _Sources:
    """Facts by number, each once."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._number: dict[tuple[str, str, str], int] = {}

    def numbers(self, sources: Sequence[Cited]) -> list[int]:
        return [self._of(one) for one in sources]

    def _of(self, one: Cited) -> int:
        key = (one.as_of.isoformat(), one.source, one.licence)
        if key not in self._number:
            self._number[key] = len(self.rows)
            self.rows.append(dict(zip(("as_of", "source", "licence"), key, strict=True)))
        return self._number[key]


def fact_digests() -> dict[str, str]:
    """SHA-256 of every file of facts and every rule pack that comes with Tiergate, by its name."""
    folders = {"catalog/facts": "tiergate.catalog", "admission/packs": "tiergate.admission"}
    return {
        f"{folder}/{one.name}": sha256(one.read_bytes()).hexdigest()
        for folder, package in folders.items()
        for one in sorted(files(package).joinpath(folder.partition("/")[2]).iterdir(), key=lambda one: one.name)
        if one.name.endswith((".toml", ".csv"))
    }


def document(advice: Advice) -> dict[str, Any]:
    """The record as JSON can hold it; amounts and shares rounded to six decimals."""
    sources = _Sources()
    told, found = advice.asked.requirements, advice.found
    shown: dict[str, Any] = {
        "format": FORMAT,
        "software": f"tiergate {tiergate.__version__}",
        "day": advice.market.day,
        "requirements": told,
        "facts": fact_digests(),
        "draws": advice.draws,
        "seed": advice.seed,
        "classified_tier": {
            "needed": advice.need.answer,
            "because": advice.need.because,
            "paths": [
                {
                    "programme": path.programme.id,
                    "models": path.models,
                    "eligible": path.eligible,
                    "missing": path.missing,
                    "conditions": [
                        {
                            "of": one.of,
                            "answer": one.answer,
                            "text": one.text,
                            "missing": one.missing,
                            "sources": sources.numbers(one.sources),
                        }
                        for one in path.conditions
                    ],
                }
                for path in advice.paths
            ],
        },
        "shortlist": [_short(advice, one, sources) for one in found.short],
        "to_find_out": [
            {**_who(one), "unknown": _reasons(advice, found.reasons(one, Verdict.UNKNOWN), sources)}
            for one in found.to_find_out
        ],
        "excluded": [
            {**_who(one), "broken": _reasons(advice, found.reasons(one, Verdict.BROKEN), sources)}
            for one in found.excluded
        ],
        "ranking": [
            {"model": one.name, "way": advice.best[one.name].id, "wins": one.wins, **asdict(one)}
            for one in advice.ranking
        ],
        "continuity": {
            "worst_regret_usd": worst_regret(advice.scenarios),
            "scenarios": [asdict(one) for one in advice.scenarios],
        },
        "look_again": [{"day": day, "because": text} for day, text in look_again(advice)],
    }
    for row in shown["ranking"]:
        del row["name"]
    shown["sources"] = sources.rows
    return _plain(shown)  # type: ignore[no-any-return]


def encode(shown: dict[str, Any]) -> bytes:
    """A record as bytes, which are what is signed."""
    return rfc8785.dumps(shown)


def sign(record: bytes, key: PrivateKey) -> Note:
    """The note that says that the key's owner made or took this record."""
    text = f"{_FIRST_LINE}\n{key.public.name}\n{sha256(record).hexdigest()}\n"
    return Note(text, [SignatureLine(key.public.name, key.public.key_id, key.sign(text.encode()))])


@dataclass(frozen=True, slots=True)
class Kept:
    """A record that was read. ``stale``: files of facts that have changed since, by name."""

    shown: dict[str, Any]
    stale: tuple[str, ...]


def read_record(folder: Path, key: PublicKey) -> Kept:
    """The record in ``folder``, once its note holds. Raises `ProofError` where it does not, `InputError` where there is
    none."""
    try:
        record, note = ((folder / name).read_bytes() for name in (RECORD, NOTE))
    except FileNotFoundError as error:
        raise InputError(f"there is no `{error.filename}`: `tiergate advise --out DIR --key FILE` writes one") from None
    if len(record) > _MOST_BYTES:
        raise InputError(f"`{folder / RECORD}` is no record of advice: it is larger than {_MOST_BYTES:,} bytes")
    try:
        signed = parse_note(note.decode())
        shown = msgspec.json.decode(record, type=dict[str, Any])
    except (UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise InputError(f"`{folder}` has no record of advice: {error}") from error
    if shown.get("format") != FORMAT:
        raise InputError(f"`{folder / RECORD}` is no record of advice: it is not of the form `{FORMAT}`")
    if signed.text != f"{_FIRST_LINE}\n{key.name}\n{sha256(record).hexdigest()}\n":
        raise ProofError(f"the note in `{folder}` is of another record, or of another name than `{key.name}`")
    lines = key.signatures(signed)
    if not lines:
        raise ProofError(f"the note in `{folder}` has no signature by this key of `{key.name}`")
    for line in lines:
        key.check(line.signature, signed.text.encode())
    was, now = shown["facts"], fact_digests()
    return Kept(shown, tuple(sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))))


def _short(advice: Advice, one: Candidate, sources: _Sources) -> dict[str, Any]:
    score = advice.market.scores.get(one.model.id)
    return {
        **_who(one),
        "usd_per_month": advice.usd[one.id],
        "price": None
        if one.price is None
        else {
            "input": one.price.input,
            "output": one.price.output,
            "cached_input": one.price.cached_input,
            "since": one.price.since,
            "sources": sources.numbers([one.price.fact]),
        },
        "eci": None if score is None else score.eci,
        "to_agree": _reasons(advice, advice.found.reasons(one, Verdict.ASK), sources),
        "met": _reasons(advice, advice.found.reasons(one, Verdict.MET), sources),
        "risks": [
            {"kind": risk.kind, "text": risk.text, "sources": sources.numbers(risk.sources)}
            for risk in advice.risks[one.id]
        ],
    }


def _who(one: Candidate) -> dict[str, Any]:
    return {
        "candidate": one.id,
        "model": one.model.id,
        "developer": one.model.developer,
        "country": one.model.country,
        "tier": one.standing.tier,
        "way": one.way,
        "region": one.region,
    }


def _reasons(advice: Advice, reasons: Sequence[Reason], sources: _Sources) -> list[dict[str, Any]]:
    return [
        {
            "rule": one.rule.id,
            "line": one.line(advice.asked),
            "text": one.finding.text,
            "sources": sources.numbers(one.finding.sources),
        }
        for one in reasons
    ]


def _plain(value: Any) -> Any:
    """Values as canonical JSON takes them: floats rounded, days as text."""
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, str):
        return str(value)  # of an enumeration the text alone
    return value if value is None or isinstance(value, int) else _plain(msgspec.to_builtins(value))
