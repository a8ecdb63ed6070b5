"""Five labs, key servers and a hub over HTTP: what is found, and what is refused."""

from __future__ import annotations

import hashlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from tests.sharing.tokens.conftest import NOW, Serving, group
from tiergate.clock import DAY
from tiergate.errors import InputError, ProofError, StateError, TiergateError
from tiergate.sharing.tokens import peer
from tiergate.sharing.tokens.blinding import Blinded
from tiergate.sharing.tokens.items import Item, Kind, Nomination
from tiergate.sharing.tokens.lab import Lab, Prepared
from tiergate.sharing.tokens.rows import ROW_BYTES

CAMPAIGN = frozenset({Item(Kind.PAYMENT, "card-1"), Item(Kind.NETWORK, "192.0.2"), Item(Kind.TEMPLATE, "t1")})


def campaign(lab: int, customers: int = 2) -> list[Nomination]:
    ours = Item(Kind.NETWORK, f"10.{lab}.0")
    return [Nomination(f"c{lab}-{n}", CAMPAIGN | {ours}, 40) for n in range(customers)] + [
        Nomination(f"honest-{lab}", frozenset({ours, Item(Kind.EMAIL, f"e{lab}")}), 9)
    ]


def send(lab: Lab, nominations: list[Nomination]) -> Prepared:
    prepared = lab.prepare(nominations, lab.epoch())
    lab.hand_in(prepared)
    return prepared


@pytest.mark.parametrize("key_servers", [1, 2])
def test_a_campaign_of_two_customers_a_lab_is_found_and_nothing_else(serving: Serving, key_servers: int) -> None:
    served = serving(key_servers=key_servers)
    labs = {n: served.lab(n) for n in (1, 2, 3, 4)}
    sent = {n: send(lab, campaign(n)).sent for n, lab in labs.items()}
    for n, lab in labs.items():
        told, found = lab.read(sent[n])
        assert (told.labs, told.keys_agree, told.unfit) == (4, True, 0)
        assert {(one.kind, one.labs, one.customers_log2) for one in told.items} == {
            ("payment", 4, 1),
            ("network", 4, 1),
            ("template", 4, 1),
        }
        assert [(one.customers, one.labs, one.customers_of_all) for one in found] == [([f"c{n}-0", f"c{n}-1"], 4, 8)]
        assert found[0].causes == ["customer", "place", "tool"]
    # A lab without the items is told of nothing, and a lab that came by one is told no customers of others.
    outsider = served.lab(5)
    told, found = outsider.read(send(outsider, [Nomination("x", frozenset({Item(Kind.PAYMENT, "card-9")}))]).sent)
    assert (told.items, found) == ([], [])


def test_two_labs_are_too_few(serving: Serving) -> None:
    served = serving()
    sent = {n: (served.lab(n), send(served.lab(n), campaign(n)).sent) for n in (1, 2)}
    for lab, one in sent.values():
        told, found = lab.read(one)
        assert (told.items, found) == ([], [])


def test_more_customers_than_a_row_has_room_for_lead_back_to_all(serving: Serving) -> None:
    served = serving()
    sent = {n: (served.lab(n), send(served.lab(n), campaign(n, 12)).sent) for n in (1, 2, 3)}
    lab, one = sent[2]
    _, found = lab.read(one)
    assert found[0].customers == sorted(f"c2-{n}" for n in range(12))


