"""What is added is told at once, to whom may have it, from where it was cut off: by hand, and by the other lab."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.api.conftest import NOW, Control
from tests.gateway.conftest import GIVE_UP_S
from tests.sharing.test_exchange import Lab, labs
from tests.sharing.test_taxii import FOUND, OURS, THEIRS, asked, lab, numbered, peer
from tiergate.api import taxii_events
from tiergate.api.taxii_requests import ROOT
from tiergate.api.taxii_resources import FINDINGS, INBOX, KIND
from tiergate.clock import DAY
from tiergate.gateway.connecting import DeliveryError
from tiergate.sharing import receiving
from tiergate.sharing.client import Following
from tiergate.sharing.events import Event, events
from tiergate.sharing.exchange import Round
from tiergate.sharing.marking import Tlp

__all__ = ["lab", "labs"]

PATH = f"{ROOT}collections/findings/events/"


class Stream:
    """What a peer is told, by hand."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._told = events(self._line, 1 << 24)

    def _line(self) -> bytes:
        line = next(self._lines, None)
        return b"" if line is None else f"{line}\n".encode()

    def next(self) -> tuple[str, dict[str, Any]]:
        """Id and objects of the next event."""
        event = next(self._told)
        assert event.last_id is not None
        return event.last_id, {one["id"]: one for one in json.loads(event.data)["objects"]}

    def rest(self) -> list[Event]:
        """What comes until its end."""
        return list(self._told)


@contextmanager
def stream(lab: Control, token: str, path: str = PATH, **headers: str) -> Iterator[Stream]:
    shown = {"authorization": f"Bearer {token}", "accept": "text/event-stream"} | headers
    with (
        httpx2.Client(base_url=lab.address, trust_env=False, timeout=GIVE_UP_S) as client,
        client.stream("GET", path, headers=shown) as answer,
    ):
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Stream(answer.iter_lines())


def campaign(number: int) -> str:
    return f"campaign--{numbered(number).finding_id}"


