"""Facts of STIX 2.1 and TAXII 2.1 (OASIS Standards) as small objects of our own: values, every type, every resource.

The `stix2` library (strict) and OASIS's validator say what is valid; what we take of that is the profile's.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import pytest
import stix2
from stix2validator import ValidationOptions, validate_instance

from tests.api.conftest import NOW as TOLD_AT
from tests.api.conftest import Control
from tests.sharing.test_check import KINDS, NOW, bundle, with_
from tests.sharing.test_taxii import FOUND, THEIRS, asked, lab, numbered, peer
from tiergate.api.taxii_requests import ROOT
from tiergate.api.taxii_resources import INBOX, KIND
from tiergate.gateway.connecting import DeliveryError
from tiergate.sharing.check import check
from tiergate.sharing.client import TaxiiClient
from tiergate.sharing.marking import Tlp
from tiergate.sharing.peers import Peer
from tiergate.sharing.stix import to_bytes

__all__ = ["lab"]

AT = "2016-05-12T08:17:27.000Z"


def is_valid(one: dict[str, Any]) -> bool:
    """What both oracles say."""
    try:
        stix2.parse(json.dumps(one), allow_custom=False)
    except (stix2.exceptions.STIXError, ValueError):
        return False
    return bool(validate_instance(one, ValidationOptions(version="2.1")).is_valid)


def taken(one: dict[str, Any]) -> list[str]:
    """Codes by which an object is refused, none where it is taken."""
    found = check(bundle(one), NOW)
    assert len(found.taken) + len(found.faults) == 1
    return [fault.code for fault in found.faults]


@pytest.mark.parametrize(
    ("one", "valid", "codes"),
    [
        # Any number of digits below the second, and UTC as Z alone.
        (with_("campaign", first_seen="2016-05-12T08:17:27Z"), True, []),
        (with_("campaign", first_seen="2016-05-12T08:17:27.1Z"), True, []),
        (with_("campaign", first_seen="2016-05-12T08:17:27.123456Z"), True, []),
        (with_("campaign", first_seen="2016-02-29T23:59:59.999Z"), True, []),
        (with_("campaign", first_seen="2015-02-29T00:00:00Z"), False, ["not_shared"]),
        (with_("campaign", first_seen="2016-05-12T08:17:27+00:00"), False, ["not_shared"]),
        (with_("campaign", first_seen="2016-05-12 08:17:27Z"), False, ["not_shared"]),
        (with_("campaign", first_seen="2016-05-12T08:17:27.Z"), False, ["not_shared"]),
        (with_("campaign", first_seen="2016-05-12"), False, ["not_shared"]),
        (with_("campaign", modified=KINDS["campaign"]["created"]), True, []),
        (with_("campaign", revoked=True), True, []),
        (with_("campaign", revoked="true"), False, ["not_shared"]),
        # None, low, medium, high; 0 to 10; the ends of the scale, and beyond them.
        *[(with_("campaign", confidence=value), True, []) for value in (0, 15, 50, 85, 10, 100)],
        (with_("campaign", confidence=-1), False, ["not_shared"]),
        (with_("campaign", confidence=101), False, ["not_shared"]),
        # Ids: the type, two hyphens, a UUID; the reference is to a type that may be there.
        (with_("campaign", id=KINDS["indicator"]["id"]), False, ["not_shared"]),
        (with_("campaign", id=KINDS["campaign"]["id"].replace("--", "-")), False, ["not_shared"]),
        (with_("campaign", created_by_ref=KINDS["campaign"]["id"]), False, ["not_shared"]),
        (with_("relationship", target_ref=AT), False, ["not_shared"]),
        (with_("relationship", relationship_type=None), False, ["not_shared"]),
        (with_("opinion", opinion="strongly-disagree"), True, []),
        (with_("opinion", opinion="hostile"), False, ["not_shared"]),
        (with_("opinion", object_refs=[]), False, ["not_shared"]),
        (with_("sighting", count=1), True, []),
        (with_("sighting", count=-1), False, ["not_shared"]),
        (with_("sighting", sighting_of_ref=None), False, ["not_shared"]),
        (with_("indicator", valid_until=None), True, []),
        (with_("indicator", valid_from=None), False, ["not_shared"]),
        (with_("indicator", valid_until=KINDS["indicator"]["valid_from"]), False, ["not_shared"]),
        (with_("observed-data", number_observed=1), True, []),
        (with_("observed-data", number_observed=0), False, ["not_shared"]),
        (with_("autonomous-system", number="64500"), False, ["not_shared"]),
        (with_("user-account", created=AT), False, ["not_shared"]),
        (with_("identity", identity_class=None), True, ["not_shared"]),
        # Valid, and more than labs share.
        (with_("campaign", lang="fr"), True, ["not_shared"]),
        (with_("campaign", external_references=[{"source_name": "a", "external_id": "1"}]), True, ["not_shared"]),
        (with_("user-account", defanged=True), True, ["not_shared"]),
    ],
    ids=lambda given: given["type"] if isinstance(given, dict) else "",
)  # fmt: skip
def test_values_at_the_edge_are_what_the_standard_says(one: dict[str, Any], valid: bool, codes: list[str]) -> None:
    assert (is_valid(one), taken(one)) == (valid, codes)


def of(kind: str, *, observable: bool = False, **properties: Any) -> dict[str, Any]:
    """An object with what the standard requires of its type, and no more."""
    times = {} if observable else {"created": AT, "modified": AT}
    return (
        {"type": kind, "spec_version": "2.1", "id": f"{kind}--{uuid.uuid5(uuid.NAMESPACE_DNS, kind)}"}
        | times
        | properties
    )


A_CAMPAIGN, A_FILE = of("campaign", name="c")["id"], of("file")["id"]
OTHERS = [
    of("attack-pattern", name="a"), of("campaign", name="c"), of("course-of-action", name="c"),
    of("grouping", context="unspecified", object_refs=[A_CAMPAIGN]), of("identity", name="i"),
    of("incident", name="i"), of("infrastructure", name="i"), of("intrusion-set", name="i"),
    of("indicator", pattern="[file:name = 'a']", pattern_type="stix", valid_from=AT),
    of("location", country="FR"), of("malware", is_family=False),
    of("malware-analysis", product="p", result="benign"), of("note", content="n", object_refs=[A_CAMPAIGN]),
    of("observed-data", first_observed=AT, last_observed=AT, number_observed=999_999_999, object_refs=[A_FILE]),
    of("opinion", opinion="neutral", object_refs=[A_CAMPAIGN]),
    of("report", name="r", published=AT, object_refs=[A_CAMPAIGN]), of("threat-actor", name="t"),
    of("tool", name="t"), of("vulnerability", name="v"),
    of("relationship", relationship_type="related-to", source_ref=A_CAMPAIGN, target_ref=A_CAMPAIGN),
    of("sighting", sighting_of_ref=A_CAMPAIGN, count=0),
    of("language-content", object_ref=A_CAMPAIGN, contents={"fr": {"name": "c"}}),
    *[
        of(kind, observable=True, **properties)
        for kind, properties in {
            "artifact": {"url": "https://a.example/b", "hashes": {"SHA-256": "0" * 64}}, "directory": {"path": "/tmp"},
            "domain-name": {"value": "a.example"}, "email-addr": {"value": "a@a.example"},
            "email-message": {"is_multipart": False, "subject": "s"}, "file": {"name": "a"},
            "ipv4-addr": {"value": "198.51.100.0/24"},
            "ipv6-addr": {"value": "2001:db8::/96"}, "mac-addr": {"value": "d2:fb:49:24:37:18"}, "mutex": {"name": "m"},
            "network-traffic": {"protocols": ["tcp"], "src_ref": of("ipv4-addr")["id"]},
            "process": {"id": "process--99ab297d-4c39-48ea-9d64-052d596864df", "pid": 1},
            "software": {"name": "s"}, "url": {"value": "https://a.example/"}, "user-account": {"user_id": "1001"},
            "windows-registry-key": {"key": "HKEY_LOCAL_MACHINE\\System"}, "x509-certificate": {"serial_number": "1"},
        }.items()
    ],
]  # fmt: skip


@pytest.mark.parametrize("one", OTHERS, ids=lambda one: one["type"])
def test_every_type_of_the_standard_is_known_for_what_it_is_and_is_none_that_labs_share(one: dict[str, Any]) -> None:
    assert is_valid(one)
    assert taken(one)[0] in ("not_shared", "marking")


def test_the_markings_that_the_standard_itself_names_are_valid_and_withdrawn() -> None:
    for name in ("white", "green", "amber", "red"):
        held = json.loads(stix2.v21.common.TLP_WHITE.serialize() if name == "white" else _tlp_1(name))
        assert is_valid(held)
        assert taken(held)[0] in ("not_shared", "marking")
        assert taken(with_("campaign", object_marking_refs=[held["id"]])) == ["marking"]
    for tlp in Tlp:
        marked = with_("campaign", object_marking_refs=[tlp.marking_id])
        assert (is_valid(marked), taken(marked)) == (True, [])


def _tlp_1(name: str) -> str:
    return str(getattr(stix2.v21.common, f"TLP_{name.upper()}").serialize())


RESOURCES: dict[str, tuple[set[str], set[str]]] = {
    "discovery": ({"title"}, {"description", "contact", "default", "api_roots"}),
    "api root": ({"title", "versions", "max_content_length"}, {"description"}),
    "collection": ({"id", "title", "can_read", "can_write"}, {"description", "alias", "media_types"}),
    "envelope": (set(), {"more", "next", "objects"}),
    "manifest": (set(), {"more", "objects", "next"}),
    "record": ({"id", "date_added", "version"}, {"media_type"}),
    "versions": (set(), {"more", "versions", "next"}),
    "status": (
        {"id", "status", "total_count", "success_count", "failure_count", "pending_count"},
        {"request_timestamp", "successes", "failures", "pendings"},
    ),
    "detail": ({"id", "version"}, {"message"}),
    "error": ({"title"}, {"description", "error_id", "error_code", "http_status", "external_details", "details"}),
}
"""Of each resource of TAXII 2.1 the properties that are required, and those that can be there."""


def fits(resource: str, told: Any) -> None:
    """Only what the standard names, no list without anything, and times to the microsecond at most."""
    required, optional = RESOURCES[resource]
    assert required <= told.keys() <= required | optional | {one for one in told if one.startswith("x_")}, resource
    for name, value in told.items():
        assert value != [], f"{resource}: {name}"
        if name in ("date_added", "version", "request_timestamp"):
            assert datetime.fromisoformat(value).utcoffset() is not None
            assert value.endswith("Z")
    for name, below in {"collections": "collection", "successes": "detail", "failures": "detail"}.items():
        for one in told.get(name, ()):
            fits(below, one)


def test_every_resource_has_what_the_standard_says(lab: Control) -> None:
    lab.services.shared.tell(FOUND, TOLD_AT)
    _, token = peer(lab)
    client = lab.with_token(token)
    campaign = f"collections/findings/objects/campaign--{FOUND.finding_id}/"
    sent = client.post(
        f"{ROOT}collections/{INBOX.id}/objects/",
        content=to_bytes([msgspec.structs.replace(FOUND, lab=THEIRS), numbered(1)]),
        headers={"content-type": KIND},
    ).json()
    assert (sent["success_count"] > 0, sent["failure_count"] > 0) == (True, True)
    assert sent["total_count"] == sent["success_count"] + sent["failure_count"] + sent["pending_count"]
    for path, resource in (
        ("", "api root"), ("collections/findings/", "collection"), (f"status/{sent['id']}/", "status"),
        ("collections/findings/objects/", "envelope"), ("collections/findings/objects/?limit=2", "envelope"),
        ("collections/findings/manifest/", "manifest"), ("collections/findings/manifest/?limit=2", "manifest"),
        (campaign, "envelope"), (f"{campaign}versions/", "versions"), ("collections/none/", "error"),
        ("collections/findings/objects/?added_after=2099-01-01T00:00:00Z", "envelope"),
    ):  # fmt: skip
        answer = asked(lab, token, path)
        assert answer.headers["content-type"] == KIND
        fits(resource, told := answer.json())
        assert ("next" in told) is (told.get("more") is True), path
        if resource == "manifest":
            for one in told["objects"]:
                fits("record", one)
        if resource == "status":
            assert (told["status"], told) == ("complete", sent)
    fits("discovery", client.get("/taxii2/", headers={"accept": KIND}).json())
    for one in asked(lab, token, "collections/").json()["collections"]:
        fits("collection", one)
        assert uuid.UUID(one["id"])


@contextmanager
def answering(answers: dict[str, tuple[str, str]], folder: Path) -> Iterator[TaxiiClient]:
    """Our client at a server that answers so: media type and body by path and query."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, body = answers[self.path]
            assert "version=2.1" in self.headers["Accept"]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            (folder / "t").write_text("user:secret")
            yield TaxiiClient(_peer(f"http://127.0.0.1:{server.server_port}/r/"), folder)
        finally:
            server.shutdown()
            thread.join()