def test_neither_the_key_server_nor_the_hub_is_sent_a_value(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    ask = peer.Peer.ask

    def watched(self: peer.Peer, method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
        seen.append(f"{method} {path} {headers}".encode() + (body or b""))
        return ask(self, method, path, body, **headers)

    monkeypatch.setattr(peer.Peer, "ask", watched)
    send(serving().lab(1), campaign(1))
    said = b"".join(seen)
    assert len(seen) > 3
    for value in (b"card-1", b"192.0.2", b"c1-0", b"honest"):
        for form in (value, hashlib.sha256(value).digest(), hashlib.sha256(value).hexdigest().encode()):
            assert form not in said


def test_a_quota_bounds_guesses_and_survives_a_restart(serving: Serving) -> None:
    served = serving(group(quota=100))
    lab = served.lab(1)
    guess = Blinded([b"guess-%d" % n for n in range(60)])
    lab.key_servers[0].evaluate(lab.epoch(), guess.elements)
    with pytest.raises(StateError, match="leaves 40") as refused:
        lab.key_servers[0].evaluate(lab.epoch(), guess.elements)
    assert refused.value.code == "quota_used_up"
    again = type(served.key_servers[0])(served.key_servers[0]._folder, served.group, served.clock)
    assert again.used(lab.epoch()) == {1: 60}
    assert again.epochs() == served.key_servers[0].epochs()
    again.close()
    # Another lab's quota is its own, and the next epoch has a new one.
    served.lab(2).key_servers[0].evaluate(lab.epoch(), guess.elements)
    served.clock.time_us = NOW + DAY
    lab.key_servers[0].evaluate(lab.epoch(), guess.elements)


def test_a_quota_holds_when_a_lab_asks_many_times_at_once(serving: Serving) -> None:
    served = serving(group(quota=100))
    epoch, elements = served.lab(1).epoch(), Blinded([b"guess-%d" % n for n in range(7)]).elements

    def ask(_: int) -> bool:
        try:
            served.lab(1).key_servers[0].evaluate(epoch, elements)
        except StateError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(30))) == 14
    assert served.key_servers[0].used(epoch) == {1: 98}


def test_rows_handed_in_before_are_refused_whoever_does_it(serving: Serving) -> None:
    served = serving()
    first = send(served.lab(1), campaign(1))
    served.lab(1).hand_in(first)  # the same lab again, after a fault: it is not taken twice
    with pytest.raises(StateError, match="handed in before") as refused:
        served.lab(2).hub.hand_in(first.sent.epoch, first.keys, first.rows)
    assert refused.value.code == "replayed"
    served.clock.time_us = NOW + DAY
    with pytest.raises(StateError, match="handed in before"):
        served.lab(1).hub.hand_in(first.sent.epoch + 1, first.keys, first.rows)


def test_two_epochs_are_served_and_older_keys_are_gone(serving: Serving) -> None:
    served = serving()
    lab = served.lab(1)
    old = lab.epoch()
    prepared = lab.prepare(campaign(1), old)
    served.clock.time_us = NOW + DAY
    lab.hand_in(prepared)
    served.clock.time_us = NOW + 2 * DAY
    assert lab.epoch() == old + 2
    for late in (lambda: lab.prepare(campaign(1), old), lambda: lab.hand_in(prepared), lambda: lab.read(prepared.sent)):
        with pytest.raises(StateError) as refused:
            late()
        assert refused.value.code == "epoch_not_served"
    kept = sorted(path.name for path in served.key_servers[0]._folder.glob("*.key"))
    assert kept == [f"{old + 1}.key", f"{old + 2}.key"]


def test_the_same_items_of_two_epochs_have_nothing_in_common(serving: Serving) -> None:
    served = serving()
    first = send(served.lab(1), campaign(1)).sent
    served.clock.time_us = NOW + DAY
    second = send(served.lab(1), campaign(1)).sent
    assert not set(first.holders) & set(second.holders)
    assert not set(first.customers) & set(second.customers)


def test_a_key_server_that_parts_the_labs_is_seen(serving: Serving, tmp_path: Path) -> None:
    served = serving()
    send(served.lab(1), campaign(1))
    two = served.lab(2)
    prepared = two.prepare(campaign(2), two.epoch())
    two.hand_in(Prepared(prepared.sent, "0" * 64, prepared.rows))
    assert two.read(prepared.sent)[0].keys_agree is False


def test_a_key_server_with_one_key_for_two_epochs_is_not_used(serving: Serving) -> None:
    served = serving()
    folder = served.key_servers[0]._folder
    now, before = served.group.kept(NOW)
    (folder / f"{now}.key").write_bytes(b"k" * 32)
    (folder / f"{before}.key").write_bytes(b"k" * 32)
    for path in folder.glob("*.key"):
        path.chmod(0o600)
    with pytest.raises(ProofError, match="one key for two epochs"):
        served.lab(1).epoch()


