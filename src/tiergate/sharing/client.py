"""TAXII 2.1 of a peer, asked by us: collections, what was added to them, and what we add."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from tiergate.errors import InputError
from tiergate.gateway.connecting import Answer, DeliveryError, Followed, ask, follow
from tiergate.sharing.check import MOST_BYTES, MOST_COMMAS
from tiergate.sharing.events import events
from tiergate.sharing.peers import Peer

KIND: Final = "application/taxii+json;version=2.1"
PAGE: Final = 1_000
MOST_PAGES: Final = 1_000
MOST_COLLECTIONS: Final = 16
MOST_S: Final = 60.0
"""For a round: what is left is asked for in the next, so that no peer holds one for long."""
MOST_TOKEN_BYTES: Final = 4_096
MOST_TOLD: Final = 1 << 20
"""Bytes of an answer that has no page of objects: 500 refusals of 2 KiB each."""
T = TypeVar("T")


class RemoteCollection(msgspec.Struct, frozen=True, kw_only=True):
    """A collection of a peer's. ``x_tiergate_events``: what is added to it can be followed."""

    id: str
    title: str = ""
    can_read: bool = False
    can_write: bool = False
    x_tiergate_events: bool = False


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page as it came. ``last``: when its last object was added, as the peer wrote it, None where it does not say;
    ``objects``: how many."""

    body: bytes
    objects: int
    last: str | None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a peer did not take an object."""

    id: str = ""
    message: str = ""


class RemoteStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What came of objects at a peer."""

    success_count: int = 0
    failures: list[Failure] = []


class _Collections(msgspec.Struct, frozen=True):
    collections: list[RemoteCollection] = []


class _Root(msgspec.Struct, frozen=True):
    max_content_length: int = 1 << 20


class _Envelope(msgspec.Struct, frozen=True):
    objects: list[msgspec.Raw] = []
    more: bool = False
    next: str | None = None


class Following:
    """A collection that is followed; ``cut`` ends it, from whatever thread."""

    def __init__(self, followed: Followed) -> None:
        self._followed = followed
        self.cut = followed.cut

    def pages(self) -> Iterator[Page]:
        """What is added, for as long as it goes on. Raises `DeliveryError`."""
        for event in events(self._followed.line, MOST_BYTES):
            objects = len(_decoded(event.data, _Envelope).objects)
            yield Page(body=event.data, objects=objects, last=event.last_id)


class TaxiiClient:
    """A peer's API root, for one round. Raises `DeliveryError` for one that does not answer as it should, and when the
    round takes longer than `MOST_S`, everywhere."""

    def __init__(self, peer: Peer, folder: Path) -> None:
        """``folder``: what the name of the token's file is relative to. Raises `InputError` for a peer without an
        address or a file that holds no token."""
        if peer.url is None or peer.token_file is None:
            raise InputError(f"`{peer.name}` has no address: give it with `tiergate share peers add {peer.name} --url`")
        self._peer, self._url, self._until_s = peer, peer.url, time.monotonic() + MOST_S
        self._headers = {"Accept": KIND, "Authorization": _authorization(folder / peer.token_file)}

    def most_bytes(self) -> int:
        """The most that one request may bring."""
        return max(1, _decoded(self._ask("GET", self._url).body, _Root).max_content_length)

    def collections(self) -> list[RemoteCollection]:
        """What it has for us."""
        return _decoded(self._ask("GET", f"{self._url}collections/").body, _Collections).collections[:MOST_COLLECTIONS]

    def added_after(self, collection: str, after: str | None) -> Iterator[Page]:
        """Pages of what was added to a collection since ``after``, all of it where that is None."""
        query = {"limit": str(PAGE)} | ({} if after is None else {"added_after": after})
        for _ in range(MOST_PAGES):
            answer = self._ask("GET", f"{self._objects(collection)}?{urlencode(query)}", most=MOST_BYTES)
            page = _decoded(answer.body, _Envelope)
            if page.objects:
                last = answer.headers.get("x-taxii-date-added-last")
                yield Page(body=answer.body, objects=len(page.objects), last=last)
            if not page.more or not page.objects:
                return
            if page.next is None:
                raise DeliveryError("it has more, and does not say how that is asked for")
            query["next"] = page.next

    @contextmanager
    def follow(self, collection: str, after: str | None) -> Iterator[Following]:
        """What is added to a collection since ``after``, as it is added."""
        query = "" if after is None else f"?{urlencode({'added_after': after})}"
        headers = self._headers | {"Accept": "text/event-stream"}
        private, ca_file = self._peer.private, self._peer.ca_file
        url = f"{self._collection(collection)}events/{query}"
        with follow(url, headers, private=private, ca_file=ca_file, most_line=MOST_BYTES + 1) as followed:
            yield Following(followed)

    def add(self, collection: str, objects: bytes) -> RemoteStatus:
        """Tell objects, an envelope."""
        answer = self._ask("POST", self._objects(collection), objects)
        return _decoded(answer.body, RemoteStatus)

    def _objects(self, collection: str) -> str:
        return f"{self._collection(collection)}objects/"

    def _collection(self, collection: str) -> str:
        return f"{self._url}collections/{quote(collection, safe='')}/"

    def _ask(self, method: str, url: str, body: bytes | None = None, *, most: int = MOST_TOLD) -> Answer:
        if time.monotonic() > self._until_s:
            raise DeliveryError(f"it takes more than {MOST_S:.0f} s: the rest is for the next round")
        headers = self._headers if body is None else self._headers | {"Content-Type": KIND}
        private, ca_file = self._peer.private, self._peer.ca_file
        answer = ask(method, url, body, headers, private=private, ca_file=ca_file, most_read=most + 1)
        if not 200 <= answer.status < 300:
            raise answer.fault()
        if len(answer.body) > most or answer.body.count(b",") > MOST_COMMAS:
            raise DeliveryError(f"it answered with more than {most:,} bytes, or {MOST_COMMAS:,} values")
        return answer


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DeliveryError("what it answered is no TAXII 2.1") from error


def _authorization(path: Path) -> str:
    """What is shown: a token, or as Basic what has a colon, which no token has (RFC 6750, 2.1)."""
    try:
        with path.open(encoding="utf-8") as file:
            shown = file.read(MOST_TOKEN_BYTES).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the token in `{path}`") from error
    if not shown.isprintable() or not (":" in shown or (shown.isascii() and shown and " " not in shown)):
        raise InputError(f"`{path}` holds no token: put the one in that the peer gave you, or `user:password`")
    return f"Basic {base64.b64encode(shown.encode()).decode()}" if ":" in shown else f"Bearer {shown}"
