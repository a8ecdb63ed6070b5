"""What a peer asks over TAXII 2.1: who it is, of which collection, and for what of it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from tiergate.api.operations import Call
from tiergate.api.problems import ProblemError
from tiergate.api.taxii_resources import COLLECTIONS, EPOCH, TIME, Collection, ObjectQuery, ObjectsQuery
from tiergate.sharing.peers import Peer
from tiergate.sharing.selecting import ALL, FIRST, LAST, MOST, Reader, Wanted

DISCOVERY: Final = "/taxii2/"
ROOT: Final = f"{DISCOVERY}sharing/"
MOST_FILTERED: Final = 100
"""Values of one filter."""
SENT: Final = ("application/taxii+json", "application/stix+json", "application/json")
"""What clients send: the standard's own, and what OpenCTI's connectors post and have posted."""
ASKED: Final = (*SENT, "application/*", "*/*")


def caller_of(call: Call, accepts: Sequence[str] = ASKED) -> Peer:
    """Who asks. Raises `ProblemError` for nobody whom we know, or an answer that it would not take."""
    known = known_as(call, call.now_us)
    if known is None:
        raise ProblemError(
            401,
            "not_authenticated",
            "the peer's token is missing, unknown or over",
            "send it as `Authorization: Bearer tgl_...`, or as the password of Basic",
            www_authenticate='Basic realm="taxii", Bearer',
        )
    gives = call.operation.media_type
    accepted = call.request.headers.get("accept") or "*/*"
    for one in accepted.split(","):
        kind, version = media_type(one)
        if kind in accepts and version in ("", "2.1"):
            return known
    raise ProblemError(406, "not_acceptable", f"answers are {gives}", f"accept {gives}")


def known_as(call: Call, now_us: int) -> Peer | None:
    """Whose token the request shows at a time, None where it is nobody's any more."""
    scheme, _, shown = call.request.headers.get("authorization", "").partition(" ")
    token = shown.strip()
    if scheme.lower() == "basic":
        try:
            token = base64.b64decode(token, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return None
    # `Token` is what the client of OASIS sends for a key.
    elif scheme.lower() not in ("bearer", "token"):
        return None
    return call.services.peers.authenticate(token, now_us)


def reader_of(call: Call, accepts: Sequence[str] = ASKED) -> Reader:
    """Who reads a collection. Raises `ProblemError` where nobody may."""
    peer, collection = caller_of(call, accepts), collection_of(call)
    if not collection.can_read:
        raise may_not("read", collection)
    return Reader(peer_id=peer.peer_id, clearance=peer.clearance)


def collection_of(call: Call) -> Collection:
    """Which collection, by its id or alias. Raises `ProblemError` where there is none."""
    name = call.path("collection")
    for one in COLLECTIONS:
        if name in (one.id, one.alias):
            return one
    raise no_such("collection", name)


def wanted_of(call: Call) -> Wanted | None:
    """What is asked for, None where nothing can fit it."""
    asked, path = call.query, call.request.path_params
    if asked.spec is not None and "2.1" not in _values(asked.spec):
        return None
    after_us = max(0 if asked.added_after is None else us_of(asked.added_after), int(asked.next or 0))
    versions: list[str | int] = [ALL] if not isinstance(asked, ObjectQuery) else [LAST]
    if isinstance(asked, ObjectQuery) and asked.version is not None:
        versions = [one if one in (FIRST, LAST, ALL) else us_of(one) for one in _values(asked.version)]
    ids = [path["object_id"]] if "object_id" in path else []
    kinds: list[str] = []
    if isinstance(asked, ObjectsQuery):
        ids = ids or _values(asked.ids)
        kinds = _values(asked.kinds)
    return Wanted(after_us=after_us, ids=ids, kinds=kinds, versions=versions, limit=min(asked.limit, MOST))


def _values(text: str | None) -> list[str]:
    values = [one for one in (text or "").split(",") if one]
    if len(values) > MOST_FILTERED:
        raise ProblemError(
            400, "unfit_query", f"a filter has {MOST_FILTERED} values at most", "ask in several requests"
        )
    return values


def us_of(time: str) -> int:
    """Microseconds of a time; what is finer is dropped. Raises `ProblemError` for what is none."""
    found = TIME.fullmatch(time)
    try:
        if found is None:
            raise ValueError
        at = datetime.fromisoformat(f"{found[1]}+00:00") - EPOCH
    except ValueError:
        raise ProblemError(
            400, "unfit_query", f"`{time[:64]}` is no time", "write it as 2026-11-28T12:00:00.000000Z"
        ) from None
    return max(0, at // timedelta(microseconds=1) + int((found[2] or "").ljust(6, "0")[:6]))


def media_type(written: str) -> tuple[str, str]:
    """A media type and its version, empty for none."""
    kind, *parameters = (part.strip().lower() for part in written.split(";"))
    version = next((one.partition("=")[2].strip('" ') for one in parameters if one.startswith("version")), "")
    return kind, version


def may_not(do: str, collection: Collection) -> ProblemError:
    """That no peer does that with a collection."""
    return ProblemError(403, "forbidden", f"peers do not {do} `{collection.alias}`", f"see {ROOT}collections/")


def no_such(what: str, name: str) -> ProblemError:
    """That it is not there, or not for this peer."""
    return ProblemError(404, "not_found", f"there is no {what} `{name[:200]}` for you", f"see {ROOT}collections/")
