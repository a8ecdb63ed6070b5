"""Files that pages load: our own, and the libraries that `tools/vendor` fetched. Each under its digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

KINDS: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
HEADERS: Final = {"cache-control": "public, max-age=31536000, immutable", "x-content-type-options": "nosniff"}


@dataclass(frozen=True)
class Asset:
    """A file's bytes, and what kind they are."""

    content: bytes
    kind: str

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()[:16]


class Assets:
    """All files of `static/`, in memory."""

    def __init__(self) -> None:
        self._held: dict[str, Asset] = {}
        folder = files("tiergate.console").joinpath("static")
        for place in (folder, folder.joinpath("vendor")):
            for one in place.iterdir() if place.is_dir() else ():
                kind = KINDS.get(f".{one.name.rpartition('.')[2]}")
                if kind is not None and one.is_file():
                    self._held[one.name] = Asset(one.read_bytes(), kind)

    def __contains__(self, name: object) -> bool:
        return name in self._held

    def url(self, name: str) -> str:
        """The address of a file, another one whenever its content is. Raises `KeyError` for one that is not there."""
        return f"/static/{self._held[name].digest}/{name}"

    async def serve(self, request: Request) -> Response:
        held = self._held.get(request.path_params["name"])
        if held is None:
            return Response(status_code=404)
        # Under another digest it is another version: given, but not kept.
        kept = HEADERS if held.digest == request.path_params["digest"] else {"cache-control": "no-store"}
        return Response(held.content, headers=kept, media_type=held.kind)
