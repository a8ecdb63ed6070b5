"""What a page is, and the one way of a request for it.

whose session -> may they -> what is there -> its template, or one of its tables as CSV. Pages are data, as the
operations of the control API are, and change nothing: what does is an operation, by `acting`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from tiergate.api.operations import not_allowed
from tiergate.api.operators import Operator, Permission
from tiergate.api.problems import ProblemError, from_error
from tiergate.api.services import Services
from tiergate.api.sessions import Session
from tiergate.console.readings import WAIT_S
from tiergate.console.rendering import Renderer
from tiergate.console.tables import Table, csv_lines
from tiergate.errors import TiergateError

View = Mapping[str, Any]
LONGEST_VALUE: Final = 1024
"""Characters of one value in a query."""
CSV_WAIT_S: Final = 120.0
MOST_CSV: Final = 4
"""Whole tables that are gathered at once: each may read for long, and holds a thread from those who want a page."""
_CSV: Final = threading.BoundedSemaphore(MOST_CSV)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Page:
    """One address. ``section`` is where it stands in the navigation, and whose strings and templates it has.

    ``handler`` gives what ``template`` needs, or a `Response` that is sent as it is; a key `tables` holds the tables
    that are also given as CSV, by their name in `?csv=`. ``permission`` None lets in everybody who is signed in.
    """

    path: str
    name: str
    section: str
    template: str
    handler: Callable[[Visit], View | Response]
    permission: Permission | None = None


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A request for a page by somebody who is signed in. ``csv`` is the table that is wanted as a whole, if one is."""

    services: Services
    request: Request
    now_us: int
    operator: Operator
    session: Session
    page: Page
    renderer: Renderer
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def csv(self) -> str | None:
        return self.query.get("csv")

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def asked(self, name: str) -> str | None:
        """A value of the query; None where it is not given or empty."""
        return self.query.get(name) or None

    def place(self, name: str) -> int | None:
        """The number in the query at which a page begins; None where it is none that a database could hold."""
        text = self.asked(name)
        return int(text) if text is not None and text.isdecimal() and len(text) < 19 else None

    def may(self, permission: Permission) -> bool:
        return self.operator.may(permission)

    def reading(self, name: Hashable, version: Hashable, make: Callable[[], T]) -> tuple[T | None, bool]:
        """What takes longer than a page may; see `readings.Readings.get`. A CSV file waits for it."""
        wait_s = WAIT_S if self.csv is None else CSV_WAIT_S
        return self.renderer.readings.get((self.page.section, name), version, make, wait_s=wait_s)

    def here(self, **changes: object) -> str:
        """This page with other values in the query; None leaves one out."""
        query = {**self.query, **changes}
        kept = {name: str(value) for name, value in query.items() if value is not None}
        return self.request.url.path + (f"?{urlencode(kept)}" if kept else "")


def endpoint(page: Page, services: Services, renderer: Renderer) -> Callable[[Request], Any]:
    """A Starlette endpoint for a page."""

    async def run(request: Request) -> Response:
        return await run_in_threadpool(_run, page, services, renderer, request)

    return run


def _run(page: Page, services: Services, renderer: Renderer, request: Request) -> Response:
    now_us = services.clock.now_us()
    who = signed_in(services, request, now_us)
    if who is None:
        return to_sign_in(services, request)
    operator, session = who
    try:
        if page.permission is not None and not operator.may(page.permission):
            raise not_allowed(operator, page.permission)
        query = {name: value[:LONGEST_VALUE] for name, value in request.query_params.items()}
        visit = Visit(
            services=services, request=request, now_us=now_us, operator=operator, session=session, page=page,
            renderer=renderer, query=query,
        )  # fmt: skip
        view = _viewed(page, visit)
        if isinstance(view, Response):
            return view
        if visit.csv is not None:
            return _csv(view, visit.csv)
        return renderer.page(visit, view)
    except ProblemError as error:
        return renderer.problem(request, error, who)


def _viewed(page: Page, visit: Visit) -> View | Response:
    if visit.csv is not None and not _CSV.acquire(blocking=False):
        raise ProblemError(503, "busy", "too many tables are being written", "try again shortly", retry_after="10")
    try:
        return page.handler(visit)
    except TiergateError as error:
        raise from_error(error) from error
    finally:
        if visit.csv is not None:
            _CSV.release()


def signed_in(services: Services, request: Request, now_us: int) -> tuple[Operator, Session] | None:
    """Who is behind the request's cookie, and their session."""
    cookie = request.cookies.get(services.session_cookie)
    session = services.sessions.find(cookie, now_us) if cookie else None
    operator = services.operators.get(session.operator_id) if session is not None else None
    if session is None or operator is None or operator.ended_at is not None:
        return None
    return operator, session


def to_sign_in(services: Services, request: Request) -> Response:
    """To the page where one signs in, and back here afterwards."""
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    asked = {"next": target} | ({"ended": "1"} if request.cookies.get(services.session_cookie) else {})
    answer = RedirectResponse(f"/sign-in?{urlencode(asked)}", 303)
    if request.headers.get("hx-request"):
        # A part of a page is asked for: the whole page must go to where one signs in.
        answer = RedirectResponse(f"/sign-in?{urlencode(asked)}", 200)
        answer.headers["hx-redirect"] = f"/sign-in?{urlencode(asked)}"
    return answer


def _csv(view: View, name: str) -> Response:
    table = next((one for one in view.get("tables", ()) if isinstance(one, Table) and one.name == name), None)
    if table is None:
        raise ProblemError(404, "not_found", f"there is no table `{name[:100]}` on this page", "see the page")
    headers = {"content-disposition": f'attachment; filename="{table.name}.csv"', "cache-control": "no-store",
               "x-content-type-options": "nosniff"}  # fmt: skip
    return StreamingResponse(csv_lines(table), media_type="text/csv; charset=utf-8", headers=headers)