def _peer(url: str) -> Peer:
    times = {"token_until_us": 0, "added_at_us": 0, "ended_at_us": None, "sent_us": 0}
    return Peer(
        peer_id="p", name=THEIRS.name, clearance=Tlp.CLEAR, url=url, token_file="t", private=True, ca_file=None, **times
    )


def test_answers_in_every_form_of_the_standard_are_read(tmp_path: Path) -> None:
    old = "application/taxii+json"
    first, then = "/r/collections/c/objects/?limit=1000", "/r/collections/c/objects/?limit=1000&next=a%2Fb+c%3D"
    answers = {
        "/r/": (old, '{"title":"r","versions":["application/taxii+json;version=2.1"],"max_content_length":104857600}'),
        "/r/collections/": (
            KIND,
            '{"collections":[{"id":"c","title":"t","can_read":true,"can_write":false,"x_else":{"a":[1]}},'
            '{"id":"d","title":"t","can_read":false,"can_write":true,"media_types":["application/stix+json"]}]}',
        ),
        first: (KIND, '{"more":true,"next":"a/b c=","objects":[{"type":"campaign"}]}'),
        then: (old, '{"objects":[{"type":"campaign"},{"type":"identity"}]}'),
    }
    with answering(answers, tmp_path) as client:
        assert client.most_bytes() == 104_857_600
        readable = [(one.id, one.can_read, one.can_write, one.x_tiergate_events) for one in client.collections()]
        assert readable == [("c", True, False, False), ("d", False, True, False)]
        assert [one.objects for one in client.added_after("c", None)] == [1, 2]
        # Nothing, said in three ways; and more of which it is not said how it is asked for.
        for body in ("{}", '{"more":false}', '{"objects":[],"more":false}'):
            answers[first] = (KIND, body)
            assert list(client.added_after("c", None)) == []
        answers[first] = (KIND, '{"more":true,"objects":[{}]}')
        with pytest.raises(DeliveryError, match="does not say how"):
            list(client.added_after("c", None))
        answers["/r/collections/"] = (KIND, "{}")
        assert client.collections() == []
        for body in ("", "[]", '{"objects":{}}', '{"more":"yes"}'):
            answers[first] = (KIND, body)
            with pytest.raises(DeliveryError, match=r"no TAXII 2\.1"):
                list(client.added_after("c", None))
