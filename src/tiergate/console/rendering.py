"""Templates, and how values are written for people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import jinja2
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import Response

from tiergate.api.operators import Operator, Permission
from tiergate.api.problems import ProblemError
from tiergate.api.sessions import Session
from tiergate.console.assets import Assets
from tiergate.console.origins import cited
from tiergate.console.readings import Readings
from tiergate.console.tables import NUMBERS, Link, instant
from tiergate.console.words import Words, load_words

if TYPE_CHECKING:
    from tiergate.console.visits import Page, Visit

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: nothing from elsewhere, and no script or style within a page."""
HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}

UNKNOWN: Final = "\u2013"


class Renderer:
    """Makes answers of views. ``navigation`` is the first page of each section, in order; ``deeds`` what each
    operation that changes something does; ``readings`` what pages show that takes long to compute."""

    def __init__(self, assets: Assets) -> None:
        self.words: Words = load_words()
        self.navigation: list[Page] = []
        self.deeds: dict[str, str] = {}
        self.readings = Readings()
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("tiergate.console"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {"t": self.words, "asset": assets.url, "Permission": Permission}
        self._environment.filters |= {
            "count": count, "usd": usd, "share": share, "moment": moment, "day": day, "cell": cell, "number": number,
            "seconds": seconds, "citation": citation, "coded": coded,
        }  # fmt: skip

    def load_all(self) -> None:
        """Compile every template, so that nobody waits for it."""
        for name in self._environment.list_templates(extensions=["j2"]):
            self._environment.get_template(name)

    def page(self, visit: Visit, view: Mapping[str, Any]) -> Response:
        """The page that a visit is to."""
        context = self.around(visit.operator, visit.session) | {
            "visit": visit,
            "section": visit.page.section,
            "done": self.deeds.get(visit.asked("done") or "", ""),
        }
        return self.html(visit.page.template, context | dict(view))

    def around(self, operator: Operator, session: Session) -> dict[str, Any]:
        """What stands above every page of who is signed in: their name and the sections that they may see."""
        pages = [page for page in self.navigation if page.permission is None or operator.may(page.permission)]
        return {"operator": operator, "csrf": session.csrf, "navigation": pages}

    def html(self, template: str, context: Mapping[str, Any], status: int = 200) -> Response:
        """A page as an answer, under the headers that every page has."""
        text = self._environment.get_template(f"{template}.html.j2").render(context)
        return Response(text, status, HEADERS, "text/html; charset=utf-8")

    def problem(self, request: Request, error: ProblemError, who: tuple[Operator, Session] | None = None) -> Response:
        """A refusal as a page that says what to do; ``who`` is signed in."""
        context = {"problem": error.problem, "where": f"{request.method} {request.url.path[:200]}"}
        around = self.around(*who) if who is not None else {"operator": None}
        return self.html("problem", around | context, error.problem.status)


def count(value: float | None) -> str:
    """A whole number with its thousands apart."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def number(value: float | None) -> str:
    """A number to four digits that count."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{value:,.0f}" if abs(value) >= 10_000 or value == int(value) else f"{value:.4g}"


def usd(value: float | None) -> str:
    """Micro-dollars as dollars: cents from one dollar on, more below."""
    if value is None:
        return UNKNOWN
    dollars = value / 1_000_000
    if abs(dollars) >= 10_000:
        return f"${dollars:,.0f}"
    return f"${dollars:,.2f}" if abs(dollars) >= 1 or not dollars else f"${dollars:.4f}"


def share(value: float | None) -> str:
    """A part of one, as a percentage."""
    if value is None:
        return UNKNOWN
    percent = 100 * value
    return f"{percent:.0f}%" if percent in (0, 100) else f"{percent:.3g}%"


def seconds(value: float | None) -> str:
    """A span of time, in the unit that fits."""
    if value is None:
        return UNKNOWN
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1_000:.3g} ms"


def moment(value: int | None) -> Markup:
    """A time (microseconds since the epoch) that a machine can read too."""
    if value is None:
        return escape(UNKNOWN)
    at = instant(value)
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(), at.strftime("%Y-%m-%d %H:%M:%S"))


def day(value: int | None) -> str:
    """The day of a time."""
    return UNKNOWN if value is None else instant(value).strftime("%Y-%m-%d")


def coded(text: str) -> Markup:
    """A text in which what stands between backticks is code."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


def citation(text: str) -> Markup:
    """A citation, with each address in it a link that shows its host alone."""
    return Markup("").join(
        escape(part.title)
        if part.href is None
        else Markup('<a href="{}" rel="noreferrer">{}</a>').format(part.href, part.title)
        for part in cited(text)
    )


_WRITTEN: Final = {"count": count, "number": number, "usd": usd, "share": share, "seconds": seconds, "time": moment}


def cell(value: object, kind: str) -> Markup:
    """A value of a table, within its link or badge."""
    link = value if isinstance(value, Link) else Link(value)
    if link.value is None or link.value == "":
        text = Markup('<span class="unknown">{}</span>').format(UNKNOWN)
    elif kind in NUMBERS or kind == "time":
        text = Markup("{}").format(_WRITTEN[kind](link.value))  # type: ignore[arg-type]
    elif kind == "code":
        text = Markup("<code>{}</code>").format(link.value)
    elif kind == "prose":
        text = coded(str(link.value))
    elif isinstance(link.value, date):
        text = Markup('<time datetime="{0}">{0}</time>').format(link.value)
    elif kind == "source":
        return citation(str(link.value))
    elif kind == "badge":
        text = Markup('<span class="badge {}">{}</span>').format(link.tone, link.value)
    else:
        text = Markup("{}").format(link.value)
    return Markup('<a href="{}">{}</a>').format(link.href, text) if link.href else text
