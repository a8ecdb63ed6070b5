"""TAXII 2.1 (OASIS Standard) for peers: `findings`, which they read, and `inbox`, which they write into.

A peer shows the token that it was given (`sharing.peers`), never an operator's. What it may not have looks like what is
not there. Objects are served as the bytes that were stored.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from starlette.responses import Response

from tiergate.api.operations import Call, Operation
from tiergate.api.problems import ProblemError
from tiergate.api.taxii_resources import (
    COLLECTIONS,
    KIND,
    TIME,
    ApiRoot,
    Collection,
    Collections,
    Discovery,
    Envelope,
    Manifest,
    ManifestRecord,
    ObjectQuery,
    ObjectsQuery,
    Status,
    StatusDetail,
    TaxiiError,
    Versions,
    VersionsQuery,
)
from tiergate.sharing.peers import Peer
from tiergate.sharing.receiving import Arrival
from tiergate.sharing.selecting import ALL, FIRST, LAST, MOST, Reader, Wanted, manifest, pages

ROOT: Final = "/taxii2/sharing/"
MOST_FILTERED: Final = 100
"""Values of one filter."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SENT: Final = ("application/taxii+json", "application/stix+json", "application/json")
"""What clients send: the standard's own, and what OpenCTI's connectors post and have posted."""
_ASKED: Final = (*_SENT, "application/*", "*/*")


def _discovery(call: Call) -> Discovery:
    _caller(call)
    root = f"{call.services.public_url}{ROOT}"
    return Discovery(title="Tiergate", default=root, api_roots=[root])


def _root(call: Call) -> ApiRoot:
    _caller(call)
    most = call.services.settings.max_body_bytes
    return ApiRoot(title="Findings among peers", versions=[KIND], max_content_length=most)


def _status(call: Call) -> Status:
    peer, arrival_id = _caller(call), call.path("status_id")
    arrival = call.services.receiving.arrival(arrival_id, peer)
    if arrival is None:
        raise _none("status", arrival_id)
    return _told(arrival)


def _collections(call: Call) -> Collections:
    _caller(call)
    return Collections(collections=list(COLLECTIONS))


def _collection(call: Call) -> Collection:
    _caller(call)
    return _asked_for(call)


def _objects(call: Call) -> Response:
    reader = _reader(call)
    if (wanted := _wanted(call)) is None:
        return _page(b"", [])
    rows, more = pages(call.services.shared.engine, reader, wanted)
    if not rows and "object_id" in call.request.path_params and not call.request.query_params:
        raise _none("object", call.path("object_id"))
    return _page(b'"objects":[' + b",".join([raw for _, raw in rows]) + b"]", [at for at, _ in rows], more=more)


def _manifest(call: Call) -> Response:
    reader = _reader(call)
    if (wanted := _wanted(call)) is None:
        return _page(b"", [])
    rows, more = manifest(call.services.shared.engine, reader, wanted)
    records = [
        ManifestRecord(id=one.stix_id, date_added=time_of(one.added_us), version=time_of(one.version_us))
        for one in rows
    ]
    return _page(b'"objects":' + msgspec.json.encode(records), [one.added_us for one in rows], more=more)


def _versions(call: Call) -> Response:
    reader = _reader(call)
    if (wanted := _wanted(call)) is None:
        return _page(b"", [])
    rows, more = manifest(call.services.shared.engine, reader, wanted)
    if not rows and not call.request.query_params:
        raise _none("object", call.path("object_id"))
    versions = [time_of(one.version_us) for one in rows]
    return _page(b'"versions":' + msgspec.json.encode(versions), [one.added_us for one in rows], more=more)


def _add(call: Call) -> Status:
    peer, collection = _caller(call), _asked_for(call)
    if not collection.can_write:
        raise _may_not("write into", collection)
    kind, version = _media_type(call.request.headers.get("content-type", ""))
    if kind not in _SENT or version not in ("", "2.1"):
        raise ProblemError(415, "unsupported_media_type", "this is no media type of TAXII 2.1", f"send {KIND}")
    arrival = call.services.receiving.receive(call.content, peer, call.now_us)
    if (whole := arrival.refused_whole) is not None:
        status = {"oversized": 413, "quota": 429}.get(whole.code, 422)
        raise ProblemError(status, whole.code, whole.reason, "see docs/sharing-schema.md")
    return _told(arrival)


