"""Two labs, each with its own control API on loopback: what a finding of one does at the other, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import msgspec
import pytest
from tests.api.conftest import Control, running
from tests.response.alerts.conftest import a_case
from tests.response.test_watch import record
from tests.sharing.test_taxii import FOUND, OURS, THEIRS

from tiergate.admission.appeals import Against, Outcome
from tiergate.api.shared_leads import lead_id
from tiergate.api.taxii_requests import ROOT
from tiergate.cli.options import now
from tiergate.cli.share_leads import settle
from tiergate.cli.share_peers import Sharing
from tiergate.clock import DAY, HOUR
from tiergate.errors import StateError
from tiergate.gateway.notices import notice
from tiergate.ledger.verdicts import Action, Verdict, VerdictStore
from tiergate.records.schema import Exchange
from tiergate.response.case_files import Cleared
from tiergate.response.contested import appeals_of
from tiergate.response.desk import CaseDesk
from tiergate.response.ladder import SharedSignals, load_policy
from tiergate.response.leads import Leads, Signal
from tiergate.sharing.corroboration import corroboration
from tiergate.sharing.exchange import Exchange as Exchanging
from tiergate.sharing.feedback import heard, said_by_peers
from tiergate.sharing.finding import Finding, Opinion, View, finding_id, keyed_token
from tiergate.sharing.marking import Tlp
from tiergate.sharing.stix import to_bytes

Run = Callable[..., CompletedProcess[str]]
KEY, EPOCH = b"e" * 32, "2026-11"
NAME = f"campaign--{FOUND.finding_id}"


class Lab:
    """A lab that runs."""

    def __init__(self, control: Control, data: Path, now_us: int) -> None:
        self.control, self.data, self.services = control, data, control.services
        control.clock.time_us = self.now_us = now_us
        found = self.services
        exchange = Exchanging(found.shared, found.peers, found.receiving, data)
        self.sharing = Sharing(found.peers, found.shared, found.receiving, exchange)

    def knows(self, other: Lab, name: str) -> None:
        """``name``: what the other is called."""
        _, token = other.services.peers.add(OURS.name if name == THEIRS.name else THEIRS.name, self.now_us)
        assert token is not None
        (self.data / "token").write_text(token)
        url = f"{other.control.address}{ROOT}"
        self.services.peers.add(name, self.now_us, url=url, token_file="token", private=True, lasts_us=0)

    def settles(self, after_us: int = 0, **sharing: Any) -> list[str]:
        given = SharedSignals(**{"lab": THEIRS.name, "verify": True, "labs": 1} | sharing)
        policy = msgspec.structs.replace(load_policy(), sharing=given)
        return settle(self.data, self.sharing, CaseDesk(self.services.engine, policy), self.now_us + after_us)

    def verified(self, after_us: int = 0) -> dict[str, str]:
        held = VerdictStore(self.services.engine).in_force(self.now_us + after_us)
        return {account: one.action.value for account, one in held.items()}


@pytest.fixture
def labs(tmp_path: Path) -> Iterator[tuple[Lab, Lab]]:
    now_us = now()
    with ExitStack() as stack:
        ours, theirs = (
            Lab(stack.enter_context(running(tmp_path / name)), tmp_path / name, now_us) for name in ("a", "b")
        )
        ours.knows(theirs, THEIRS.name)
        theirs.knows(ours, OURS.name)
        (theirs.data / "key").write_bytes(b"k" * 32)
        (theirs.data / "epochs").mkdir()
        (theirs.data / "epochs" / f"{EPOCH}.key").write_bytes(KEY)
        record(theirs.data, asked(now_us))
        yield ours, theirs


def asked(now_us: int) -> list[Exchange]:
    """Two accounts of the campaign, one customer in its network, one with its client, and others with a common one."""
    clients: dict[str, tuple[int, str]] = {
        "heir-1": (64500, "puller/1"),
        "heir-2": (64500, "puller/1"),
        "neighbour": (64500, "curl/8"),
        "user": (64510, "puller/1"),
        **{f"other-{number}": (64511 + number, "common/1") for number in range(30)},
    }
    return [
        Exchange(
            exchange_id=f"ex-{account}",
            started_at=now_us - DAY,
            account_id=account,
            operation="chat",
            request_model="m",
            status=200,
            prompt_text="hello",
            client_asn=asn,
            user_agent=agent,
        )
        for account, (asn, agent) in clients.items()
    ]


def told(lab: Lab, **more: Any) -> Finding:
    tokens = tuple(sorted(keyed_token(KEY, EPOCH, "user_agent", one) for one in ("puller/1", "common/1")))
    at_us = (lab.now_us - HOUR) // 1_000 * 1_000
    fields = {"networks": (64500, *range(64511, 64541)), "tokens": tokens, "created_us": at_us, "modified_us": at_us}
    finding = msgspec.structs.replace(FOUND, **(fields | more))
    lab.services.shared.tell(finding, lab.now_us)
    return finding


def under_case(lab: Lab, account_id: str) -> None:
    """An account that a case of the lab's own watches."""
    desk = lab.services.cases.desk
    with desk.changes.writing("ann", lab.now_us) as writing:
        writing.put("case_1", a_case(), "opened")
        watched = Verdict(
            verdict_id="v", account_id=account_id, case_id="case_1", action=Action.WATCH, reason="r", author="ann",
            decided_at=lab.now_us, expires_at=lab.now_us + HOUR,
        )  # fmt: skip
        desk.verdicts.put([watched], writing.connection)


