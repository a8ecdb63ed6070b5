"""Whatever people and looks do to cases, in any order: verdicts say what files say, and every row can be explained."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import msgspec
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.response.conftest import NOW, write_answer
from tiergate.admission.appeals import Against, Appeal, Appeals
from tiergate.admission.appeals import Outcome as Judgement
from tiergate.admission.changes import named
from tiergate.clock import DAY
from tiergate.database import open_database
from tiergate.errors import StateError
from tiergate.ledger.verdicts import Action
from tiergate.response.by_hand import LEAST_MEMBERSHIP
from tiergate.response.case_files import CaseFile, Outcome, Status
from tiergate.response.contested import ContestedVerdicts
from tiergate.response.desk import AUTHOR, BUDGETED, CaseDesk, lapsed
from tiergate.response.holdings import owner_of
from tiergate.response.ladder import load_policy
from tiergate.response.looks import digest_of, kept
from tiergate.response.merging import merge, split
from tiergate.response.worklist import Worklist

PEOPLE = ("ann", "Bob", "cyd", "a1")
ACCOUNTS = [f"a{number}" for number in range(7)]

some = st.integers(0, 7)
people = st.sampled_from(PEOPLE)
actions = st.sampled_from(tuple(Action))
memberships = st.sampled_from([0.2, 0.6, 0.9])
looks = st.dictionaries(
    st.sampled_from(["case_1", "case_2", "case_3"]),
    st.fixed_dictionaries(
        {
            "members": st.dictionaries(st.sampled_from(ACCOUNTS), memberships, min_size=1),
            "confidence": st.sampled_from([0.6, 0.96, 0.999]),
            "recommended_action": st.sampled_from(["watch", "verify", "limit", "suspend"]),
        }
    ),
    max_size=3,
)


class Cases(RuleBasedStateMachine):
    """A deployment of three lineages, and four people who do as they like; one of them is an account of it."""

    @initialize(look=looks)
    def begin(self, look: dict[str, Any]) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.data = Path(self.folder.name)
        self.engine = open_database(self.data / "control.sqlite")
        self.desk = CaseDesk(self.engine, load_policy())
        self.worklist = Worklist(self.desk, self.data)
        self.appeals = Appeals(self.engine, ContestedVerdicts(self.worklist))
        self.now_us, self.looks, self.first_us = NOW, 0, {}
        self.take(look, 1)

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.engine.dispose()
            self.folder.cleanup()

    @rule(look=looks, hours=st.sampled_from([1, 30, 200]))
    def take(self, look: dict[str, Any], hours: int) -> None:
        self.now_us += hours * DAY // 24
        self.looks += 1
        folder = write_answer(self.data / f"look-{self.looks}", self.looks, self.now_us, look)
        place = kept(self.data, digest_of(folder))
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            folder.rename(place)
        self.desk.take(place, self.now_us)

    @rule(
        what=st.sampled_from(["assign", "propose", "approve", "reject", "step", "renew", "close", "reopen", "note"]),
        at=some, who=people, action=actions, outcome=st.sampled_from(tuple(Outcome)),
    )  # fmt: skip
    def work(self, what: str, at: int, who: str, action: Action, outcome: Outcome) -> None:
        given: dict[str, tuple[Any, ...]] = {
            "assign": (who,), "propose": (action,), "approve": (action,), "reject": (action,), "step": (action,),
            "close": (outcome,), "note": ("seen",),
        }  # fmt: skip
        reason = {} if what == "note" else {"reason": "r"}
        self.attempt(at, getattr(self.worklist, what), *given.get(what, ()), author=who, **reason)

    @rule(at=some, one=people, other=people)
    def suspend(self, at: int, one: str, other: str) -> None:
        self.attempt(at, self.worklist.propose, Action.SUSPEND, author=one, reason="r")
        self.attempt(at, self.worklist.approve, Action.SUSPEND, author=other)

    @rule(
        at=some, who=people, account=st.sampled_from(ACCOUNTS), days=st.none() | st.integers(1, 9), back=st.booleans(),
        up_to=st.sampled_from(tuple(Action)[1:]),
    )  # fmt: skip
    def clear(self, at: int, who: str, account: str, days: int | None, back: bool, up_to: Action) -> None:
        until: dict[str, Any] = (
            {} if back else {"up_to": up_to, "until_us": None if days is None else self.now_us + days * DAY}
        )
        what = self.worklist.unclear if back else self.worklist.clear
        self.attempt(at, what, account, author=who, reason="r", **until)

    @rule(at=some, into=some, who=people)
    def merge(self, at: int, into: int, who: str) -> None:
        files = self.worklist.every()
        if files:
            other = files[into % len(files)].case_id
            self.attempt(
                at, lambda case_id, **said: merge(self.worklist, case_id, other, **said), author=who, reason="r"
            )

    @rule(at=some, accounts=st.sets(st.sampled_from(ACCOUNTS), min_size=1, max_size=3), who=people)
    def split(self, at: int, accounts: set[str], who: str) -> None:
        self.attempt(
            at, lambda case_id, **said: split(self.worklist, case_id, accounts, **said), author=who, reason="r"
        )

    @rule(at=some, who=people, voters=st.lists(st.tuples(people, st.sampled_from(Judgement)), max_size=3))
    def appeal(self, at: int, who: str, voters: list[tuple[str, Judgement]]) -> None:
        standing = sorted(self.desk.verdicts.in_force(self.now_us + 1).values(), key=lambda one: one.account_id)
        if not standing:
            return
        self.now_us += 1
        verdict = standing[at % len(standing)]
        with suppress(StateError):
            self.appeals.file(Against.VERDICT, verdict.verdict_id, filed_by=who, grounds="g", now_us=self.now_us)
        for one in self.appeals.every():
            for voter, outcome in voters:
                with suppress(StateError):
                    self.now_us += 1
                    self.appeals.decide(one.appeal_id, reviewer=voter, outcome=outcome, reason="r", now_us=self.now_us)

    def attempt(self, at: int, call: Callable[..., object], *given: Any, **said: Any) -> None:
        files = self.worklist.every()
        if not files:
            return
        self.now_us += 1
        case_id = files[at % len(files)].case_id
        before = self.desk.verdicts.version(), self.desk.changes.version()
        try:
            call(case_id, *given, now_us=self.now_us, **said)
        except StateError:
            # What is refused leaves nothing behind.
            assert (self.desk.verdicts.version(), self.desk.changes.version()) == before

    @invariant()
    def verdicts_are_what_files_say(self) -> None:
        if not hasattr(self, "engine"):
            return
        for file in (lapsed(one, self.now_us) for one in self.desk.changes.every(CaseFile)):
            standing = self.desk.verdicts.of_case(file.case_id, self.now_us)
            gone = file.status is Status.MERGED or file.outcome in (Outcome.MISTAKEN, Outcome.UNCLEAR)
            if gone or file.step is Action.WATCH:
                assert standing == {}
                continue
            members = {
                one.account_id
                for one in self.worklist.members(file.case_id)
                if one.membership >= LEAST_MEMBERSHIP and one.account_id not in file.cleared_at(self.now_us)
            }
            assert set(standing) <= members
            # Who came after people suspended a case is verified at most.
            newcomers = {Action.VERIFY} if file.step is Action.SUSPEND else set()
            unverified = {Action.VERIFY} if file.step in BUDGETED else set()
            assert {one.action for one in standing.values()} <= {file.step} | newcomers | unverified
            limited = {name for name, one in standing.items() if one.action in BUDGETED}
            assert limited <= file.cleared_at(self.now_us, Action.VERIFY)

    @invariant()
    def nobody_is_suspended_by_one_person(self) -> None:
        if not hasattr(self, "engine"):
            return
        for file in self.desk.changes.every(CaseFile):
            if file.step is Action.SUSPEND:
                assert len({named(one) for one in file.approved_by} - {named(AUTHOR)}) >= 2

    @invariant()
    def every_way_to_a_file_ends(self) -> None:
        if not hasattr(self, "engine"):
            return
        files = {one.case_id: one for one in self.desk.changes.every(CaseFile)}
        for lineage in files:
            for account in ACCOUNTS:
                assert files[owner_of(files, lineage, account)].status is not Status.MERGED

    @invariant()
    def whom_an_appeal_cleared_stays_free(self) -> None:
        if not hasattr(self, "engine"):
            return
        for one in self.desk.changes.every(Appeal):
            if one.outcome is Judgement.OVERTURNED and one.case_id is not None:
                standing = self.desk.verdicts.of_case(one.case_id, self.now_us).get(one.account_id)
                # One reviewer frees nobody of a suspension, which takes two people.
                suspended = self.worklist.get(one.case_id).step is Action.SUSPEND
                assert standing is None or (one.reviewers == 1 and suspended)

    @invariant()
    def history_explains_every_row(self) -> None:
        if not hasattr(self, "engine"):
            return
        for file in self.desk.changes.every(CaseFile):
            rows = self.worklist.history(file.case_id)
            told = {row.at_us for row in rows}
            assert all(row.author and msgspec.json.decode(row.state, type=CaseFile) for row in rows)
            assert {one.decided_at for one in self.desk.verdicts.history(file.case_id)} <= told


TestCases = Cases.TestCase
TestCases.settings = settings(
    max_examples=20,
    stateful_step_count=20,
    deadline=None,
    # Making a failing run small takes many minutes; as it was drawn it says enough.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
