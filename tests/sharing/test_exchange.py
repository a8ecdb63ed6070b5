"""Two labs, each with its own API: what one tells, the other has, and loses again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.api.conftest import NOW, Control, running
from tests.gateway.conftest import GIVE_UP_S
from tests.sharing.test_taxii import FOUND, OURS, THEIR_OWN, THEIRS, numbered
from tiergate.api.taxii_requests import ROOT
from tiergate.clock import DAY
from tiergate.errors import InputError
from tiergate.gateway.connecting import DeliveryError
from tiergate.sharing import client, receiving
from tiergate.sharing.exchange import MOST_BYTES, Exchange, Round, with_each
from tiergate.sharing.finding import Finding, Token
from tiergate.sharing.marking import Tlp
from tiergate.sharing.objects import ENCODER, Campaign, Infrastructure
from tiergate.sharing.peers import Peer
from tiergate.sharing.reading import from_objects
from tiergate.sharing.stix import revoked, to_objects


class Lab:
    """A lab, and the other as its peer."""

    def __init__(self, control: Control, name: str) -> None:
        self.control, self.name = control, name
        self.store, self.peers = control.services.shared, control.services.peers
        self.data = control.services.settings.data
        self.exchange = Exchange(self.store, self.peers, control.services.receiving, self.data)

    def meets(self, other: Lab, clearance: Tlp = Tlp.AMBER_STRICT) -> None:
        _, token = self.peers.add(other.name, NOW, clearance=clearance)
        assert token is not None
        (other.data / "token").write_text(token)
        other.peers.add(
            self.name, NOW, url=f"{self.control.address}{ROOT}", token_file="token", private=True, lasts_us=0
        )

    def peer(self) -> Peer:
        return self.peers.every()[0]

    def heard(self) -> dict[str, Finding]:
        told = from_objects(self.store.objects(self.peer().peer_id))
        return {one.finding_id: one for one in told if isinstance(one, Finding)}


@pytest.fixture
def labs(tmp_path: Path) -> Iterator[tuple[Lab, Lab]]:
    with ExitStack() as stack:
        controls = [stack.enter_context(running(tmp_path / name)) for name in ("a", "b")]
        ours, theirs = Lab(controls[0], OURS.name), Lab(controls[1], THEIRS.name)
        ours.meets(theirs)
        theirs.meets(ours)
        yield ours, theirs


def test_what_one_tells_the_other_reads_and_only_what_is_new(labs: tuple[Lab, Lab]) -> None:
    ours, theirs = labs
    found = [numbered(number) for number in range(3)]
    for one in found[:2]:
        ours.store.tell(one, NOW)
    first = theirs.exchange.pull(theirs.peer(), NOW)
    assert (first.refused, first.new) == ([], first.objects)
    assert theirs.heard() == {one.finding_id: one for one in found[:2]}
    assert theirs.exchange.pull(theirs.peer(), NOW).objects == 0
    ours.store.tell(found[2], NOW)
    more = theirs.exchange.pull(theirs.peer(), NOW)
    assert 0 < more.objects < first.objects
    assert theirs.heard() == {one.finding_id: one for one in found}
    assert theirs.exchange.pull(theirs.peer(), NOW, again=True).new == 0
    # What was heard is not told on.
    assert ours.exchange.pull(ours.peer(), NOW).objects == 0


def test_what_is_pushed_is_there_at_once_and_once(labs: tuple[Lab, Lab]) -> None:
    ours, theirs = labs
    many = tuple(
        sorted(Token(scheme="hmac-sha256", epoch="1", kind="account", value=f"{one:064x}") for one in range(900))
    )
    found = [msgspec.structs.replace(numbered(number), tokens=many[number::3]) for number in range(3)]
    for one in found:
        ours.store.tell(one, NOW)
    assert sum(len(raw) for _, raw in ours.exchange._due(ours.peer(), 0)) > MOST_BYTES // 2
    done = ours.exchange.push(ours.peer())
    assert (done.refused, done.objects > 900) == ([], True)
    assert theirs.heard() == {one.finding_id: one for one in found}
    assert ours.exchange.push(ours.peer()).objects == 0


def test_a_withdrawal_reaches_whoever_got_it_by_either_way_also_when_it_left(labs: tuple[Lab, Lab]) -> None:
    ours, theirs = labs
    ours.store.tell(FOUND, NOW)
    ours.store.tell(numbered(7), NOW)
    ours.exchange.push(ours.peer())
    ours.store.withdraw(FOUND.finding_id, NOW + 5)
    ours.exchange.push(ours.peer())
    withdrawn = {name: one.revoked for name, one in theirs.heard().items()}
    assert withdrawn == {FOUND.finding_id: True, numbered(7).finding_id: False}
    # The file of the case says what is withdrawn: the networks too.
    assert theirs.heard()[FOUND.finding_id].networks == FOUND.networks
    with pytest.raises(InputError, match="withdrawn, and that is for good"):
        ours.store.tell(msgspec.structs.replace(FOUND, modified_us=NOW + DAY), NOW + DAY)
    with pytest.raises(InputError, match="nothing of"):
        ours.store.withdraw(FOUND.finding_id, NOW)

    ours.peers.end(THEIRS.name, NOW + DAY)
    ours.store.tell(numbered(8), NOW + 2 * DAY)
    ours.store.withdraw(numbered(8).finding_id, NOW + 2 * DAY)
    ours.store.withdraw(numbered(7).finding_id, NOW + 2 * DAY)
    theirs.control.clock.time_us = NOW + 2 * DAY
    assert ours.exchange.push(ours.peer()).objects > 0
    assert {name: one.revoked for name, one in theirs.heard().items()} == {
        FOUND.finding_id: True,
        numbered(7).finding_id: True,
    }


def test_a_newer_version_takes_back_what_it_does_not_say(labs: tuple[Lab, Lab]) -> None:
    ours, theirs = labs
    ours.store.tell(FOUND, NOW)
    less = msgspec.structs.replace(FOUND, modified_us=NOW, networks=(64501,), confidence=40)
    ours.store.tell(less, NOW)
    with pytest.raises(InputError, match="name a peer"):
        ours.store.tell(numbered(1, tlp=Tlp.RED), NOW)
    assert theirs.exchange.pull(theirs.peer(), NOW).refused == []
    assert theirs.heard() == {FOUND.finding_id: less}
    narrow = msgspec.structs.replace(less, modified_us=NOW + 1000, tlp=Tlp.RED)
    with pytest.raises(InputError, match="peers have it as TLP:AMBER"):
        ours.store.tell(narrow, NOW, named=[ours.peer().peer_id])
    assert theirs.exchange.pull(theirs.peer(), NOW).objects == 0


def test_who_was_named_is_told_what_a_newer_version_adds(labs: tuple[Lab, Lab]) -> None:
    ours, theirs = labs
    third, _ = ours.peers.add("lab-c.example", NOW)
    red = msgspec.structs.replace(FOUND, tlp=Tlp.RED)
    ours.store.tell(red, NOW, named=[ours.peer().peer_id])
    more = msgspec.structs.replace(red, modified_us=NOW, networks=(64500, 64999))
    # To another: whoever had it before must not be left with half of it.
    ours.store.tell(more, NOW, named=[third.peer_id])
    assert ours.exchange.push(ours.peer()).refused == []
    assert theirs.heard() == {FOUND.finding_id: more}


def test_what_was_left_out_once_comes_back(labs: tuple[Lab, Lab]) -> None:
    ours, theirs = labs
    token = Token(scheme="hmac-sha256", epoch="2026-11", kind="user_agent", value="cd" * 32)
    whole = msgspec.structs.replace(FOUND, tokens=tuple(sorted((*FOUND.tokens, token))))
    bare = msgspec.structs.replace(whole, tokens=(), networks=())
    rekeyed = tuple(msgspec.structs.replace(one, epoch="2") for one in whole.tokens)
    other = msgspec.structs.replace(whole, tokens=rekeyed)
    # Without the epoch's key, by mistake; with it again; once more; under another key: all of them of one look.
    for number, told in enumerate((whole, bare, whole, bare, whole, other)):
        assert ours.store.tell(told, NOW + number * 10**6).faults == []
        theirs.control.clock.time_us = NOW + number * 10**6
        assert ours.exchange.push(ours.peer()).refused == []
        (heard,) = theirs.heard().values()
        assert msgspec.structs.replace(heard, modified_us=told.modified_us) == told
        assert ours.store.tell(told, NOW + 10**9).new == 0
    ours.store.withdraw(FOUND.finding_id, NOW + 10**9)
    assert all(one.revoked for one in from_objects(ours.store.objects("")))


def test_a_peer_that_does_not_answer_as_it_should_is_said_so_and_asked_again(labs: tuple[Lab, Lab]) -> None:
    ours, theirs = labs
    ours.store.tell(FOUND, NOW)
    theirs.peers.end(OURS.name, NOW)
    with pytest.raises(DeliveryError, match="401"):
        ours.exchange.push(ours.peer())
    _, token = theirs.peers.add(OURS.name, NOW)
    assert token is not None
    (ours.data / "token").write_text(token)
    # Other servers want a user; ours takes the token as password.
    (ours.data / "token").write_text(f"any:{token}\n")
    assert ours.exchange.push(ours.peer()).objects > 0
    for shown in ("", "a token", "t\u00f6ken", "a:\x00"):
        (ours.data / "token").write_text(shown)
        with pytest.raises(InputError, match="holds no token"):
            ours.exchange.pull(ours.peer(), NOW)
    (ours.data / "token").unlink()
    with pytest.raises(InputError, match="cannot read the token"):
        ours.exchange.pull(ours.peer(), NOW)
    with pytest.raises(InputError, match="--private"):
        ours.peers.add("lab-c.example", NOW, url="http://10.0.0.1/taxii2/", token_file="t")
    with pytest.raises(InputError, match="credentials"):
        ours.peers.add("lab-c.example", NOW, url="http://169.254.169.254/x/", token_file="t", private=True)
    with pytest.raises(InputError, match="more already"):
        ours.peers.add(THEIRS.name, NOW, clearance=Tlp.GREEN)
    with pytest.raises(InputError, match="strict at most"):
        ours.peers.add("lab-c.example", NOW, clearance=Tlp.RED)


def test_a_peer_brings_no_more_than_its_share_of_a_day(labs: tuple[Lab, Lab], monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = labs
    monkeypatch.setattr(receiving, "MOST_A_DAY", 10)
    ours.store.tell(FOUND, NOW)
    assert ours.exchange.push(ours.peer()).refused == []
    ours.store.tell(numbered(1), NOW)
    with pytest.raises(DeliveryError, match="429"):
        ours.exchange.push(ours.peer())
    assert "enough" in theirs.exchange.pull(theirs.peer(), NOW).refused[0]
    assert set(theirs.heard()) == {FOUND.finding_id}
    # Whatever it brought, it may take back what it told.
    gone = [revoked(one, NOW + 1_000) for one in to_objects(FOUND) if isinstance(one, Campaign | Infrastructure)]
    body = b'{"objects":[' + b",".join(map(ENCODER.encode, gone)) + b"]}"
    received = theirs.control.services.receiving.receive(body, theirs.peer(), NOW)
    assert (received.faults, received.new) == ([], len(gone))
    assert theirs.heard()[FOUND.finding_id].revoked
    again = theirs.control.services.receiving.receive(body, theirs.peer(), NOW)
    assert again.refused_whole is not None
    theirs.control.clock.time_us = NOW + DAY
    assert ours.exchange.push(ours.peer()).objects > 0
    assert set(theirs.heard()) == {FOUND.finding_id, numbered(1).finding_id}


def test_what_is_held_of_a_peer_has_an_end_and_old_findings_make_room(
    labs: tuple[Lab, Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = labs
    ours.store.tell(FOUND, NOW)
    ours.exchange.push(ours.peer())
    monkeypatch.setattr(receiving, "MOST_HELD", 10)
    monkeypatch.setattr(receiving, "KEPT_HELD_US", DAY)
    ours.store.tell(numbered(1), NOW)
    with pytest.raises(DeliveryError, match="of one peer are enough"):
        ours.exchange.push(ours.peer())
    ours.store.withdraw(numbered(1).finding_id, NOW)
    theirs.control.clock.time_us = NOW + 2 * DAY
    assert ours.exchange.push(ours.peer()).refused == []
    assert {name: one.revoked for name, one in theirs.heard().items()} == {numbered(1).finding_id: True}


@contextmanager
def hostile(ours: Lab, answer: Callable[[str], bytes | None]) -> Iterator[Peer]:
    """A peer that answers a path with what ``answer`` makes of it, and to None not at all."""
    asked = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answer(self.path)
            if body is None:
                asked.wait(GIVE_UP_S)
                return
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    (ours.data / "hostile").write_text("tgl_x")
    url = f"http://127.0.0.1:{server.server_port}/"
    try:
        yield ours.peers.add("lab-h.example", NOW, url=url, token_file="hostile", private=True)[0]
    finally:
        asked.set()
        server.shutdown()
        server.server_close()
        thread.join()


FEW = b'{"collections":[{"id":"f","can_read":true}]}'


def test_what_would_unfold_in_memory_is_not_read(labs: tuple[Lab, Lab]) -> None:
    ours, _ = labs
    for body, said in ((b"[" + b"1," * (1 << 20) + b"1]", "bytes"), (b'{"collections":[' + b"{}," * 400_000, "bytes")):
        with hostile(ours, lambda _, body=body: body) as peer, pytest.raises(DeliveryError, match=said):
            ours.exchange.pull(peer, NOW)
        ours.peers.end(peer.name, NOW)
    page = b'{"objects":[' + b"1," * 1_000_001 + b"1]}"
    with (
        hostile(ours, lambda path: page if "objects" in path else FEW) as peer,
        pytest.raises(DeliveryError, match="values"),
    ):
        ours.exchange.pull(peer, NOW)


def test_a_peer_without_an_end_holds_nobody_for_long(labs: tuple[Lab, Lab], monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = labs
    theirs.store.tell(msgspec.structs.replace(THEIR_OWN, networks=()), NOW)
    monkeypatch.setattr(client, "MOST_S", 1.0)
    endless = b'{"objects":[{}],"more":true,"next":"1"}'
    with hostile(ours, lambda path: endless if "objects" in path else FEW) as peer:
        with pytest.raises(DeliveryError, match="next round"):
            ours.exchange.pull(peer, NOW)
        # What is refused counts, so that it cannot fill the disk.
        monkeypatch.setattr(receiving, "MOST_A_DAY", 0)
        assert "enough" in ours.exchange.pull(peer, NOW).refused[0]
        monkeypatch.undo()
    ours.peers.end(peer.name, NOW)
    done = threading.Event()

    def silent(_: str) -> bytes | None:
        return None if not done.wait(GIVE_UP_S) else b"{}"

    def go(one: Peer) -> Round:
        came = ours.exchange.pull(one, NOW)
        if one.name == THEIRS.name:
            done.set()
        return came

    # It answers when the other was read: one after the other, neither would end.
    with hostile(ours, silent) as peer:
        outcomes = with_each([peer, ours.peer()], go)
    assert [came.objects > 0 for _, came in outcomes if isinstance(came, Round)] == [False, True]


def test_what_is_refused_counts_and_is_not_kept_at_length(labs: tuple[Lab, Lab]) -> None:
    theirs = labs[1]
    receives = theirs.control.services.receiving
    arrival = receives.receive(b'{"objects":[' + b"{}," * 4_999 + b"{}]}", theirs.peer(), NOW)
    assert (arrival.taken, arrival.refused, len(arrival.faults)) == (0, 5_000, 5_000)
    kept = receives.arrival(arrival.arrival_id, theirs.peer())
    assert kept is not None
    assert (kept.taken, kept.refused, kept.faults) == (0, 5_000, [])
    assert receives._brought(theirs.peer(), NOW) == 5_000
    assert receives.receive(b" " * (3 << 20), theirs.peer(), NOW).refused_whole is not None
    assert receives._brought(theirs.peer(), NOW) == 5_000 + 3 * 1_024
