"""A membership goes only where the table says, by whom the table says, and everybody reads the same words."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.admission.parties import FOUNDING, HASH, MET, admitted, founded, in_memory
from tiergate.admission import memberships as module
from tiergate.admission import standing as standing_module
from tiergate.admission.memberships import Memberships
from tiergate.admission.programmes import Programmes, SponsorRule, read_programme, templates
from tiergate.admission.standing import State
from tiergate.errors import InputError, StateError

PEOPLE = st.sampled_from(["ann", " Ann", "sue", "rob", "ROB ", "rita", "max"])
PENDING = ("applied", "sponsored", "reviewed")


def plain(name: str) -> str:
    return name.strip().lower()


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(StateError) as caught:
        call()
    return caught.value.code


class OneMembership(RuleBasedStateMachine):
    """The store beside a few variables that say what a membership should be."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = in_memory()
        founded(self.engine)
        self.store = Memberships(self.engine)
        self.now = 0
        self.changes = self.store.version()
        self.state: str | None = None
        self.id: str | None = None
        self.applicant = self.sponsored_by = ""
        self.approved: list[str] = []
        self.met: set[str] = set()
        self.terms: list[tuple[str, int]] = []
        self.accepted = -1

    def attempt(self, fits: bool, change: Callable[[], Any]) -> bool:
        self.now += 1
        if not fits:
            assert refusal(change)
            assert self.store.version() == self.changes
            return False
        held = change()
        self.changes += 1
        self.id = held.membership_id
        return True

    @initialize(steps=st.integers(0, 4))
    def begin(self, steps: int) -> None:
        """Some way in: what happens to members is reached as often as what happens to applicants."""
        way = (
            lambda: self.apply("ann", True, set(MET)),
            lambda: self.sponsor("sue", "operator"),
            lambda: self.approve("rob"),
            lambda: self.approve("rita"),
        )
        for step in way[:steps]:
            step()

    def newest(self) -> str | None:
        return self.terms[-1][0] if self.terms else None

    @rule(who=PEOPLE, current=st.booleans(), met=st.sets(st.sampled_from(sorted(MET))))
    def apply(self, who: str, current: bool, met: set[str]) -> None:
        version = self.newest() if current else "another"
        fits = current and self.state in (None, "refused", "ended")
        before, old = self.id, self.state
        if self.attempt(
            fits,
            lambda: self.store.apply(
                "consortium",
                "acme",
                applicant=who,
                terms_version=version,
                met=dict.fromkeys(met, HASH),
                now_us=self.now,
            ),
        ):
            assert (self.id == before) == (old == "refused")
            self.met = (self.met if old == "refused" else set()) | met
            self.state, self.applicant, self.sponsored_by, self.approved = "applied", plain(who), "", []
            self.accepted = len(self.terms) - 1

    @rule(who=PEOPLE, organisation=st.sampled_from(["operator", "acme", "stranger"]))
    def sponsor(self, who: str, organisation: str) -> None:
        if self.id is None:
            return
        fits = self.state == "applied" and organisation == "operator" and plain(who) != self.applicant
        if self.attempt(
            fits,
            lambda: self.store.sponsor(str(self.id), sponsor=who, organisation_id=organisation, now_us=self.now),
        ):
            self.state, self.sponsored_by = "sponsored", plain(who)

    @rule(who=PEOPLE)
    def approve(self, who: str) -> None:
        if self.id is None:
            return
        free = plain(who) not in (self.applicant, self.sponsored_by, *self.approved)
        second = self.state == "reviewed" and self.met == set(MET)
        fits = free and (self.state == "sponsored" or second)
        if self.attempt(fits, lambda: self.store.approve(str(self.id), reviewer=who, now_us=self.now)):
            self.state = "active" if self.approved else "reviewed"
            self.approved.append(plain(who))

    @rule(who=PEOPLE)
    def refuse(self, who: str) -> None:
        if self.id is None:
            return
        fits = self.state in PENDING and plain(who) not in (self.applicant, self.sponsored_by)
        if self.attempt(
            fits,
            lambda: self.store.refuse(
                str(self.id), reviewer=who, code="c", reason="why", missing=["papers"], now_us=self.now
            ),
        ):
            self.state = "refused"

    @rule(code=st.sampled_from(sorted(MET)))
    def meet(self, code: str) -> None:
        if self.id is None:
            return
        fits = self.state in PENDING
        if self.attempt(fits, lambda: self.store.meet(str(self.id), code, HASH, author="ann", now_us=self.now)):
            self.met.add(code)

    @rule(who=PEOPLE, what=st.sampled_from(["suspend", "resume", "end"]))
    def stop_and_go(self, who: str, what: str) -> None:
        if self.id is None:
            return
        possible = {"suspend": ("active",), "resume": ("suspended",), "end": (*PENDING, "active", "suspended")}
        fits = self.state in possible[what]
        if what == "resume":
            fits = fits and plain(who) not in (self.applicant, self.sponsored_by)
            given = {"reason": "why"}
        else:
            given = {"reason": "why", "code": "c"}
        if self.attempt(fits, lambda: getattr(self.store, what)(self.id, author=who, now_us=self.now, **given)):
            self.state = {"suspend": "suspended", "resume": "active", "end": "ended"}[what]

    @rule(grace=st.integers(0, 5))
    def publish_terms(self, grace: int) -> None:
        self.now += 1
        version, due = f"v{len(self.terms)}", self.now + grace
        Programmes(self.engine).publish_terms(
            "consortium", version, HASH, accept_by_us=due, author="operator", now_us=self.now
        )
        self.terms.append((version, due))
        self.changes += 1

    @rule(current=st.booleans())
    def accept(self, current: bool) -> None:
        if self.id is None:
            return
        fits = current and bool(self.terms) and self.state in (*PENDING, "active", "suspended")
        version = (self.newest() or "none") if current else "another"
        if self.attempt(fits, lambda: self.store.accept_terms(str(self.id), version, author="ann", now_us=self.now)):
            self.accepted = len(self.terms) - 1

    @rule(passing=st.integers(1, 3))
    def wait(self, passing: int) -> None:
        self.now += passing

    @invariant()
    def everybody_reads_the_same(self) -> None:
        standing = self.store.standing_in("consortium", "acme", self.now)
        if self.id is None:
            assert standing.code == "membership_none"
            return
        assert standing == self.store.standing(self.id, self.now)
        due = min((due for _, due in self.terms[self.accepted + 1 :]), default=None)
        late = due is not None and self.now >= due
        assert standing.may_use == (self.state == "active" and not late)
        if self.state != "active":
            assert standing.code == f"membership_{self.state}"
        else:
            expected = "membership_active" if due is None else "terms_not_accepted" if late else "terms_due"
            assert (standing.code, standing.due_us) == (expected, due)
        if self.state == "refused":
            assert standing.missing == ("papers",)
            assert {"reapply", "appeal"} <= set(standing.next)
            assert "why (`c`)" in standing.text
        if self.state in PENDING:
            assert set(standing.missing) - {"sponsor"} == set(MET) - self.met
            assert ("sponsor" in standing.missing) == (self.sponsored_by == "")

    @invariant()
    def nothing_is_forgotten(self) -> None:
        assert self.store.version() == self.changes
        if self.id is not None:
            history = self.store.history(self.id)
            assert all(change.author and change.at_us for change in history)
            newest = msgspec.json.decode(history[-1].state, type=standing_module.Membership)
            assert newest == self.store.get(self.id)


