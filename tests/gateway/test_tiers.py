"""Tiers at the door: what is refused and how it is told, what passes, and what happens when nothing is heard."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest
from benchmarks.gateway_crash import gateway
from benchmarks.june_world import build

from tests.admission.at_random import right
from tests.gateway.conftest import GIVE_UP_S, Customer, Deployed, deployed
from tiergate.admission.activations import ActivationStore, day_of
from tiergate.admission.binding import unknown_names
from tiergate.admission.epochs import EpochFeed
from tiergate.admission.known_facts import ModelFact
from tiergate.admission.models import FILE, Models, fingerprint, read_models
from tiergate.admission.rule_packs import load_packs
from tiergate.admission.standings import Standings
from tiergate.clock import SystemClock
from tiergate.database import open_database
from tiergate.errors import InputError
from tiergate.gateway.dialects.bodies import with_one_model
from tiergate.gateway.dialects.common import Asked
from tiergate.gateway.dialects.openai_chat import FIELDS
from tiergate.gateway.snapshot import Snapshot, bare_standings, load
from tiergate.gateway.tiers import TierGate, status_of
from tiergate.ledger.verdicts import VerdictStore
from tiergate.parties.registry import Credential, Registry

MODELS = """
[models."model-classified"]
tier = "classified"
programme = "prog_a"
organisation_packs = ["pack_half"]
person_packs = []
retention_needed = "sketches"

[models."model-kept"]
tier = "commodity"
retention_needed = "text"

[models."model-open"]
tier = "open"