def test_a_hub_that_lies_names_nobody_whose_own_items_do_not_bear_it_out(serving: Serving) -> None:
    served = serving()
    labs = {n: served.lab(n) for n in (1, 2, 3)}
    sent = {n: send(lab, campaign(n)).sent for n, lab in labs.items()}
    told, found = labs[1].read(sent[1])
    assert found[0].customers == ["c1-0", "c1-1"]
    (honest,) = (handle for handle, customer in sent[1].customers.items() if customer == "honest-1")
    for lie in ({"handles": [honest]}, {"handles": [honest], "tags": told.clusters[0].tags * 3}, {"tags": []}):
        said = msgspec.structs.replace(told.clusters[0], **lie)
        served.hub.told = lambda *_, said=said: msgspec.structs.replace(told, clusters=[said])  # type: ignore[method-assign]
        assert [one.customers for one in labs[1].read(sent[1])[1]] == [[]]
    escape = msgspec.structs.replace(told.clusters[0], cluster_id="joint-\x9b31m")
    served.hub.told = lambda *_: msgspec.structs.replace(told, clusters=[escape])  # type: ignore[method-assign]
    with pytest.raises(TiergateError, match="no hub"):
        labs[1].read(sent[1])


def test_an_answer_that_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "MOST_S", 0.5)
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1000000\r\n\r\n")
                while not ended.wait(0.05):
                    connection.sendall(b" ")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with (
                peer.Hub(f"http://127.0.0.1:{listener.getsockname()[1]}", "tgj_x") as hub,
                pytest.raises(TiergateError, match="did not answer within"),
            ):
                hub.opened(1)
        finally:
            ended.set()
            thread.join()


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        (b"", "unfit_value"),
        (bytes(ROW_BYTES + 1), "unfit_value"),
        (bytes(2 * ROW_BYTES), "unfit_value"),
        (bytes(8193 * ROW_BYTES), "too_large"),
    ],
)
def test_what_are_no_rows_is_refused(serving: Serving, rows: bytes, code: str) -> None:
    lab = serving().lab(1)
    with pytest.raises(StateError) as refused:
        lab.hub.hand_in(lab.epoch(), "0" * 64, rows)
    assert refused.value.code == code


@pytest.mark.parametrize("epoch", ["x", "-1", "1.0", "9" * 30, "%00", "\u0661"])
def test_what_is_no_epoch_is_refused(serving: Serving, epoch: str) -> None:
    served = serving()
    for party, method, what in (
        (served.lab(1).key_servers[0], "POST", "evaluate"),
        (served.lab(1).hub, "GET", "opened"),
    ):
        with pytest.raises(StateError) as refused:
            party.ask(method, f"/v1/epochs/{quote(epoch, safe='%')}/{what}")
        assert refused.value.code == "unfit_value"


def test_who_is_not_of_the_group_is_told_nothing(serving: Serving) -> None:
    served = serving()
    for ask in (("GET", "/v1/epochs"), ("POST", "/v1/epochs/1/evaluate"), ("POST", "/v1/epochs/1/rows")):
        for url in (served.key_urls[0], served.hub_url):
            with peer.Peer(url, "tgj_guess") as stranger, pytest.raises(TiergateError):
                stranger.ask(*ask)


def test_a_token_goes_over_https_alone() -> None:
    for url in ("http://hub.example.com", "ftp://127.0.0.1", "https://", "https://user@hub.example.com"):
        with pytest.raises(InputError):
            peer.Hub(url, "tgj_x")


def test_a_customer_is_nominated_once_and_with_few_items(serving: Serving) -> None:
    lab = serving().lab(1)
    one = Nomination("c", frozenset({Item(Kind.EMAIL, "e")}))
    many = Nomination("d", frozenset(Item(Kind.EMAIL, f"e{n}") for n in range(41)))
    for nominations in ([one, one], [many]):
        with pytest.raises(InputError):
            lab.prepare(nominations, lab.epoch())