def test_what_is_there_and_what_is_added_is_told_and_goes_on_where_it_stood(
    lab: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = lab.services.shared
    shared.tell(numbered(1), NOW)
    _, token = peer(lab)
    with stream(lab, token) as told:
        first_id, first = told.next()
        page = asked(lab, token)
        # The same as a page, and by the same time one goes on there.
        assert list(first) == [one["id"] for one in page.json()["objects"]]
        assert first_id == page.headers["x-taxii-date-added-last"]
        shared.tell(numbered(2), NOW)
        second_id, second = told.next()
        assert (campaign(2) in second, campaign(1) in second) == (True, False)
        shared.withdraw(numbered(1).finding_id, NOW + 5)
        _, third = told.next()
        assert (third[campaign(1)]["revoked"], campaign(2) in third) == (True, False)
    for path, headers in (
        (PATH, {"last-event-id": second_id}),
        (f"{PATH}?added_after={second_id}", {}),
        (f"{PATH}?added_after={first_id}", {"last-event-id": second_id}),
    ):
        with stream(lab, token, path, **headers) as told:
            assert told.next()[1] == third
    # All of a large backlog comes, in several events.
    monkeypatch.setattr(taxii_events, "EVENT_OBJECTS", 7)
    monkeypatch.setattr(taxii_events, "EVENT_BYTES", 3_000)
    everything = {one["id"] for one in asked(lab, token).json()["objects"]}
    with stream(lab, token) as told:
        seen: dict[str, Any] = {}
        events_seen = 0
        while seen.keys() < everything:
            seen |= told.next()[1]
            events_seen += 1
        assert (seen.keys(), events_seen > len(everything) / 7) == (everything, True)


def test_each_is_told_what_it_may_have_for_as_long_as_it_may(lab: Control) -> None:
    shared, (close, token), (wide, green) = (
        lab.services.shared,
        peer(lab),
        peer(lab, "lab-c.example", clearance=Tlp.GREEN),
    )
    with stream(lab, token) as told, stream(lab, green) as less:
        for number, tlp in enumerate((Tlp.RED, Tlp.AMBER, Tlp.GREEN)):
            named = [wide.peer_id] if tlp is Tlp.RED else []
            shared.tell(numbered(number, tlp=tlp, networks=(), tokens=()), NOW, named=named)

        def campaigns(of: Stream, last: int) -> list[str]:
            seen: list[str] = []
            while campaign(last) not in seen:
                seen += [one for one in of.next()[1] if one.startswith("campaign")]
            return seen

        assert campaigns(told, 2) == [campaign(1), campaign(2)]
        assert campaigns(less, 2) == [campaign(0), campaign(2)]
        shared.tell(numbered(0, tlp=Tlp.RED, networks=(), tokens=()), NOW + 1, named=[close.peer_id])
        assert campaigns(told, 0) == [campaign(0)]
        # Nothing is told to whom it ended, and the stream ends with it; nor with a token that is over.
        lab.services.peers.end("lab-b.example", NOW)
        lab.clock.time_us = NOW + 91 * DAY
        shared.tell(numbered(3, networks=(), tokens=(), tlp=Tlp.CLEAR), NOW)
        assert not any(campaign(3).encode() in one.data for one in (*told.rest(), *less.rest()))


def test_a_stream_is_for_peers_that_read_and_of_so_many_the_oldest_ends(
    lab: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, token = peer(lab)
    accept = {"accept": "text/event-stream"}
    for path, headers, status in (
        (PATH, {"authorization": "Bearer tgl_no"} | accept, 401),
        (f"{ROOT}collections/inbox/events/", accept, 403),
        (f"{ROOT}collections/nothing/events/", accept, 404),
        (PATH, {}, 406),
        (PATH, {"last-event-id": "7"} | accept, 400),
        (f"{PATH}?added_after=yesterday", accept, 400),
        (f"{PATH}?match[type]=campaign", accept, 400),
    ):
        answer = asked(lab, token, path.removeprefix(ROOT), **headers)
        assert (answer.status_code, answer.headers["content-type"]) == (status, KIND), path
    listed = asked(lab, token, "collections/").json()["collections"]
    assert {one["id"]: one["x_tiergate_events"] for one in listed} == {FINDINGS.id: True, INBOX.id: False}

    monkeypatch.setattr(taxii_events, "MOST_STREAMS", 1)
    monkeypatch.setattr(taxii_events, "HEARTBEAT_S", 0.01)
    with stream(lab, token) as older, stream(lab, token) as newer:
        # By heartbeats it is known that they live.
        lab.services.shared.tell(FOUND, NOW)
        assert newer.next()[1]
        older.rest()
        lab.services.streams.end()
        assert newer.rest() == []


class Kept:
    """What a lab heard while it followed the other in a thread, until that was cut off."""

    def __init__(self, lab: Lab) -> None:
        self.rounds: list[Round] = []
        self.following: Following | None = None
        self.fault: Exception | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._follow, args=(lab,))
        self._thread.start()

    def _follow(self, lab: Lab) -> None:
        try:
            lab.exchange.follow(lab.peer(), lab.control.clock, self._begun, self._heard)
        except DeliveryError as error:
            self.fault = error

    def _begun(self, following: Following) -> None:
        with self._changed:
            self.following = following
            self._changed.notify_all()

    def _heard(self, done: Round) -> None:
        with self._changed:
            self.rounds.append(done)
            self._changed.notify_all()

    def until(self, what: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(what, GIVE_UP_S)

    def end(self) -> None:
        self.until(lambda: self.following is not None)
        assert self.following is not None
        self.following.cut()
        self.joined()

    def joined(self) -> None:
        self._thread.join(GIVE_UP_S)
        assert not self._thread.is_alive()


def test_the_other_lab_follows_is_cut_off_and_goes_on(labs: tuple[Lab, Lab]) -> None:
    ours, theirs = labs
    ours.store.tell(numbered(1), NOW)
    kept = Kept(theirs)
    kept.until(lambda: len(kept.rounds) == 1)
    ours.store.tell(numbered(2), NOW)
    kept.until(lambda: len(kept.rounds) == 2)
    kept.end()
    assert theirs.heard() == {one.finding_id: one for one in map(numbered, (1, 2))}
    ours.store.withdraw(numbered(1).finding_id, NOW + 5)
    # What was followed is not pulled again, and what was pulled is not told again.
    assert theirs.exchange.pull(theirs.peer(), NOW).new > 0
    assert theirs.heard()[numbered(1).finding_id].revoked
    again = Kept(theirs)
    again.until(lambda: again.following is not None)
    ours.store.tell(numbered(3), NOW)
    again.until(lambda: len(again.rounds) == 1)
    again.end()
    assert [one.refused for one in (*kept.rounds, *again.rounds)] == [[], [], []]
    assert numbered(3).finding_id in theirs.heard()
    assert theirs.store.withdrawn(0) == [(theirs.peer().peer_id, numbered(1).finding_id)]
    assert theirs.store.withdrawn(theirs.store.place()) == []


def test_what_is_not_kept_is_told_again(labs: tuple[Lab, Lab], monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = labs
    monkeypatch.setattr(receiving, "MOST_A_DAY", 0)
    ours.store.tell(FOUND, NOW)
    kept = Kept(theirs)
    kept.joined()
    assert (theirs.heard(), "quota" in str(kept.fault)) == ({}, True)
    monkeypatch.undo()
    again = Kept(theirs)
    again.until(lambda: len(again.rounds) == 1)
    again.end()
    assert set(theirs.heard()) == {FOUND.finding_id}


def test_who_tells_nothing_by_itself_is_asked(labs: tuple[Lab, Lab], monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = labs
    quiet = [msgspec.structs.replace(FINDINGS, x_tiergate_events=False), INBOX]
    monkeypatch.setattr("tiergate.api.taxii.COLLECTIONS", quiet)
    ours.store.tell(FOUND, NOW)
    begun: list[Following] = []
    assert theirs.exchange.follow(theirs.peer(), theirs.control.clock, begun.append, lambda _: None) is False
    assert (begun, theirs.heard()) == ([], {})
    theirs.peers.end(OURS.name, NOW)
    ours.peers.end(THEIRS.name, NOW)
    with pytest.raises(DeliveryError, match="401"):
        theirs.exchange.follow(theirs.peer(), theirs.control.clock, begun.append, lambda _: None)


def lines_of(body: bytes) -> Callable[[], bytes]:
    some = iter(body.splitlines(keepends=True))
    return lambda: next(some, b"")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"data: a\n\n", [(b"a", None)]),
        (b"id: 1\ndata:a\r\ndata:  b\n\ndata\n\n", [(b"a\n b", "1"), (b"", "1")]),
        (b": nothing\nretry: 5\nevent: x\n\nid: 2\n\ndata: c\n\n", [(b"c", "2")]),
        (b"data: cut off\n", []),
        (b"id: a\0b\ndata: d\n\n", [(b"d", None)]),
        (b"id\ndata: e\n\n", [(b"e", "")]),
    ],
)  # fmt: skip
def test_events_are_read_as_the_standard_has_them(body: bytes, told: list[tuple[bytes, str | None]]) -> None:
    assert [(one.data, one.last_id) for one in events(lines_of(body), 100)] == told


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_no_bytes_break_the_reader_and_nothing_of_them_grows_without_end(body: bytes) -> None:
    try:
        for one in events(lines_of(body), 20):
            assert len(one.data) <= 20
    except DeliveryError:
        pass
