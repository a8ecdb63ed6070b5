"""TAXII 2.1 (OASIS Standard) for peers: `findings`, which they read, and `inbox`, which they write into.

A peer shows the token that it was given (`sharing.peers`), never an operator's. What it may not have looks like what is
not there. Objects are served as the bytes that were stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from tiergate.api.operations import Call, Operation
from tiergate.api.problems import ProblemError
from tiergate.api.taxii_events import EVENTS_KIND
from tiergate.api.taxii_requests import (
    DISCOVERY,
    ROOT,
    SENT,
    caller_of,
    collection_of,
    known_as,
    may_not,
    media_type,
    no_such,
    reader_of,
    us_of,
    wanted_of,
)
from tiergate.api.taxii_resources import (
    COLLECTIONS,
    KIND,
    ApiRoot,
    Collection,
    Collections,
    Discovery,
    Envelope,
    EventsQuery,
    Manifest,
    ManifestRecord,
    ObjectQuery,
    ObjectsQuery,
    Status,
    StatusDetail,
    TaxiiError,
    Versions,
    VersionsQuery,
    time_of,
)
from tiergate.sharing.receiving import Arrival
from tiergate.sharing.selecting import Row, manifest, pages
from tiergate.sharing.stix import time_of as stix_time_of


def _discovery(call: Call) -> Discovery:
    caller_of(call)
    root = f"{call.services.public_url}{ROOT}"
    return Discovery(title="Tiergate", default=root, api_roots=[root])


def _root(call: Call) -> ApiRoot:
    caller_of(call)
    most = call.services.settings.max_body_bytes
    return ApiRoot(title="Findings among peers", versions=[KIND], max_content_length=most)


def _status(call: Call) -> Status:
    peer, arrival_id = caller_of(call), call.path("status_id")
    arrival = call.services.receiving.arrival(arrival_id, peer)
    if arrival is None:
        raise no_such("status", arrival_id)
    return _told(arrival)


def _collections(call: Call) -> Collections:
    caller_of(call)
    return Collections(collections=list(COLLECTIONS))


def _collection(call: Call) -> Collection:
    caller_of(call)
    return collection_of(call)


def _objects(call: Call) -> Response:
    reader = reader_of(call)
    if (wanted := wanted_of(call)) is None:
        return _page(b"", [])
    rows, more = pages(call.services.shared.engine, reader, wanted)
    if not rows and "object_id" in call.request.path_params and not call.request.query_params:
        raise no_such("object", call.path("object_id"))
    return _page(b'"objects":[' + b",".join([raw for _, raw in rows]) + b"]", [at for at, _ in rows], more=more)


def _manifest(call: Call) -> Response:
    reader = reader_of(call)
    if (wanted := wanted_of(call)) is None:
        return _page(b"", [])
    rows, more = manifest(call.services.shared.engine, reader, wanted)
    records = [
        ManifestRecord(id=one.stix_id, date_added=time_of(one.added_us), version=_version_of(one)) for one in rows
    ]
    return _page(b'"objects":' + msgspec.json.encode(records), [one.added_us for one in rows], more=more)


def _versions(call: Call) -> Response:
    reader = reader_of(call)
    if (wanted := wanted_of(call)) is None:
        return _page(b"", [])
    rows, more = manifest(call.services.shared.engine, reader, wanted)
    if not rows and not call.request.query_params:
        raise no_such("object", call.path("object_id"))
    versions = [_version_of(one) for one in rows]
    return _page(b'"versions":' + msgspec.json.encode(versions), [one.added_us for one in rows], more=more)


def _add(call: Call) -> Status:
    peer, collection = caller_of(call), collection_of(call)
    if not collection.can_write:
        raise may_not("write into", collection)
    kind, version = media_type(call.request.headers.get("content-type", ""))
    if kind not in SENT or version not in ("", "2.1"):
        raise ProblemError(415, "unsupported_media_type", "this is no media type of TAXII 2.1", f"send {KIND}")
    arrival = call.services.receiving.receive(call.content, peer, call.now_us)
    if (whole := arrival.refused_whole) is not None:
        status = {"oversized": 413, "quota": 429}.get(whole.code, 422)
        raise ProblemError(status, whole.code, whole.reason, "see docs/sharing-schema.md")
    return _told(arrival)


async def _events(call: Call) -> Response:
    reader = await run_in_threadpool(reader_of, call, (EVENTS_KIND, "text/*", "*/*"))
    since = (call.query.added_after, call.request.headers.get("last-event-id"))
    after_us = max(us_of(one) if one else 0 for one in since)
    services = call.services
    told = services.streams.follow(reader.peer_id, after_us, lambda: known_as(call, services.clock.now_us()))
    # Proxies hold answers back unless they are told not to.
    return StreamingResponse(told, headers={"x-accel-buffering": "no"}, media_type=EVENTS_KIND)


def _version_of(row: Row) -> str:
    """As the object itself has it; of one that has none, when it was added."""
    return time_of(row.added_us) if row.version_us == row.added_us else stix_time_of(row.version_us)


def _page(content: bytes, added: list[int], *, more: bool = False) -> Response:
    if not added:
        # Headers of an empty page are left off: clients have read "undefined" in them.
        return Response(b"{}", media_type=KIND)
    # Said also where there is no more: it may be left off, and clients that were written for other servers miss it.
    following = b',"more":true,"next":"%d"' % added[-1] if more else b',"more":false'
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


def refuse(error: ProblemError) -> Response:
    """A refusal in the words of TAXII."""
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
        refuse=refuse,
        refuses=TaxiiError,
        refusal_type=KIND,
        **({"media_type": KIND} | more),
    )


_COLLECTION: Final = f"{ROOT}collections/{{collection}}/"
OPERATIONS: Final = (
    _operation("GET", DISCOVERY, "discovery", "See what is here", _discovery, Discovery),
    _operation("GET", ROOT, "root", "See the API root", _root, ApiRoot),
    _operation("GET", f"{ROOT}status/{{status_id}}/", "status", "See what came of objects sent", _status, Status),
    _operation("GET", f"{ROOT}collections/", "collections", "List collections", _collections, Collections),
    _operation("GET", _COLLECTION, "collection", "See a collection", _collection, Collection),
    _operation(
        "GET", f"{_COLLECTION}manifest/", "manifest", "List objects without their content", _manifest, Manifest,
        query=ObjectsQuery,
    ),
    _operation("GET", f"{_COLLECTION}objects/", "objects", "Get objects", _objects, Envelope, query=ObjectsQuery),
    _operation(
        "GET", f"{_COLLECTION}events/", "events", "Be told objects as they are added", _events, StreamingResponse,
        query=EventsQuery, media_type=EVENTS_KIND,
    ),
    _operation("POST", f"{_COLLECTION}objects/", "add", "Tell objects", _add, Status, status=202),
    _operation(
        "GET", f"{_COLLECTION}objects/{{object_id}}/", "object", "Get an object", _objects, Envelope, query=ObjectQuery,
    ),
    _operation(
        "GET", f"{_COLLECTION}objects/{{object_id}}/versions/", "versions", "List the versions of an object", _versions,
        Versions, query=VersionsQuery,
    ),
)  # fmt: skip
