"""The console and the control API as one ASGI application."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tiergate.api.app import control_app
from tiergate.api.problems import ProblemError
from tiergate.api.services import Services
from tiergate.console import account, acting, visits
from tiergate.console.assets import Assets
from tiergate.console.rendering import Renderer
from tiergate.console.sections import FORETOLD, PAGES
from tiergate.errors import SettingsError

NEEDED: Final = ("htmx.min.js", "uPlot.iife.min.js", "sigma.min.js")
API: Final = ("/v1/", "/taxii2", "/scim/", "/openapi.json", "/healthz")


def console_app(services: Services) -> ASGIApp:
    """Pages under every path that is none of the control API's. Raises `SettingsError` without what they load."""
    assets = Assets()
    lacking = [name for name in NEEDED if name not in assets]
    if lacking:
        raise SettingsError(f"the console lacks `{lacking[0]}`: run `make` once, or give --no-pages")
    renderer = Renderer(assets)
    seen: set[str] = set()
    for page in PAGES:
        if page.section not in seen:
            seen.add(page.section)
            renderer.navigation.append(page)
    renderer.deeds = {name: operation.summary for name, operation in acting.BY_NAME.items()}
    renderer.load_all()
    # The first to open a list would wait for every case to be read.
    services.cases.index.files()

    async def no_such_page(request: Request, error: HTTPException) -> Response:
        what = ProblemError(error.status_code, "not_found", "there is no such page", "go on from the first page")
        who = await run_in_threadpool(visits.signed_in, services, request, services.clock.now_us())
        return renderer.problem(request, what, who)

    async def fault(request: Request, _error: Exception) -> Response:
        what = ProblemError(500, "internal_error", "this went wrong on our side", "try again, then report it")
        return renderer.problem(request, what)

    routes = [Route(page.path, visits.endpoint(page, services, renderer), name=page.name) for page in PAGES]
    routes += [Route(page.path, visits.endpoint(page, services, renderer), name=page.name) for page in account.PAGES]
    routes += account.routes(services, renderer)
    routes += [
        Route("/act/{operation}", acting.endpoint(services, renderer, FORETOLD), methods=["POST"]),
        Route("/static/{digest}/{name}", assets.serve),
    ]
    handlers = {HTTPException: no_such_page, Exception: fault}
    pages = Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]
    return _Both(control_app(services), pages, services)


class _Both:
    """A request for the control API goes there, every other to the pages."""

    def __init__(self, api: ASGIApp, pages: ASGIApp, services: Services) -> None:
        self._api, self._pages, self._services = api, pages, services
        host = urlsplit(services.public_url).netloc
        # Cookies and passkeys belong to one name of this machine.
        self._name = host if services.settings.public_url is None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path.startswith(API):
            await self._api(scope, receive, send)
            return
        request = Request(scope)
        if self._name is not None and request.headers.get("host") != self._name and scope["method"] in ("GET", "HEAD"):
            target = f"{self._services.public_url}{path}" + (f"?{request.url.query}" if request.url.query else "")
            await RedirectResponse(target, 307)(scope, receive, send)
            return
        await self._pages(scope, receive, send)
