"""The pages of the section, and what is said before somebody decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.responses import Response

from tiergate.api.case_exports import Form, exported
from tiergate.api.operators import Permission
from tiergate.api.problems import ProblemError
from tiergate.console.cases.accounts import accounts, graph, why
from tiergate.console.cases.evidence import evidence
from tiergate.console.cases.foretold import FORETOLD
from tiergate.console.cases.history import history
from tiergate.console.cases.traffic import traffic
from tiergate.console.cases.worklist import worklist
from tiergate.console.visits import Page, View, Visit

__all__ = ["FORETOLD", "PAGES"]


def export(visit: Visit) -> Response:
    """A case as a file, made by the command line."""
    form = visit.path("form")
    if form not in set(Form):
        raise ProblemError(404, "not_found", "a case is written as html, pdf or tar", "choose one on the case's page")
    return exported(visit.services, visit.operator, visit.path("case_id"), Form(form), visit.now_us, way="console")


def _page(path: str, name: str, handler: Callable[[Visit], View | Response], template: str) -> Page:
    return Page(
        path=f"/cases{path}", name=name, section="cases", template=f"cases/{template}",
        handler=handler, permission=Permission.SEE_CASES,
    )  # fmt: skip


PAGES: Final = (
    _page("", "cases", worklist, "worklist"),
    _page("/{case_id}", "case", evidence, "evidence"),
    _page("/{case_id}/accounts", "case_accounts", accounts, "accounts"),
    _page("/{case_id}/graph.json", "case_graph", graph, "accounts"),
    _page("/{case_id}/why", "case_why", why, "why"),
    _page("/{case_id}/traffic", "case_traffic", traffic, "traffic"),
    _page("/{case_id}/history", "case_history", history, "history"),
    _page("/{case_id}/export/{form}", "case_export", export, "history"),
)