[models."model-small"]
tier = "commodity"
"""


@pytest.fixture(scope="module")
def tiered(upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("tiered")
    (folder / "data").mkdir()
    (folder / "data" / FILE).write_text(MODELS)
    with deployed(folder, upstream) as started:
        yield started


def refusal(customer: Customer, model: str, **more: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
    with pytest.raises(openai.APIStatusError) as refused:
        customer.client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hm"}], **more)
    body = refused.value.body
    assert isinstance(body, dict)
    return refused.value.status_code, body, dict(refused.value.response.headers)


def test_a_key_alone_does_not_open_the_classified_tier(tiered: Deployed) -> None:
    customer = tiered.customer()
    status, body, headers = refusal(customer, "model-classified", extra_headers={"x-tiergate-purpose": "defence"})
    assert (status, body["type"], body["code"]) == (403, "access_denied", "credential_not_bound")
    told = body["tiergate"]
    assert told["outcome"] == "deny"
    assert [reason["code"] for reason in told["reasons"]] == [
        "credential_not_bound", "organisation_not_known", "caller_not_known", "membership_not_active",
        "purpose_not_allowed", "project_missing", "retention_not_known",
    ]  # fmt: skip
    assert told["reasons"][3]["about"] == ["prog_a"]
    assert told["reasons"][1]["missing"]
    # Offered in the file's order, past the one that this organisation may not use, and not taken.
    assert headers["x-tiergate-fallback"] == told["fallback"] == "model-small"
    (row,) = tiered.rows(customer.account_id)
    assert (row["status"], row["finish_reason"]) == (403, "credential_not_bound")
    for accept, kind in (("application/json", "application/json"), ("text/html", "text/html; charset=utf-8")):
        asked = urllib.request.Request(told["reasons"][1]["link"], headers={"Accept": accept})
        with urllib.request.urlopen(asked) as page:
            assert page.headers["content-type"] == kind
            assert told["reasons"][1]["text"] in page.read().decode()


def test_a_gateway_says_as_it_starts_what_is_in_force_and_what_is_not_there(tiered: Deployed) -> None:
    said = tiered.output.read_text()
    assert "tiers in force, by number of models: 1 classified, 2 commodity, 1 open; no other model is served\n" in said
    assert "models.toml: `model-classified` names the programme `prog_a`, which does not exist\n" in said
    assert "models.toml: `model-classified` names the ownership pack `pack_half`, which does not exist\n" in said
    assert said.count("does not exist") == 2


def test_names_that_are_there_are_no_fault_and_kinds_are_told_apart() -> None:
    def said(*packs: str) -> list[str]:
        model = ModelFact(
            model="m",
            tier="classified",
            programme="consortium",
            organisation_packs=packs,
            person_packs=("ear_person@1",),
        )
        return unknown_names(Models({"m": model}), load_packs(), {"consortium"})

    assert said("ofac_50") == []
    wrong = ("ear_person", "ofac_50@9")
    assert said(*wrong) == [f"`m` names the ownership pack `{name}`, which does not exist" for name in wrong]


def test_streams_are_refused_alike(tiered: Deployed) -> None:
    assert refusal(tiered.customer(), "model-classified", stream=True)[0] == 403


def test_lower_tiers_pass_and_missing_facts_are_reviewed(tiered: Deployed) -> None:
    customer = tiered.customer()
    customer.ask()
    status, body, headers = refusal(customer, "model-kept")
    assert (status, body["code"], body["tiergate"]["outcome"]) == (403, "retention_not_known", "review")
    assert headers["x-tiergate-fallback"] == "model-open"


@pytest.mark.parametrize("name", ["Model-classified", "model-classified ", "model-classified-2026", "gpt"])
def test_another_name_is_refused(tiered: Deployed, name: str) -> None:
    status, body, headers = refusal(tiered.customer(), name)
    assert (status, body["code"]) == (404, "model_not_listed")
    assert "x-tiergate-fallback" not in headers


def test_no_gate_has_no_page(tiered: Deployed) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{tiered.address}/decisions/no_such_gate")


def test_fields_that_ask_further_models_are_refused(tiered: Deployed) -> None:
    for more in ({"models": ["model-classified"]}, {"tools": [{"type": "adviser", "model": "model-classified"}]}):
        status, body, _ = refusal(tiered.customer(), "model-small", extra_body=more)
        assert (status, body["code"]) == (400, "invalid_request")


def test_only_models_that_the_caller_may_use_are_listed(tiered: Deployed) -> None:
    customer = tiered.customer()
    assert [model.id for model in customer.client.models.list()] == ["model-small"]
    assert customer.client.models.retrieve("model-small").id == "model-small"
    for name in ("model-large", "model-classified", "model-kept"):
        with pytest.raises(openai.NotFoundError, match="listed for you"):
            customer.client.models.retrieve(name)


def test_a_deployment_without_the_file_tells_no_tiers_apart(plain: Deployed) -> None:
    customer = plain.customer()
    customer.client.chat.completions.create(model="model-classified", messages=[{"role": "user", "content": "hm"}])


def test_a_revoked_key_is_soon_refused(tiered: Deployed) -> None:
    customer = tiered.customer()
    customer.ask()
    (mine,) = [c for c in tiered.registry.credentials().values() if c.account_id == customer.account_id]
    tiered.registry.revoke_key(mine.credential_id, 1)
    revoked = time.monotonic()
    refused = False
    while not refused:
        assert time.monotonic() - revoked < GIVE_UP_S
        try:
            customer.ask()
        except openai.AuthenticationError:
            refused = True


def test_silence_closes_the_classified_tier_alone(
    start: Callable[..., Deployed], upstream: str, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / FILE).write_text(MODELS)
    started = start(upstream)
    customer = started.customer()

    def codes() -> list[str]:
        return [reason["code"] for reason in refusal(customer, "model-classified")[1]["tiergate"]["reasons"]]

    assert "state_not_current" not in codes()
    (data / FILE).write_text("models = 1")
    broken = time.monotonic()
    # One bad reading closes nothing yet: the last good one is still young.
    assert "state_not_current" not in codes()
    while "state_not_current" not in codes():
        assert time.monotonic() - broken < GIVE_UP_S
        time.sleep(0.1)
    customer.ask()
    # A file that tells no tiers apart does not open them either.
    (data / FILE).write_text('[models."model-small"]\ntier = "commodity"\n')
    time.sleep(0.5)
    assert "state_not_current" in codes()
    (data / FILE).write_text(MODELS)
    mended = time.monotonic()
    while "state_not_current" in codes():
        assert time.monotonic() - mended < GIVE_UP_S
        time.sleep(0.1)
    assert started.output.read_text().count("changes cannot be read") == 2


def test_a_gateway_does_not_start_on_a_wrong_file(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("models = 1")
    command = [sys.executable, *gateway(tmp_path, "http://127.0.0.1:9")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "does not say which models there are" in " ".join(done.stderr.split())
    assert "Unclosed" not in done.stderr


CREDENTIAL = Credential(
    credential_id="key_1", account_id="a", organization_id="org_1", account_status="active", label="", issued_at=0,
    revoked_at=None,
)  # fmt: skip


def test_who_has_all_facts_gets_through_and_credit_is_asked_each_time() -> None:
    standing, model, request = right()
    credit: list[bool | None] = [True, False, None, True]
    feed = EpochFeed(lambda: (1,), lambda: 0.0)
    feed.in_force(feed.ask())
    tiers = TierGate(feed)
    snapshot = Snapshot(b"", (1,), {}, {}, {}, Models({model.model: model}), {standing.credential_id: standing})
    headers = {b"x-tiergate-project": b"project_1", b"x-tiergate-purpose": b"defence", b"x-tiergate-asset": b"asset_1"}
    outcomes = []
    for has in credit:
        decision = tiers.decide(snapshot, CREDENTIAL, model.model, headers, "allowed", request.now_us, credit=has)
        assert decision is not None
        outcomes.append(decision.outcome.value)
    assert outcomes == ["allow", "deny", "review", "allow"]


def test_a_gateway_that_heard_nothing_is_unavailable_for_the_classified_tier() -> None:
    standing, model, request = right()
    tiers = TierGate(EpochFeed(lambda: (1,), lambda: 0.0))
    snapshot = Snapshot(b"", (1,), {}, {}, {}, Models({model.model: model}), {standing.credential_id: standing})
    headers = {b"x-tiergate-project": b"project_1", b"x-tiergate-purpose": b"defence", b"x-tiergate-asset": b"asset_1"}
    decision = tiers.decide(snapshot, CREDENTIAL, model.model, headers, "allowed", request.now_us, credit=True)
    assert decision is not None
    assert status_of(decision) == 503
    # A credential without a standing is one of which nothing is known.
    bare = msgspec.structs.replace(CREDENTIAL, credential_id="key_2")
    decision = tiers.decide(snapshot, bare, model.model, headers, "allowed", request.now_us)
    assert decision is not None
    assert decision.reasons[0].code == "credential_not_live"


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","messages":[],"model":"b"}',
        b'{"Model":"a","model":"b","messages":[]}',
        b'{"model":"b","MODEL":"a","mod\\u0065L":"c","messages":[]}',
    ],
)
def test_the_model_that_was_judged_is_the_only_one_in_the_body(body: bytes) -> None:
    pairs = json.loads(with_one_model(body, Asked(model="b"), FIELDS), object_pairs_hook=list)
    assert pairs == [("model", "b"), ("messages", [])]


@pytest.mark.parametrize("field", ["models", "Fallbacks", "context_window_fallbacks", "extra_body", "Max_Tokens", "N"])
def test_what_asks_another_model_or_is_read_under_another_spelling_is_refused(field: str) -> None:
    with pytest.raises(InputError, match=f"`{field}`"):
        with_one_model(json.dumps({"model": "a", "messages": [], field: 9}).encode(), Asked(model="a"), FIELDS)


def test_all_else_in_a_body_stays_as_it_came() -> None:
    rest = b'"messages":[{"role":"user","content":"\\u00fc \\"model\\": 1.50"}],"seed":12345678901234567890'
    assert with_one_model(b'{"model": "m", ' + rest + b"}", Asked(model="m"), FIELDS) == b'{"model":"m",' + rest + b"}"


def test_models_are_read(tmp_path: Path) -> None:
    path = tmp_path / FILE
    assert fingerprint(path) is None
    assert not read_models(path).tiers_in_force
    path.write_text(MODELS)
    models = read_models(path)
    assert models.tiers_in_force
    assert models.by_name["model-classified"].organisation_packs == ("pack_half",)
    assert [offer.model for offer in models.offers] == ["model-kept", "model-small", "model-open"]
    path.write_text('[models.m]\ntier = "commodity"\n')
    assert not read_models(path).tiers_in_force


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models = 1", "Expected `object`"),
        ("[models", "models.toml"),
        ('[models.m]\ntier = "secret"', "secret"),
        ("[models.m]", "tier"),
        ('[models.m]\ntier = "open"\nprogram = "p"', "`program`"),
        ('[models.m]\ntier = "open"\nmodel = "n"', "`model`"),
        ('[models.m]\ntier = "classified"\nprogramme = "p"\nperson_packs = []', "`organisation_packs`"),
        ('[models.m]\ntier = "classified"\norganisation_packs = []\nperson_packs = []', "`programme`"),
        ('[models."ü"]\ntier = "open"', "ASCII"),
        ('[model.m]\ntier = "open"', "model"),
    ],
)
def test_a_wrong_file_is_refused_and_says_where(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(InputError, match=said):
        read_models(tmp_path / FILE)


def test_an_active_pack_binds_a_listed_model_where_the_file_itself_asks_nothing(tmp_path: Path) -> None:
    world = build(tmp_path, {"commodity": 1})
    (tmp_path / FILE).write_text('[models."fable-5"]\ntier = "commodity"\n[models.small]\ntier = "commodity"\n')
    store, facts = VerdictStore(world.engine), Standings(world.engine, tmp_path, tmp_path / "packs")

    def loaded(current: Snapshot | None) -> Snapshot:
        return load(world.registry, store, SystemClock().now_us(), current, tmp_path, facts)

    first = loaded(None)
    assert not first.models.tiers_in_force
    world.activate()
    second = loaded(first)
    assert second.models.asking == {"fable-5"}
    assert len(second.standings) == 1
    # Without the row that it binds the model would be open under its name again.
    (tmp_path / FILE).write_text('[models.small]\ntier = "commodity"\n')
    third = loaded(second)
    assert (third.models.asking, third.complaint is None) == ({"fable-5"}, False)
    (tmp_path / FILE).write_text('[models."fable-5"]\ntier = "open"\n')
    fourth = loaded(third)
    assert (fourth.models.asking, fourth.complaint) == ({"fable-5"}, None)
    now_us = SystemClock().now_us()
    ActivationStore(world.engine).record(
        world.pack, "deactivate", day=day_of(now_us), names=("A", "B"), reason="lifted", now_us=now_us
    )
    fifth = loaded(fourth)
    assert (fifth.models.tiers_in_force, fifth.complaint) == (False, None)
    world.engine.dispose()


def test_a_snapshot_knows_models_and_never_forgets_that_there_are_tiers(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "control.sqlite")
    registry, store = Registry(engine, b"p" * 32), VerdictStore(engine)
    registry.add_account({"account_id": "a", "created_at": 0, "organization_id": "org_1"})
    registry.issue_key("a", "x", 0)
    first = load(registry, store, 0, None, tmp_path)
    assert (first.models.by_name, first.standings) == ({}, {})
    (tmp_path / FILE).write_text(MODELS)
    second = load(registry, store, SystemClock().now_us(), first, tmp_path)
    assert second.models.tiers_in_force
    assert list(second.standings.values()) == list(bare_standings(registry.credentials().values()).values())
    assert next(iter(second.standings.values())).organisation_id == "org_1"
    assert load(registry, store, 0, second, tmp_path) is second
    assert second.epochs.keys() == second.standings.keys()
    # Another's key: what was decided about the first one still holds.
    registry.issue_key("a", "y", 0)
    third = load(registry, store, 0, second, tmp_path)
    (old,) = second.standings
    (new,) = third.standings.keys() - {old}
    assert third.standings[old] is second.standings[old]
    assert third.models is second.models
    assert third.epochs == {old: second.epochs[old], new: third.number}
    # A file that is gone opens nothing, and does not keep a revocation from being obeyed.
    (tmp_path / FILE).unlink()
    registry.revoke_key(old, 1)
    fourth = load(registry, store, 0, third, tmp_path)
    assert fourth.models is second.models
    assert fourth.complaint is not None
    assert "restart" in fourth.complaint
    assert not fourth.standings[old].credential_live
    assert fourth.epochs == {old: fourth.number, new: third.number}
    (tmp_path / FILE).write_text(MODELS + '\n[models.other]\ntier = "open"\n')
    fifth = load(registry, store, 0, fourth, tmp_path)
    assert fifth.complaint is None
    assert set(fifth.epochs.values()) == {fifth.number}
    (tmp_path / FILE).write_text("models = 1")
    assert "models.toml" in str(load(registry, store, 0, fifth, tmp_path).complaint)
    with pytest.raises(InputError):
        load(registry, store, 0, None, tmp_path)
    engine.dispose()
