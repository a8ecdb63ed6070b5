"""Two labs, each with its own API: what one tells, the other has, and loses again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from tests.api.conftest import NOW, Control, running
from tests.sharing.test_taxii import FOUND, OURS, THEIRS, numbered
from tiergate.api.taxii_requests import ROOT
from tiergate.clock import DAY
from tiergate.errors import InputError
from tiergate.gateway.connecting import DeliveryError
from tiergate.sharing import receiving
from tiergate.sharing.exchange import MOST_BYTES, Exchange
from tiergate.sharing.finding import Finding, Token
from tiergate.sharing.marking import Tlp
from tiergate.sharing.peers import Peer
from tiergate.sharing.reading import from_objects


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
    with pytest.raises(InputError, match="newer version"):
        ours.store.tell(FOUND, NOW)
    with pytest.raises(InputError, match="name a peer"):
        ours.store.tell(numbered(1, tlp=Tlp.RED), NOW)
    assert theirs.exchange.pull(theirs.peer(), NOW).refused == []
    assert theirs.heard() == {FOUND.finding_id: less}
    narrow = msgspec.structs.replace(less, modified_us=NOW + 1000, tlp=Tlp.RED)
    with pytest.raises(InputError, match="peers have it as TLP:AMBER"):
        ours.store.tell(narrow, NOW, named=[ours.peer().peer_id])
    assert theirs.exchange.pull(theirs.peer(), NOW).objects == 0


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
    theirs.control.clock.time_us = NOW + DAY
    assert ours.exchange.push(ours.peer()).objects > 0
    assert set(theirs.heard()) == {FOUND.finding_id, numbered(1).finding_id}
