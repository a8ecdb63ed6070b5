"""Verdicts obeyed at the door: each action, its notice, its end."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import openai
import pytest
import sqlalchemy as sa

from tests.gateway.conftest import GIVE_UP_S, Customer, Deployed, now_us
from tiergate.admission.appeals import Outcome
from tiergate.clock import SECOND
from tiergate.database import open_database
from tiergate.ledger.verdicts import Action
from tiergate.response.contested import appeals_of


def page(link: str, accept: str = "application/json") -> tuple[str, str]:
    with urllib.request.urlopen(urllib.request.Request(link, headers={"Accept": accept})) as answer:
        return answer.headers["content-type"], answer.read().decode()


def answers_again(customer: Customer) -> None:
    """Ask until a refused customer is answered."""
    began = time.monotonic()
    while True:
        try:
            customer.ask()
            return
        except openai.PermissionDeniedError:
            assert time.monotonic() - began < GIVE_UP_S


def test_watch_passes(plain: Deployed) -> None:
    customer = plain.customer()
    plain.put("case-watch", Action.WATCH, customer)
    customer.ask()
    assert plain.rows(customer.account_id)[0]["status"] == 200


def test_verify_refuses_with_a_notice_that_names_nobody_else(plain: Deployed) -> None:
    customer, other = plain.customer(), plain.customer()
    verdict, _ = plain.put("case-verify", Action.VERIFY, customer, other)
    with pytest.raises(openai.PermissionDeniedError) as refused:
        customer.ask()
    body = refused.value.body
    assert isinstance(body, dict)
    assert body["code"] == "verification_required"
    assert body["tiergate"]["case_id"] == "case-verify"
    assert body["tiergate"]["link"] == f"{plain.address}/verdicts/{verdict.verdict_id}"
    kind, text = page(body["tiergate"]["link"])
    assert kind == "application/json"
    facts = json.loads(text)
    assert (facts["action"], facts["case"], facts["reason"]) == ("verify", "case-verify", verdict.reason)
    assert (facts["code"], facts["verdict"]) == ("verification_required", verdict.verdict_id)
    assert facts["what_is_charged"] == "The account as a whole; exchanges were not counted."
    kind, markup = page(body["tiergate"]["link"], "text/html,*/*")
    assert kind.startswith("text/html")
    assert "a &lt;b&gt;reason&lt;/b&gt;" in markup
    assert other.account_id not in text + markup + json.dumps(body)
    (row,) = plain.rows(customer.account_id)
    assert (row["status"], row["finish_reason"]) == (403, "verification_required")
    with pytest.raises(openai.PermissionDeniedError):
        customer.client.models.list()


def test_suspend_refuses_streams_too_and_others_go_on(plain: Deployed) -> None:
    customer, other = plain.customer(), plain.customer()
    plain.put("case-suspend", Action.SUSPEND, customer)
    for stream in (False, True):
        with pytest.raises(openai.PermissionDeniedError) as refused:
            customer.ask(stream=stream)
        assert refused.value.code == "account_suspended"
    other.ask()


def test_limit_is_one_budget_for_the_whole_case(plain: Deployed) -> None:
    members = [plain.customer() for _ in range(3)]
    plain.put("case-limit", Action.LIMIT, *members, requests_per_minute=120.0)
    began, passed = time.monotonic(), 0
    refused: list[tuple[str | None, int]] = []
    while time.monotonic() - began < 2.5:
        for member in members:
            try:
                member.ask()
                passed += 1
            except openai.RateLimitError as error:
                refused.append((error.code, int(error.response.headers["retry-after"])))
        time.sleep(0.02)
    # Two a second for the three together: an account's own budget each would pass 15.
    assert 3 <= passed <= 2 * (time.monotonic() - began) + 2
    assert len(refused) > passed
    assert set(refused) == {("case_limited", 1)}
    members[0].client.models.list()


def test_lifting_restores(plain: Deployed) -> None:
    customer = plain.customer()
    (verdict,) = plain.put("case-lift", Action.SUSPEND, customer)
    with pytest.raises(openai.PermissionDeniedError):
        customer.ask()
    plain.verdicts.lift("case-lift", "ann", now_us())
    answers_again(customer)
    with pytest.raises(urllib.error.HTTPError) as gone:
        page(f"{plain.address}/verdicts/{verdict.verdict_id}")
    gone.value.close()
    assert gone.value.code == 404


def test_a_verdict_expires_by_itself(plain: Deployed) -> None:
    customer = plain.customer()
    plain.put("case-expiry", Action.VERIFY, customer, expires_at=now_us() + 4 * SECOND)
    with pytest.raises(openai.PermissionDeniedError):
        customer.ask()
    answers_again(customer)


def test_a_guessed_notice_is_not_found(plain: Deployed) -> None:
    for guess in ("x", "../../control.sqlite", "%00", "a" * 5000):
        with pytest.raises(urllib.error.HTTPError) as missing:
            page(f"{plain.address}/verdicts/{guess}")
        missing.value.close()
        assert missing.value.code == 404


def test_a_row_that_cannot_be_read_stops_no_later_verdict(start: Callable[..., Deployed], upstream: str) -> None:
    gateway = start(upstream)
    customer, stranger = gateway.customer(), gateway.customer()
    gateway.put("case-odd", Action.WATCH, stranger)
    engine = open_database(gateway.data / "control.sqlite")
    with engine.begin() as connection:
        connection.execute(sa.text("update verdicts set action = 'banish'"))
    gateway.registry.close_account(stranger.account_id, now_us())
    time.sleep(1.2)
    customer.ask()
    with engine.begin() as connection:
        connection.execute(sa.text("update verdicts set action = 'watch'"))
    engine.dispose()
    gateway.put("case-after", Action.SUSPEND, customer)
    with pytest.raises(openai.PermissionDeniedError):
        customer.ask()


def test_a_closed_account_uses_up_no_budget(plain: Deployed) -> None:
    closed, member = plain.customer(), plain.customer()
    plain.registry.close_account(closed.account_id, now_us())
    plain.put("case-closed", Action.LIMIT, closed, member, requests_per_minute=60.0)
    with pytest.raises(openai.RateLimitError):
        member.ask()
    until = time.monotonic() + 1.2
    while time.monotonic() < until:
        with pytest.raises(openai.PermissionDeniedError):
            closed.ask()
    member.ask()


def appeal(deployed: Deployed, key: str, body: object = None) -> tuple[int, dict[str, Any]]:
    """POST to the appeals of a gateway; GET where there is no body."""
    asked = urllib.request.Request(f"{deployed.address}/v1/tiergate/appeals", headers={"x-api-key": key})
    asked.data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(asked, timeout=GIVE_UP_S) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_customer_appeals_with_the_key_that_is_suspended(plain: Deployed) -> None:
    customer, other = plain.customer(), plain.customer()
    verdict, others = plain.put("case-appealed", Action.SUSPEND, customer, other)
    _, text = page(f"{plain.address}/verdicts/{verdict.verdict_id}")
    assert "/v1/tiergate/appeals here with your API key" in json.loads(text)["how_to_appeal"]
    good = {"verdict": verdict.verdict_id, "grounds": "we are one class"}
    # Of another account's verdict nobody learns whether there is one.
    assert [appeal(plain, customer.key, good | {"verdict": one})[0] for one in (others.verdict_id, "guess")] == [
        404,
        404,
    ]
    for wrong in ([], good | {"account": "a"}, good | {"grounds": " "}, good | {"grounds": "g" * 10_001}, {}):
        assert appeal(plain, customer.key, wrong)[0] == 400
    assert appeal(plain, customer.key, good | {"grounds": "g" * 70_000})[0] == 413
    assert appeal(plain, "tg_unknown", good)[0] == 401
    status, filed = appeal(plain, customer.key, good)
    assert (status, filed["verdict"], filed["outcome"]) == (201, verdict.verdict_id, None)
    assert set(filed) == {"appeal", "verdict", "filed", "due", "outcome", "notice"}
    status, again = appeal(plain, customer.key, good)
    assert (status, again["error"]["code"]) == (409, "appeal_open")
    assert appeal(plain, other.key) == (200, {"appeals": []})
    engine = open_database(plain.data / "control.sqlite")
    appeals = appeals_of(engine, plain.data)
    for reviewer in ("rita", "rob"):
        appeals.decide(
            filed["appeal"], reviewer=reviewer, outcome=Outcome.OVERTURNED, reason="so it is", now_us=now_us()
        )
    engine.dispose()
    answers_again(customer)
    (told,) = appeal(plain, customer.key)[1]["appeals"]
    assert told["outcome"] == "overturned"
    assert "rita" not in str(told)
    # Whoever goes on asking waits, and nobody else does.
    statuses = [appeal(plain, customer.key)[0] for _ in range(20)]
    assert (statuses[0], statuses[-1]) == (200, 429)
    assert appeal(plain, other.key)[0] == 200