def stands(lab: Lab, finding: Finding) -> int:
    return corroboration(finding, said_by_peers(lab.services.shared, lab.services.peers)).score


def test_a_finding_is_reviewed_acted_upon_answered_and_withdrawn(labs: tuple[Lab, Lab], run_tiergate: Run) -> None:
    ours, theirs = labs
    finding = told(ours)
    given = ("--data", "b", "--lab", THEIRS.name)
    assert run_tiergate("share", "pull", "--data", "b").returncode == 0
    assert "score 1, 0 agree, 0 disagree" in run_tiergate("share", "received", "--data", "b").stdout
    (row,) = json.loads(run_tiergate("share", "match", "--json", *given).stdout)["findings"]
    # What thirty customers have is common, and matches nobody.
    assert {one["account_id"]: one["touches"] for one in row["matches"] if one["by"] != ["client_asn"]} == {
        "heir-1": True, "heir-2": True, "user": False,
    }  # fmt: skip
    assert theirs.verified() == {}
    refused = run_tiergate("share", "match", "--apply", *given)
    assert (refused.returncode, "name the finding" in refused.stderr) == (2, True)
    # The watch does nothing by itself, unless its policy says so.
    assert run_tiergate("watch", "--once", "--data", "b").returncode == 0
    assert theirs.verified() == {}
    applied = run_tiergate("share", "match", NAME[:20], "--apply", "--author", "bea", *given)
    assert (applied.returncode, "2 verdicts" in applied.stderr) == (0, True), applied.stderr
    assert theirs.verified(HOUR) == {"heir-1": "verify", "heir-2": "verify"}

    cleared = run_tiergate("share", "clear", NAME, "heir-2", "--reason", "by invoice", "--data", "b")
    assert cleared.returncode == 0, cleared.stderr
    assert "0 verdicts" in run_tiergate("share", "match", NAME, "--apply", *given).stderr
    assert theirs.verified(HOUR) == {"heir-1": "verify"}
    ours.control.clock.time_us = now()
    for said in (("sighting", NAME, "--count", "2"), ("opinion", NAME, "agree", "--why", "same queue")):
        done = run_tiergate("share", *said, *given)
        assert (done.returncode, ", 0 refused" in done.stdout) == (0, True), done.stderr + done.stdout
    assert stands(ours, finding) == 2
    received = run_tiergate("share", "received", "--data", "a").stdout
    assert ("sighting" in received, "  agree" in received, "same queue" in received) == (True, True, False)

    ours.services.shared.withdraw(finding.finding_id, now())
    assert run_tiergate("share", "push", "--data", "a").returncode == 0
    assert run_tiergate("watch", "--once", "--data", "b").returncode == 0
    assert theirs.verified(HOUR) == {}
    history = run_tiergate("share", "history", NAME, "--data", "b").stdout
    assert [one in history for one in ("bea  raise", "by invoice", "same queue", "its maker withdrew it")] == [True] * 4
    gone = run_tiergate("share", "match", NAME, "--apply", *given)
    assert (gone.returncode, "withdrew" in gone.stderr) == (2, True)


