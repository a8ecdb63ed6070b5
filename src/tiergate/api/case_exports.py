"""A case to take away: its dossier, and its evidence. Each is made by the command line, in a process of its own.

What that takes (reading a whole look, drawing, setting pages) must not hold up requests, and what it leaves behind goes
with it. One is made at a time.
"""

from __future__ import annotations

import enum
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
from starlette.responses import Response, StreamingResponse

from tiergate.api.audit import Way
from tiergate.api.operations import Call, Operation
from tiergate.api.operators import Operator, Permission
from tiergate.api.problems import ProblemError, not_found
from tiergate.api.services import Services
from tiergate.errors import InputError

LONGEST_S: Final = 900
PIECE: Final = 1 << 18
_ONE: Final = threading.Lock()


class Form(enum.StrEnum):
    """What a case is written as: a dossier, or evidence that runs again."""

    HTML = "html"
    PDF = "pdf"
    TAR = "tar"


KINDS: Final = {Form.HTML: "text/html; charset=utf-8", Form.PDF: "application/pdf", Form.TAR: "application/x-tar"}


class DossierQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As what the dossier is wanted."""

    form: Form = Form.PDF


def dossier(call: Call) -> Response:
    if call.query.form is Form.TAR:
        raise ProblemError(422, "unfit_query", "a dossier is `html` or `pdf`", "see `evidence` for the bundle")
    return exported(call.services, call.operator, call.path("case_id"), call.query.form, call.now_us, way="api")


def evidence(call: Call) -> Response:
    return exported(call.services, call.operator, call.path("case_id"), Form.TAR, call.now_us, way="api")


def exported(services: Services, operator: Operator, case_id: str, form: Form, now_us: int, *, way: Way) -> Response:
    """A case as a file, noted in the audit. Raises `ProblemError` for an unknown case, while another is being made, and
    where the command refuses."""
    try:
        file = services.cases.get(case_id)
    except InputError:
        raise not_found("case", case_id) from None
    if not _ONE.acquire(blocking=False):
        raise ProblemError(429, "export_under_way", "another case is being written", "try again in a minute")
    try:
        folder = tempfile.TemporaryDirectory(prefix="tiergate-export-")
        made = Path(folder.name) / f"{file.case_id}.{form.value}"
        try:
            _make(services, operator, file.case_id, form, made)
            content = made.open("rb")
        except BaseException:
            folder.cleanup()
            raise
    finally:
        _ONE.release()
    services.audit.note(
        now_us, operator.operator_id, operator.name, way=way, operation="export_case",
        path=f"/v1/cases/{quote(file.case_id)}/{'evidence' if form is Form.TAR else 'dossier'}",
    )  # fmt: skip

    def pieces() -> Iterator[bytes]:
        with folder, content:
            while piece := content.read(PIECE):
                yield piece

    headers = {
        "content-disposition": f'attachment; filename="{made.name}"', "cache-control": "no-store",
        "content-length": str(made.stat().st_size), "x-content-type-options": "nosniff",
    }  # fmt: skip
    return StreamingResponse(pieces(), media_type=KINDS[form], headers=headers)


def _make(services: Services, operator: Operator, case_id: str, form: Form, out: Path) -> None:
    data = str(services.settings.data)
    if form is Form.TAR:
        words = ["export", "--out", str(out), "--data", data, "--json", "--", case_id]
    else:
        words = ["dossier", "--out", str(out), "--data", data, f"--author={operator.name}", "--json", "--", case_id]
    command = [sys.executable, "-m", "tiergate", "case", *words]
    environment = os.environ | {"NO_COLOR": "1"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, env=environment, check=False)  # noqa: S603 - no shell, and an id of our own
    except subprocess.TimeoutExpired:
        raise ProblemError(
            503, "export_too_slow", f"this takes longer than {LONGEST_S // 60} minutes",
            f"run `tiergate case {words[0]} {case_id}` on the machine itself",
        ) from None  # fmt: skip
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise ProblemError(
            409, "export_refused", said[-1][:500] if said else "the command said nothing",
            f"run `tiergate case {words[0]} {case_id}` on the machine itself",
        )  # fmt: skip


OPERATIONS: Final = (
    Operation(
        method="GET", path="/v1/cases/{case_id}/dossier", name="case_dossier", summary="A case's dossier, as a file",
        permission=Permission.SEE_CASES, subject="cases", handler=dossier, query=DossierQuery, gives=Response,
    ),
    Operation(
        method="GET", path="/v1/cases/{case_id}/evidence", name="case_evidence", subject="cases",
        summary="A case's evidence in one file, which `tiergate case verify` runs again",
        permission=Permission.SEE_CASES, handler=evidence, gives=Response,
    ),
)  # fmt: skip
