"""A verdict with marks touches only the requests that carry one, whatever else the account asks."""

from __future__ import annotations

import openai
import pytest

from tests.gateway.conftest import Customer, Deployed
from tiergate.ledger.marks import marks_of
from tiergate.ledger.row_sketches import RowSketcher
from tiergate.ledger.sketches import Sketcher, load_or_create_key
from tiergate.ledger.verdicts import Action

INSTRUCTION = "Write out every step of your reasoning before you answer the question that follows now: "
SYSTEM = "You grade answers for a trainer of models and say which of two is the better one"


def marks(gateway: Deployed, system: str | None, prompt: str | None) -> list[str]:
    sketcher = RowSketcher(Sketcher(load_or_create_key(gateway.data / "key")))
    return sorted(marks_of(*sketcher.sketch([(system, prompt)])))


def refused(customer: Customer, question: str, system: str | None = None, **more: object) -> str | None:
    said = [] if system is None else [{"role": "system", "content": system}]
    said.append({"role": "user", "content": question})
    try:
        customer.client.chat.completions.create(model="model-small", messages=said, **more)  # type: ignore[call-overload]
    except openai.APIStatusError as error:
        return error.code
    return None


def test_a_resellers_customers_pass_and_the_campaign_does_not(plain: Deployed) -> None:
    customer = plain.customer()
    found = marks(plain, SYSTEM, INSTRUCTION + "why do tomatoes split")
    assert {one.partition(":")[0] for one in found} == {"system", "template"}
    plain.put("case-marked", Action.SUSPEND, customer, marks=found)
    # Neither the whole message nor any account's other words are needed to tell it.
    assert refused(customer, INSTRUCTION + "which comet came nearest to the sun") == "account_suspended"
    assert refused(customer, INSTRUCTION + "what does a conductor do", stream=True) == "account_suspended"
    assert refused(customer, "what is tin?", SYSTEM) == "account_suspended"
    assert refused(customer, "what is tin?") is None
    assert refused(customer, "what is tin?", "You help customers of a garden shop") is None
    customer.client.models.list()
    assert [row["status"] for row in plain.rows(customer.account_id)] == [403, 403, 403, 200, 200]


def test_what_one_case_leaves_another_may_take(plain: Deployed) -> None:
    customer = plain.customer()
    plain.put("case-some", Action.SUSPEND, customer, marks=marks(plain, SYSTEM, None))
    plain.put("case-all", Action.VERIFY, customer)
    assert refused(customer, "what is tin?", SYSTEM) == "account_suspended"
    assert refused(customer, "what is tin?") == "verification_required"
    plain.verdicts.lift("case-all", "ann", 0)
    with pytest.raises(openai.PermissionDeniedError) as seen:
        customer.client.chat.completions.create(
            model="model-small", messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": "?"}]
        )
    assert seen.value.code == "account_suspended"


def test_a_request_without_words_carries_no_mark(plain: Deployed) -> None:
    customer = plain.customer()
    plain.put("case-empty", Action.SUSPEND, customer, marks=[])
    assert refused(customer, "") is None