def test_the_policy_permits_verify_and_an_appeal_that_succeeds_is_told_back(labs: tuple[Lab, Lab]) -> None:
    ours, theirs = labs
    finding = told(ours)
    ours.sharing.exchange.push(ours.services.peers.every()[0])
    for less in ({"verify": False}, {"labs": 2}, {"most_accounts": 1}):
        assert (theirs.settles(**less), theirs.verified()) == ([], {})
    under_case(theirs, "heir-1")
    assert len(theirs.settles()) == 1
    assert theirs.verified() == {"heir-1": "verify", "heir-2": "verify"}
    noted = theirs.services.cases.history("case_1")[-1].reason
    assert (noted.startswith("a finding of another lab touches 1 of its"), OURS.name in noted) == (True, False)
    # Nothing new changes nothing; it ends by itself where no look renews it, and is renewed where one does.
    assert theirs.settles(HOUR) == []
    assert theirs.verified(4 * DAY) == {}
    assert len(theirs.settles(2 * DAY)) == 1
    assert set(theirs.verified(4 * DAY)) == {"heir-1", "heir-2"}

    verdict = VerdictStore(theirs.services.engine).in_force(theirs.now_us)["heir-1"]
    page = json.loads(notice(verdict, "us@lab-b.example", as_html=False)[0])
    # Nor is it called so that one who has accounts at several labs can tell that they speak of the same.
    assert len({verdict.case_id, lead_id(ours.data, finding.finding_id), lead_id(theirs.data, "x")}) == 3
    assert page["rests_on"] == "shared_finding: what another lab reported"
    assert all(one not in str(page) for one in (OURS.name, finding.finding_id, "heir-2"))
    appeals = appeals_of(theirs.services.engine, theirs.data)
    appeal = appeals.file(
        Against.VERDICT, verdict.verdict_id, filed_by="cust", grounds="ours alone", now_us=theirs.now_us + 2 * DAY
    )
    with pytest.raises(StateError, match="somebody else"):
        appeals.decide(
            appeal.appeal_id, reviewer="Heir-1", outcome=Outcome.OVERTURNED, reason="I", now_us=theirs.now_us
        )
    appeals.decide(
        appeal.appeal_id, reviewer="rita", outcome=Outcome.OVERTURNED, reason="seen", now_us=theirs.now_us + 2 * DAY
    )
    assert theirs.verified(2 * DAY) == {"heir-2": "verify"}
    ours.control.clock.time_us += 2 * DAY
    said = theirs.settles(2 * DAY)
    assert [("we disagree" in one) for one in said] == [True, True]
    assert theirs.verified(2 * DAY) == {}
    assert stands(ours, finding) == 0
    # Said once, and nothing comes back.
    assert (theirs.settles(2 * DAY + HOUR), theirs.verified(2 * DAY + HOUR)) == ([], {})
    history = Leads(theirs.services.cases.desk).history(lead_id(theirs.data, finding.finding_id))
    assert [one.action for one in history] == ["raise", "raise", "appeal", "note", "lift"]


def test_who_was_cleared_is_not_asked_again_by_the_same_under_a_new_id(labs: tuple[Lab, Lab]) -> None:
    ours, theirs = labs
    first = told(ours)
    ours.sharing.exchange.push(ours.services.peers.every()[0])
    theirs.settles()
    leads = Leads(theirs.services.cases.desk)
    cleared = lead_id(theirs.data, first.finding_id)
    leads.clear(cleared, "heir-1", author="bea", now_us=theirs.now_us, reason="by invoice")
    told(ours, finding_id=finding_id(OURS, "case 2"))
    ours.sharing.exchange.push(ours.services.peers.every()[0])
    theirs.settles()
    assert theirs.verified() == {"heir-2": "verify"}
    other = Signal(
        lead_id="shared_2", source="of lab-c.example", maker="lab-c.example", named=None, accounts={"heir-1": "x"}
    )
    assert leads.raised(other, author="bea", now_us=theirs.now_us) == 1


def test_a_lab_is_named_where_anybody_may_know_and_a_peer_that_left_moves_nothing(labs: tuple[Lab, Lab]) -> None:
    ours, theirs = labs
    told(ours, tlp=Tlp.CLEAR)
    ours.sharing.exchange.push(ours.services.peers.every()[0])
    theirs.settles()
    (reason,) = {one.reason for one in VerdictStore(theirs.services.engine).in_force(theirs.now_us).values()}
    assert OURS.name in reason
    # What is old is not renewed.
    assert (theirs.settles(31 * DAY), theirs.verified(31 * DAY)) == ([], {})
    theirs.services.peers.end(OURS.name, theirs.now_us)
    assert len(theirs.settles(HOUR, verify=False)) == 1
    assert theirs.verified(HOUR) == {}


def test_a_lab_that_was_ended_and_added_anew_is_one_lab(labs: tuple[Lab, Lab]) -> None:
    ours, theirs = labs
    finding = told(ours)
    ours.sharing.exchange.push(ours.services.peers.every()[0])
    theirs.settles()
    theirs.services.peers.end(OURS.name, theirs.now_us)
    assert (len(theirs.settles()), theirs.verified()) == (1, {})
    theirs.knows(ours, OURS.name)
    assert len(theirs.settles()) == 1
    for _ in range(2):
        assert set(theirs.verified()) == {"heir-1", "heir-2"}
        assert theirs.settles() == []
    (one,) = heard(theirs.services.shared, theirs.services.peers)
    assert (one.finding, one.gone()) == (finding, None)