OneMembership.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestOneMembership = OneMembership.TestCase


def test_errors_say_what_the_state_is() -> None:
    engine = in_memory()
    founded(engine)
    store = Memberships(engine)
    held = store.apply("consortium", "acme", applicant="ann", now_us=1)
    with pytest.raises(StateError, match="which is applied, not suspended: the application was received and waits"):
        store.resume(held.membership_id, author="rob", reason="r", now_us=2)
    with pytest.raises(InputError, match="no membership is called `mem_x`"):
        store.get("mem_x")
    with pytest.raises(InputError, match="needs a code and a reason"):
        store.refuse(held.membership_id, reviewer="rob", code="", reason="r", now_us=2)
    with pytest.raises(InputError, match="needs an author"):
        store.apply("consortium", "other", applicant="  ", now_us=1)
    with pytest.raises(InputError, match="requires no `tea`"):
        store.meet(held.membership_id, "tea", HASH, author="ann", now_us=2)
    assert store.version() == 2


def test_members_sponsor_once_they_are_active_and_not_without_end() -> None:
    engine = in_memory()
    founded(engine, sponsor=SponsorRule(most=2))
    store = Memberships(engine)
    founder = admitted(engine)
    ids = [store.apply("consortium", f"o{n}", applicant="amy", now_us=5).membership_id for n in range(4)]

    def sponsor(n: int, who: str = "ada", organisation: str = "acme") -> object:
        return store.sponsor(ids[n], sponsor=who, organisation_id=organisation, now_us=6)

    assert refusal(lambda: sponsor(0, organisation="o1")) == "sponsor_not_member"
    sponsor(0)
    sponsor(1)
    assert refusal(lambda: sponsor(2)) == "sponsor_limit"
    store.refuse(ids[0], reviewer="rob", code="c", reason="r", now_us=7)
    sponsor(2)
    store.suspend(founder.membership_id, author="rob", code="c", reason="r", now_us=8)
    assert refusal(lambda: sponsor(3, who="bea")) == "sponsor_not_member"


