"""TAXII 2.1 of the control API, asked by the client of OASIS and by hand."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from taxii2client.common import TokenAuth
from taxii2client.v21 import ApiRoot, Collection, Server, as_pages

from tests.api.conftest import NOW, Control, running
from tiergate.api.taxii_requests import ROOT
from tiergate.api.taxii_resources import FINDINGS, INBOX, KIND
from tiergate.clock import DAY
from tiergate.sharing import selecting
from tiergate.sharing.finding import Finding, Lab, Opinion, Token, View, finding_id
from tiergate.sharing.marking import Tlp
from tiergate.sharing.peers import Peer
from tiergate.sharing.selecting import Reader, Wanted
from tiergate.sharing.stix import to_bytes, to_objects
from tiergate.sharing.store import OBJECTS

OURS, THEIRS = Lab.named("lab-a.example"), Lab.named("lab-b.example")
ACCOUNT = Token(scheme="hmac-sha256", epoch="2026-11", kind="account", value="ab" * 32)
FOUND = Finding(
    finding_id=finding_id(OURS, "case 1"),
    lab=OURS,
    created_us=NOW - DAY,
    modified_us=NOW - DAY,
    first_seen_us=NOW - 9 * DAY,
    last_seen_us=NOW - 2 * DAY,
    confidence=93,
    accounts=6,
    exchanges=17,
    networks=(64500, 64501),
    tokens=(ACCOUNT,),
)


def numbered(number: int, **more: Any) -> Finding:
    return msgspec.structs.replace(FOUND, finding_id=finding_id(OURS, f"numbered {number}"), **more)


THEIR_OWN = msgspec.structs.replace(FOUND, lab=THEIRS, finding_id=finding_id(THEIRS, "case 1"))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Control]:
    with running(tmp_path / "data") as control:
        yield control


def peer(lab: Control, name: str = "lab-b.example", **more: Any) -> tuple[Peer, str]:
    return lab.services.peers.add(name, NOW, **more)


@contextmanager
def read(lab: Control, token: str, collection_id: str = FINDINGS.id) -> Iterator[Collection]:
    with Collection(f"{lab.address}{ROOT}collections/{collection_id}/", user="lab-b", password=token) as collection:
        yield collection


def ids(envelope: dict[str, Any]) -> list[str]:
    return [one["id"] for one in envelope.get("objects", ())]


def test_the_client_of_oasis_finds_its_way_and_reads_page_by_page(lab: Control) -> None:
    for number in range(5):
        assert lab.services.shared.tell(numbered(number), NOW).faults == []
    _, token = peer(lab)
    with Server(f"{lab.address}/taxii2/", user="any", password=token) as server:
        (root,) = server.api_roots
        assert server.default.url == root.url == f"{lab.address}{ROOT}"
        assert root.versions == [KIND]
        findings, inbox = root.collections
        assert (findings.id, findings.can_read, findings.can_write) == (FINDINGS.id, True, False)
        assert (inbox.id, inbox.can_read, inbox.can_write) == (INBOX.id, False, True)
        everything = findings.get_objects()
        assert everything["more"] is False
        told = {each["id"]: each for one in range(5) for each in json.loads(to_bytes([numbered(one)]))["objects"]}
        assert {one["id"]: one for one in everything["objects"]} == told
        assert len(ids(everything)) == len(told)
        paged = [one for page in as_pages(findings.get_objects, per_request=7) for one in ids(page)]
        assert paged == ids(everything)
        records = [one for page in as_pages(findings.get_manifest, per_request=9) for one in page["objects"]]
        assert [one["id"] for one in records] == paged
        stamps = [one["date_added"] for one in records]
        assert stamps == sorted(set(stamps))
        campaign = next(one for one in records if one["id"].startswith("campaign"))
        assert (campaign["version"], campaign["media_type"]) == (
            told[campaign["id"]]["modified"],
            "application/stix+json;version=2.1",
        )
        later = findings.get_objects(added_after=datetime.fromisoformat(stamps[-3]))
        assert ids(later) == paged[-2:]
        assert findings.get_objects(added_after=stamps[-1]) == {}
        assert findings.get_object(campaign["id"])["objects"] == [told[campaign["id"]]]
        assert findings.object_versions(campaign["id"])["versions"] == [campaign["version"]]
        for one in everything["objects"]:
            asked = findings.get_objects(id=one["id"], type=[one["type"], "identity"])
            assert asked["objects"] == [one]
        assert findings.get_objects(spec_version="2.0") == {}
        assert len(ids(findings.get_objects(spec_version="2.1,2.0"))) == len(paged)


def test_few_ids_are_looked_up_however_many_objects_there_are(lab: Control) -> None:
    engine, reader = lab.services.shared.engine, Reader(peer_id="p", clearance=Tlp.AMBER)
    for wanted in (Wanted(ids=["campaign--1", "campaign--2"]), Wanted(ids=["campaign--1"], versions=["all"])):
        query = selecting._query(reader, wanted, OBJECTS.c.raw).compile(engine, compile_kwargs={"literal_binds": True})
        with engine.connect() as connection:
            plan = [row.detail for row in connection.exec_driver_sql(f"explain query plan {query}")]
        assert any("held" in step and "(origin=? AND stix_id=?)" in step for step in plan), plan
        assert any("added_us=?" in step or "(rowid=?)" in step for step in plan), plan


def test_versions_are_all_there_and_the_last_counts_if_not_asked(lab: Control) -> None:
    shared = lab.services.shared
    versions = [msgspec.structs.replace(FOUND, modified_us=NOW - DAY + n * 1_000_000, confidence=n) for n in range(3)]
    for one in versions:
        assert shared.tell(one, NOW).new > 0
    assert shared.tell(versions[-1], NOW).new == 0
    campaign = f"campaign--{FOUND.finding_id}"
    _, token = peer(lab)
    with read(lab, token) as collection:
        held = collection.object_versions(campaign)["versions"]
        assert len(held) == 3
        sure = [one["confidence"] for one in collection.get_object(campaign, version="all")["objects"]]
        assert sure == [0, 1, 2]
        for name, which in (("first", [0]), ("last", [2]), (held[1], [1]), (f"{held[0]},last", [0, 2])):
            asked = collection.get_object(campaign, version=name)
            assert [one["confidence"] for one in asked["objects"]] == which
        assert [one["confidence"] for one in collection.get_object(campaign)["objects"]] == [2]
        unversioned = next(
            one for one in collection.get_manifest()["objects"] if one["id"].startswith("autonomous-system")
        )
        assert unversioned["version"] == unversioned["date_added"]
        assert ids(collection.get_objects(version=unversioned["version"])) == [unversioned["id"]]


def test_a_peer_writes_into_the_inbox_what_is_its_own(lab: Control) -> None:
    them, token = peer(lab)
    own = THEIR_OWN
    opinion = Opinion(
        opinion_id=FOUND.finding_id,
        about=FOUND.finding_id,
        content=FOUND.content,
        lab=OURS,
        created_us=NOW,
        modified_us=NOW,
        view=View.AGREE,
    )
    with read(lab, token, INBOX.id) as inbox:
        status = inbox.add_objects(to_bytes([own]))
        sent = len(to_objects(own))
        assert (status.status, status.total_count, status.success_count) == ("complete", sent, sent)
        # Lists that would be empty are prohibited.
        assert "failures" not in status._raw
        status.refresh()
        assert status.success_count == sent
        again = inbox.add_objects(to_bytes([own]))
        assert again.failure_count == 0
        stored = lab.services.shared.objects(them.peer_id)
        assert {one.id for one in stored} == {one.id for one in to_objects(own)}
        refused = inbox.add_objects(to_bytes([opinion]))
        assert [one["id"] for one in refused.failures] == [f"opinion--{FOUND.finding_id}"]
        assert "nobody tells what another lab found" in refused.failures[0]["message"]
        other = json.loads(to_bytes([own]))
        for one in other["objects"]:
            if one["type"] == "campaign":
                one["confidence"] = 3
        differs = inbox.add_objects(other)
        assert (differs.failure_count, "conflict" in differs.failures[0]["message"]) == (1, True)
        with pytest.raises(Exception, match="read"):
            inbox.get_objects()
    # The other lab's name is no secret, and all that was added.
    added = {one.id for one in lab.services.shared.objects(them.peer_id)} - {one.id for one in stored}
    assert added == {f"identity--{OURS.lab_id}"}
    assert lab.services.receiving.refused(them) == {"conflict": 1, "not_theirs": 1}
    assert lab.services.shared.objects("") == []


def test_each_gets_what_its_markings_allow_and_withdrawals_of_it(lab: Control) -> None:
    shared = lab.services.shared
    close, wide = peer(lab, "lab-b.example"), peer(lab, "lab-c.example", clearance=Tlp.GREEN)
    for number, tlp in enumerate(Tlp):
        named = [wide[0].peer_id] if tlp is Tlp.RED else []
        shared.tell(numbered(number, tlp=tlp, networks=(), tokens=()), NOW, named=named)

    known = [f"campaign--{numbered(number).finding_id}" for number in range(5)]

    def campaigns(token: str, **filters: Any) -> list[int]:
        with read(lab, token) as collection:
            found = collection.get_objects(type="campaign", **filters).get("objects", [])
            return [known.index(one["id"]) for one in found if one.get("revoked", False) is False]

    assert (campaigns(close[1]), campaigns(wide[1])) == ([0, 1, 2, 3], [0, 1, 4])
    red = numbered(4, tlp=Tlp.RED, networks=(), tokens=())
    with read(lab, close[1]) as collection, pytest.raises(Exception, match="404"):
        collection.get_object(f"campaign--{red.finding_id}")
    last = f"{datetime.fromtimestamp((NOW + 10**6) / 10**6, UTC).isoformat()[:19]}Z"
    lab.clock.time_us = NOW + 2 * 10**6
    shared.tell(red, NOW + 2 * 10**6, named=[close[0].peer_id])
    assert campaigns(close[1], added_after=last) == [4]
    for number in range(5):
        shared.withdraw(numbered(number).finding_id, NOW + 3 * 10**6)
    assert (campaigns(close[1]), campaigns(wide[1])) == ([], [])
    for (_, token), count in ((close, 5), (wide, 3)):
        with read(lab, token) as collection:
            gone = [one for one in collection.get_objects(type="campaign")["objects"] if one["revoked"]]
            assert len(gone) == count
    lab.services.peers.end("lab-b.example", NOW)
    with pytest.raises(Exception, match="401"):
        campaigns(close[1])


def asked(
    lab: Control, token: str | None, path: str = "collections/findings/objects/", **headers: str
) -> httpx2.Response:
    shown = {} if token is None else {"authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=lab.address, trust_env=False, verify=False) as client:
        return client.get(ROOT + path, headers=shown | {"accept": KIND} | headers)


def test_what_real_clients_send_is_understood(lab: Control) -> None:
    _, token = peer(lab)
    empty = asked(lab, token)
    assert (empty.content, empty.headers["content-type"]) == (b"{}", KIND)
    assert not [name for name in empty.headers if name.startswith("x-taxii")]
    lab.services.shared.tell(FOUND, NOW)
    for accept in (
        "application/json", "*/*", "application/taxii+json", "application/taxii+json; version=2.1",
        'application/taxii+json;version="2.1"', "text/html, application/*;q=0.8", "application/stix+json;version=2.1",
    ):  # fmt: skip
        answer = asked(lab, token, accept=accept)
        assert (answer.status_code, answer.headers["content-type"]) == (200, KIND)
        assert answer.headers["x-taxii-date-added-first"] < answer.headers["x-taxii-date-added-last"]
    for accept in ("application/taxii+json;version=2.0", "application/vnd.oasis.taxii+json", "text/html"):
        assert asked(lab, token, accept=accept).status_code == 406
    with ApiRoot(f"{lab.address}{ROOT}", auth=TokenAuth(token)) as root:
        assert root.title
    body = to_bytes([THEIR_OWN])
    client = lab.with_token(token)
    where = f"{ROOT}collections/{INBOX.id}/objects/"
    for kind in ("application/stix+json;version=2.1", KIND, "application/json", "application/taxii+json"):
        assert client.post(where, content=body, headers={"content-type": kind}).status_code == 202
    for kind in ("text/plain", "application/stix+json;version=2.0", ""):
        assert client.post(where, content=body, headers={"content-type": kind}).status_code == 415
    assert client.get(f"{ROOT}collections", follow_redirects=True).json()["collections"]


def test_what_is_wrong_is_refused_in_the_standards_words_and_nothing_is_half_stored(lab: Control) -> None:
    them, token = peer(lab)
    _, operator = lab.operator("auditor")  # type: ignore[arg-type]
    expired = peer(lab, "lab-d.example", lasts_us=1)[1]
    lab.clock.time_us = NOW + 2
    for shown in (None, "tgl_" + "A" * 36, operator, expired):
        answer = asked(lab, shown)
        told = answer.json()
        assert (answer.status_code, told["http_status"], told["error_code"]) == (401, "401", "not_authenticated")
        assert "Basic" in answer.headers["www-authenticate"]
    assert asked(lab, None, authorization=f"Basic {base64.b64encode(b'no colon').decode()}").status_code == 401
    assert asked(lab, None, authorization="Basic ?").status_code == 401
    for path, status in (
        ("collections/findings/objects/?limit=0", 400),
        ("collections/findings/objects/?limit=many", 400),
        ("collections/findings/objects/?added_after=yesterday", 400),
        ("collections/findings/objects/?added_after=2026-99-01T00:00:00Z", 400),
        ("collections/findings/objects/?match[version]=newest", 400),
        ("collections/findings/objects/?match[colour]=red", 400),
        (f"collections/findings/objects/?match[id]={'a,' * 101}", 400),
        ("collections/findings/objects/?next=-1", 400),
        ("collections/findings/objects/campaign--0/", 404),
        ("collections/findings/objects/campaign--0/versions/", 404),
        ("collections/nothing/objects/", 404),
        ("collections/inbox/objects/", 403),
        ("status/6f1c8c0e-3c1b-4c7e-9d1a-0d7a2f6b9c11/", 404),
    ):
        answer = asked(lab, token, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, KIND), path
        assert answer.json()["http_status"] == str(status)
    client = lab.with_token(token)
    where, headers = f"{ROOT}collections/inbox/objects/", {"content-type": KIND}
    good = to_bytes([THEIR_OWN])
    for body, status, code in (
        (good[:-9], 422, "malformed"),
        (b"{}", 422, "malformed"),
        (b"[" * 50_000, 422, "malformed"),
        (b'{"objects":[' + b"1," * 600_000 + b"1]}", 413, "request_too_large"),
    ):
        answer = client.post(where, content=body, headers=headers)
        assert (answer.status_code, answer.json()["error_code"]) == (status, code)
    assert client.post(f"{ROOT}collections/findings/objects/", content=good, headers=headers).status_code == 403
    for answer in (client.delete(f"{where}campaign--0/"), client.get("/taxii2/nothing/")):
        assert answer.headers["content-type"] == KIND
        assert (int(answer.json()["http_status"]), answer.status_code in (404, 405)) == (answer.status_code, True)
    unmarked = json.loads(good)
    for one in unmarked["objects"]:
        if one["type"] == "indicator" or one["type"] == "campaign":
            del one["object_marking_refs"]
    answer = client.post(where, content=json.dumps(unmarked), headers=headers).json()
    assert (answer["failure_count"], "[marking]" in answer["failures"][0]["message"]) == (1, True)
    assert lab.services.receiving.refused(them) == {"malformed": 3, "marking": 1}
    kept = {one.id.partition("--")[0] for one in lab.services.shared.objects(them.peer_id)}
    assert "campaign" not in kept