def _caller(call: Call) -> Peer:
    """Who asks. Raises `ProblemError` for nobody whom we know, or an answer that it would not take."""
    scheme, _, shown = call.request.headers.get("authorization", "").partition(" ")
    token = shown.strip()
    if scheme.lower() == "basic":
        try:
            token = base64.b64decode(token, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            token = ""
    # `Token` is what the client of OASIS sends for a key.
    known = (
        call.services.peers.authenticate(token, call.now_us) if scheme.lower() in ("basic", "bearer", "token") else None
    )
    if known is None:
        raise ProblemError(
            401,
            "not_authenticated",
            "the peer's token is missing, unknown or over",
            "send it as `Authorization: Bearer tgl_...`, or as the password of Basic",
            www_authenticate='Basic realm="taxii", Bearer',
        )
    accepted = call.request.headers.get("accept") or "*/*"
    for one in accepted.split(","):
        kind, version = _media_type(one)
        if kind in _ASKED and version in ("", "2.1"):
            return known
    raise ProblemError(406, "not_acceptable", "answers are TAXII 2.1 alone", f"accept {KIND}")


def _reader(call: Call) -> Reader:
    peer, collection = _caller(call), _asked_for(call)
    if not collection.can_read:
        raise _may_not("read", collection)
    return Reader(peer_id=peer.peer_id, clearance=peer.clearance)


def _asked_for(call: Call) -> Collection:
    name = call.path("collection")
    for one in COLLECTIONS:
        if name in (one.id, one.alias):
            return one
    raise _none("collection", name)


def _wanted(call: Call) -> Wanted | None:
    """What is asked for, None where nothing can fit it."""
    asked, path = call.query, call.request.path_params
    if asked.spec is not None and "2.1" not in _values(asked.spec):
        return None
    after_us = max(0 if asked.added_after is None else _us_of(asked.added_after), int(asked.next or 0))
    versions: list[str | int] = [ALL] if not isinstance(asked, ObjectQuery) else [LAST]
    if isinstance(asked, ObjectQuery) and asked.version is not None:
        versions = [one if one in (FIRST, LAST, ALL) else _us_of(one) for one in _values(asked.version)]
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


def _us_of(time: str) -> int:
    """Microseconds of a time; what is finer is dropped."""
    found = TIME.fullmatch(time)
    try:
        if found is None:
            raise ValueError
        at = datetime.fromisoformat(f"{found[1]}+00:00") - _EPOCH
    except ValueError:
        raise ProblemError(
            400, "unfit_query", f"`{time[:64]}` is no time", "write it as 2026-11-28T12:00:00.000000Z"
        ) from None
    return max(0, at // timedelta(microseconds=1) + int((found[2] or "").ljust(6, "0")[:6]))


def time_of(at_us: int) -> str:
    """A time as TAXII has it, to the microsecond."""
    return (_EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _page(content: bytes, added: list[int], *, more: bool = False) -> Response:
    if not added:
        # Headers of an empty page are left off: clients have read "undefined" in them.
        return Response(b"{}", media_type=KIND)
    following = b',"more":true,"next":"%d"' % added[-1] if more else b""
    headers = {"x-taxii-date-added-first": time_of(added[0]), "x-taxii-date-added-last": time_of(added[-1])}
    return Response(b"{" + content + following + b"}", headers=headers, media_type=KIND)


def _told(arrival: Arrival) -> Status:
    failures = [
        StatusDetail(
            id=one.stix_id or f"object {(one.index or 0) + 1}", version=time_of(arrival.at_us), message=str(one)
        )
        for one in arrival.faults
    ]
    successes = [
        StatusDetail(id=stix_id, version=time_of(version_us or arrival.at_us))
        for stix_id, version_us in arrival.accepted
    ]
    return Status(
        id=arrival.arrival_id,
        status="complete",
        request_timestamp=time_of(arrival.at_us),
        total_count=arrival.taken + arrival.refused,
        success_count=arrival.taken,
        successes=successes,
        failure_count=arrival.refused,
        failures=failures,
        pending_count=0,
    )


def _media_type(written: str) -> tuple[str, str]:
    """A media type and its version, empty for none."""
    kind, *parameters = (part.strip().lower() for part in written.split(";"))
    version = next((one.partition("=")[2].strip('" ') for one in parameters if one.startswith("version")), "")
    return kind, version


def _may_not(do: str, collection: Collection) -> ProblemError:
    return ProblemError(403, "forbidden", f"peers do not {do} `{collection.alias}`", f"see {ROOT}collections/")


def _none(what: str, name: str) -> ProblemError:
    return ProblemError(404, "not_found", f"there is no {what} `{name[:200]}` for you", f"see {ROOT}collections/")


def _refuse(error: ProblemError) -> Response:
    told = error.problem
    body = TaxiiError(
        title=told.title,
        description=f"{told.detail}: {told.what_to_do}",
        error_code=told.code,
        http_status=str(told.status),
    )
    return Response(msgspec.json.encode(body), told.status, error.headers | {"cache-control": "no-store"}, KIND)


def _operation(
    method: str, path: str, name: str, summary: str, handler: Callable[[Call], Any], gives: Any, **more: Any
) -> Operation:
    return Operation(
        method=method,
        path=path,
        name=f"taxii_{name}",
        summary=summary,
        subject="taxii",
        handler=handler,
        gives=gives,
        of_peers=True,
        media_type=KIND,
        refuse=_refuse,
        refuses=TaxiiError,
        **more,
    )


_COLLECTION: Final = f"{ROOT}collections/{{collection}}/"
OPERATIONS: Final = (
    _operation("GET", "/taxii2/", "discovery", "See what is here", _discovery, Discovery),
    _operation("GET", ROOT, "root", "See the API root", _root, ApiRoot),
    _operation("GET", f"{ROOT}status/{{status_id}}/", "status", "See what came of objects sent", _status, Status),
    _operation("GET", f"{ROOT}collections/", "collections", "List collections", _collections, Collections),
    _operation("GET", _COLLECTION, "collection", "See a collection", _collection, Collection),
    _operation(
        "GET", f"{_COLLECTION}manifest/", "manifest", "List objects without their content", _manifest, Manifest,
        query=ObjectsQuery,
    ),
    _operation("GET", f"{_COLLECTION}objects/", "objects", "Get objects", _objects, Envelope, query=ObjectsQuery),
    _operation("POST", f"{_COLLECTION}objects/", "add", "Tell objects", _add, Status, status=202),
    _operation(
        "GET", f"{_COLLECTION}objects/{{object_id}}/", "object", "Get an object", _objects, Envelope, query=ObjectQuery,
    ),
    _operation(
        "GET", f"{_COLLECTION}objects/{{object_id}}/versions/", "versions", "List the versions of an object", _versions,
        Versions, query=VersionsQuery,
    ),
)  # fmt: skip
