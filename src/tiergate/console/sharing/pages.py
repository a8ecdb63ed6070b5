"""The pages about sharing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from tiergate.api.operators import Permission
from tiergate.console.acting import Foretold
from tiergate.console.sharing import joint, peers, received, told
from tiergate.console.visits import Page, View, Visit


def _page(path: str, name: str, handler: Callable[[Visit], View]) -> Page:
    return Page(
        path=f"/sharing{path}", name=f"sharing{name and '_'}{name}", section="sharing",
        template=f"sharing/{name or 'peers'}", handler=handler, permission=Permission.SEE_SHARING,
    )  # fmt: skip


PAGES: Final = (
    _page("", "", peers.peers),
    _page("/received", "received", received.received),
    _page("/received/{finding_id}", "received_one", received.one_finding),
    _page("/told", "told", told.every),
    _page("/told/{subject}", "told_one", told.one),
    _page("/refused", "refused", peers.refused),
    _page("/joint", "joint", joint.joint),
)
FORETOLD: Final[Mapping[str, Foretold]] = {"withdraw_told": told.before_withdrawal}
