"""What is on record of a case: its file, every change of it, verdicts and appeals. What dossiers and bundles show."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import sqlalchemy as sa

from tiergate.admission.appeals import Appeal, Appeals
from tiergate.admission.changes import Change, Changes
from tiergate.errors import InputError
from tiergate.ledger.verdicts import Verdict, VerdictStore
from tiergate.response.case_files import CaseFile
from tiergate.response.digests import read_table


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One case: its ``file`` now, its ``history`` (oldest first), every verdict that was ever put on one of its
    accounts, and the appeals against it. ``only``: accounts that a case was split off with; None for all others.

    Ids of verdicts are the beginning of their SHA-256: who has a whole one may read the notice.
    """

    file: CaseFile
    only: tuple[str, ...] | None
    history: list[Change]
    verdicts: list[Verdict]
    appeals: list[Appeal]


def cases_of(answer: Path, file: CaseFile) -> list[str]:
    """Names, in an ``answer`` of detection, of the cases that make up a case file, the one it is called after first.
    Of a case that was split off, that which it was a part of."""
    heads = read_table(answer, "cases").select(["case_id", "lineage_id"]).to_pylist()
    lineages = {file.split_from or file.case_id, *file.merged}
    named = [row["case_id"] for row in heads if row["lineage_id"] in lineages]
    return sorted(named, key=lambda one: one != file.found.case_id)


def record_of(engine: sa.Engine, name: str) -> Record:
    """The record of the case that is called, or begins with, ``name``. Raises `InputError` for none or several."""
    changes = Changes(engine)
    files = changes.every(CaseFile)
    fitting = [one for one in files if one.case_id == name] or [one for one in files if one.case_id.startswith(name)]
    if len(fitting) != 1:
        said = f"{len(fitting)} cases begin with" if fitting else "no case is called, or begins with,"
        raise InputError(f"{said} `{name}`: see `tiergate case list`")
    (file,) = fitting
    verdicts = VerdictStore(engine).history(file.case_id)
    subjects = {file.case_id, *(one.verdict_id for one in verdicts)}
    appeals = [one for one in Appeals(engine).every() if one.subject_id in subjects]
    parent = next((one for one in files if one.case_id == file.split_from), None)
    return Record(
        file=file,
        only=parent.apart[file.case_id] if parent else None,
        history=changes.history(CaseFile, file.case_id),
        verdicts=[_shown(one) for one in verdicts],
        appeals=[msgspec.structs.replace(one, subject_id=_short(one.subject_id, file)) for one in appeals],
    )


def _shown(verdict: Verdict) -> Verdict:
    supersedes = verdict.supersedes and _hashed(verdict.supersedes)
    return msgspec.structs.replace(verdict, verdict_id=_hashed(verdict.verdict_id), supersedes=supersedes)


def _short(subject_id: str, file: CaseFile) -> str:
    return subject_id if subject_id == file.case_id else _hashed(subject_id)


def _hashed(verdict_id: str) -> str:
    return hashlib.sha256(verdict_id.encode()).hexdigest()[:16]
