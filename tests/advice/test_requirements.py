"""Requirements are read strictly, and two lines that contradict each other are both named."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.advice.conftest import DAY, ORDINARY, asked
from tiergate.advice.requirements import Asked, parse_requirements
from tiergate.catalog.models import load_catalog
from tiergate.errors import InputError

HEAD = "organisation: {name: E, country: DE}\n"


def parsed(text: str) -> Asked:
    return parse_requirements(text.encode(), load_catalog(), DAY)


def test_what_is_left_out_is_not_asked() -> None:
    told = parsed(f"{HEAD}tasks: [coding]\n").requirements
    assert told.budget_usd_per_month is None
    assert told.data.retention_days is None
    assert told.organisation.sector == "business"
    assert told.hosting == ["api", "own"]


def test_models_are_known_by_any_of_their_names_and_lines_are_kept() -> None:
    found = parsed(
        f"{HEAD}tasks: [coding]\ncapability:\n  evals:\n    - name: ours\n      least: 0.5\n"
        "      scores:\n        Kimi K3: 0.7\nmodels:\n  avoid: [GPT-5.4]\n"
    )
    assert found.requirements.capability.evals[0].scores == {"kimi-k3": 0.7}
    assert found.requirements.models.avoid == ["gpt-5.4"]
    assert found.lines["models.avoid"] == 10
    assert found.line("budget_usd_per_month", "capability.evals.0.least") == 6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tasks: [coding]\n", "line 1: `organisation` is missing"),
        (f"{HEAD}tasks: [codng]\n", "line 2: `tasks[0]`"),
        (f"{HEAD}tasks: []\n", "line 2: `tasks` is empty"),
        (f"{HEAD}tasks: [coding]\nbudgt_usd_per_month: 3\n", "did you mean `budget_usd_per_month`?"),
        (f"{HEAD}tasks: [coding, coding]\n", "line 2: `tasks` has `coding` again, it is on line 2 too"),
        (f"{HEAD}tasks: [coding]\nusers: {{countries: [Germany]}}\n", "no code of ISO 3166"),
        (f"{HEAD}tasks: [coding]\ncapability: {{least_eci: -1}}\n", "line 3: `capability.least_eci` is -1: give 0"),
        (f"{HEAD}tasks: [coding]\nload: {{cached_share: 1.5}}\n", "give 0 to 1"),
        (
            f"{HEAD}tasks: [coding]\nmodels:\n  only: [kimi-k4]\n",
            "line 4: `models.only.0`: no model is called `kimi-k4`",
        ),
        (f"{HEAD}tasks: [coding]\nprogrammes: {{join: [nobody]}}\n", "no programme is called `nobody`"),
        (f"{HEAD}tasks: [coding]\nbudget_usd_per_month: 10\n", "needs a load to compare with"),
        (f"{HEAD}tasks: [coding]\npriorities: [latency]\n", "there is no field `latency`"),
        ("", "line 1: the file is empty"),
    ],
)
def test_what_cannot_be_is_named_with_its_line(text: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        parsed(text)


@pytest.mark.parametrize(
    ("lines", "first", "second"),
    [
        (("models:", "  only: [kimi-k3]", "  avoid: [Kimi K3]"), 4, 5),
        (("origin:", "  barred: [CN]", "models:", "  only: [kimi-k3]"), 4, 6),
        (("origin:", "  only: [US]", "models:", "  only: [mistral-large-4]"), 4, 6),
        (("data:", "  retention_days: 0", "models:", "  only: [claude-fable-5]"), 4, 6),
        (("hosting: [own]", "models:", "  only: [gpt-5.4]"), 3, 5),
        (("data:", "  retention_days: 0", "programmes:", "  member_of: [cyber-verification]"), 4, 6),
        (("programmes:", "  join: [daybreak]"), 2, 4),
        (("programmes:", "  join: [glasswing]", "  member_of: [glasswing]"), 4, 5),
        (("hosting: [own]", "programmes:", "  member_of: [daybreak]"), 3, 5),
        (("origin:", "  barred: [US]", "programmes:", "  member_of: [daybreak]"), 4, 6),
        (("load:", "  context_tokens: 1000", "  input_tokens: 2000"), 4, 5),
        (("continuity:", "  days: 3", "  switch_days: 5"), 4, 5),
        (("capability:", "  evals:", "    - {name: a, task: search, least: 0.5, scores: {}}"), 2, 5),
        (("hosting: [api]", "own_hosting_usd_per_month: 100"), 3, 4),
        (("certifications: [baa]", "hosting: [own]"), 3, 4),
    ],
)
def test_two_lines_that_contradict_each_other_are_both_named(lines: tuple[str, ...], first: int, second: int) -> None:
    with pytest.raises(InputError) as error:
        parsed(HEAD + "tasks: [coding]\n" + "\n".join(lines))
    assert f"line {second}: contradicts line {first}: " in str(error.value)
    assert str(error.value).endswith("change one of the two")


def test_all_faults_are_told_at_once_but_no_more_than_can_be_read() -> None:
    many = [f"C{number}" for number in range(100)]
    with pytest.raises(InputError) as error:
        asked(users={"countries": many})
    assert len(str(error.value).splitlines()) == 22
    assert "and 80 more" in str(error.value)


_LEAVES = st.none() | st.booleans() | st.integers(-10, 2_000) | st.floats() | st.sampled_from(["DE", "US", "x", ""])
_FIELDS = {name: _LEAVES | st.lists(_LEAVES, max_size=3) for name in ("countries", "days", "name", "only", "scores")}


_NAMES = st.sampled_from([*ORDINARY, "users", "data", "models", "capability", "continuity", "hosting"])
_VALUES = _LEAVES | st.lists(_LEAVES, max_size=3) | st.fixed_dictionaries({}, optional=_FIELDS)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(_NAMES, _VALUES))
def test_no_file_breaks_the_reader(fields: dict[str, object]) -> None:
    with suppress(InputError):
        parsed(yaml.safe_dump(ORDINARY | fields))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet="ab:[]{}-\n #&*!'\"", max_size=100).map(str.encode))
def test_no_bytes_break_the_reader(content: bytes) -> None:
    with suppress(InputError):
        parse_requirements(content, load_catalog(), DAY)