def test_a_person_and_an_organisation_are_members_apart() -> None:
    engine = in_memory()
    founded(engine)
    admitted(engine)
    store = Memberships(engine)
    person = store.apply("consortium", "acme", person_id="max", applicant="ann", now_us=5)
    assert store.standing_in("consortium", "acme", 6).may_use
    assert store.standing_in("consortium", "acme", 6, person_id="MAX").membership_id == person.membership_id
    store.sponsor(person.membership_id, sponsor="sue", organisation_id="operator", now_us=6)
    assert refusal(lambda: store.approve(person.membership_id, reviewer="Max", now_us=7)) == "reviewer_not_independent"


def test_every_code_and_state_of_the_tables_is_true() -> None:
    documented = set(re.findall(r"^\| `(\w+)` \|", standing_module.__doc__ or "", re.MULTILINE))
    states = {f"membership_{state.value}" for state in State}
    assert documented == states | {"membership_none", "terms_due", "terms_not_accepted"}
    source = Path(str(module.__file__)).read_text(encoding="utf-8").split('"""', 2)[2]
    raised = set(re.findall(r'code="(\w+)"', source))
    assert set(re.findall(r"^\| `(\w+)` \|", module.__doc__ or "", re.MULTILINE)) == raised


@pytest.mark.parametrize("name", templates())
def test_bundled_programmes_can_be_founded(name: str) -> None:
    engine = in_memory()
    store = Programmes(engine)
    programme = read_programme(name)
    store.create(programme, author="operator", now_us=1)
    assert store.get(programme.programme_id) == programme
    assert programme.source
    assert refusal(lambda: store.create(programme, author="operator", now_us=2)) == "programme_exists"


def test_the_founding_pool_is_a_hundred_million_dollars() -> None:
    assert FOUNDING.pool_micro_usd == 100_000_000 * 1_000_000


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('pool = 1\nprogramme_id = "x"', "unknown field `pool`"),
        ('programme_id = "X y"', "cannot be an id"),
        ("pool_micro_usd = 1.5", "expected `int`"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_programme_is_told_apart(tmp_path: Any, line: str, said: str) -> None:
    file = tmp_path / "p.toml"
    key = line.split(" = ")[0]
    rest = "" if "\n" in line or key == "programme_id" else 'programme_id = "x"\n'
    file.write_text(
        f'{line}\n{rest}name = "n"\noperator = "o"\ntier = "t"\nmodels = ["m"]\n[[purposes]]\ncode = "c"\ntitle = "t"\n'
    )
    with pytest.raises(InputError, match=said):
        read_programme(file)