def test_agreement_is_with_what_was_told_then(labs: tuple[Lab, Lab]) -> None:
    ours, theirs = labs
    third = theirs.services.peers.add("lab-c.example", theirs.now_us)[0]
    agreed = told(ours, networks=(64999,))
    opinion = Opinion(
        opinion_id=agreed.finding_id, about=agreed.finding_id, content=agreed.content, lab=third.lab,
        created_us=agreed.created_us, modified_us=agreed.modified_us, view=View.AGREE,
    )  # fmt: skip
    ours.sharing.exchange.push(ours.services.peers.every()[0])
    assert theirs.services.receiving.receive(to_bytes([opinion]), third, theirs.now_us).faults == []
    (one,) = heard(theirs.services.shared, theirs.services.peers)
    assert (one.corroboration.score, theirs.settles(labs=2), theirs.verified()) == (2, [], {})
    # Now it names the network of others, by which nobody but its maker told of them.
    other = told(ours, modified_us=agreed.modified_us + 1_000)
    ours.sharing.exchange.push(ours.services.peers.every()[0])
    (one,) = heard(theirs.services.shared, theirs.services.peers)
    assert (one.finding, one.corroboration.score) == (other, 1)
    assert (theirs.settles(labs=2), theirs.verified()) == ([], {})


def test_disagreeing_and_what_was_cleared_in_a_case_here_take_it_back(labs: tuple[Lab, Lab], run_tiergate: Run) -> None:
    ours, theirs = labs
    finding = told(ours)
    ours.sharing.exchange.push(ours.services.peers.every()[0])
    theirs.settles()
    desk = theirs.services.cases.desk
    file = a_case()
    cleared = Cleared(account_id="heir-1", up_to=Action.VERIFY, until_us=None, by="ann", reason="known")
    with desk.changes.writing("ann", theirs.now_us) as writing:
        writing.put("case_1", file.with_cleared(cleared), "clear", "known")
    assert len(theirs.settles(HOUR)) == 1
    assert theirs.verified(HOUR) == {"heir-2": "verify"}
    assert theirs.settles(2 * HOUR) == []

    said = ("share", "opinion", NAME, "disagree", "--data", "b", "--author", "bea")
    assert run_tiergate(*said, "--why", "students", "--lab", OURS.name).returncode == 2
    ours.control.clock.time_us = now()
    assert run_tiergate(*said, "--why", "students", "--lab", THEIRS.name).returncode == 0
    assert (theirs.verified(HOUR), stands(ours, finding)) == ({}, 0)
    assert (theirs.settles(HOUR), theirs.verified(HOUR)) == ([], {})


def test_joint_clusters_touch_the_accounts_of_own_customers(
    labs: tuple[Lab, Lab], run_tiergate: Run, tmp_path: Path
) -> None:
    _, theirs = labs
    owners = {"heir-1": "org-1", "heir-2": "org-1", "user": None, "other-1": None}
    theirs.services.registry.add_accounts(
        [{"account_id": one, "organization_id": owner, "created_at": theirs.now_us} for one, owner in owners.items()]
    )
    cluster = {"cluster_id": "c0ffee", "labs": 3, "customers_of_all": 9, "causes": ["place", "tool"]}
    (tmp_path / "joint.json").write_text(
        json.dumps({"told": {}, "clusters": [cluster | {"customers": ["org-1", "user"]}]})
    )
    given = ("share", "match", "--joint", "joint.json", "--data", "b", "--lab", THEIRS.name)
    assert "3 accounts: heir-1, heir-2, user" in run_tiergate(*given).stdout
    assert theirs.verified() == {}
    assert "3 verdicts" in run_tiergate(*given, "--apply").stderr
    assert theirs.verified(HOUR) == dict.fromkeys(("heir-1", "heir-2", "user"), "verify")
    freed = run_tiergate("share", "clear", "joint_c0ffee", "user", "--reason", "known", "--data", "b")
    assert (freed.returncode, set(theirs.verified(HOUR))) == (0, {"heir-1", "heir-2"}), freed.stderr
    (tmp_path / "joint.json").write_text("{}")
    refused = run_tiergate(*given)
    assert (refused.returncode, "is not what" in refused.stderr) == (2, True)
