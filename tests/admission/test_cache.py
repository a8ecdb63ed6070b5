"""A cached decision is the decision: over time, over changes, and within its bound."""

from __future__ import annotations

import random

import msgspec
import pytest

from tests.admission import at_random, oracle
from tests.admission.at_random import HOUR, RIGHT_GRANT, T0, right
from tiergate.admission.cache import DecisionCache
from tiergate.admission.engine import Engine
from tiergate.admission.known_facts import FOREVER, RequestFact, Standing

ENGINE = Engine()


@pytest.fixture
def cache() -> DecisionCache:
    return DecisionCache(ENGINE)


def at(request: RequestFact, now_us: int) -> RequestFact:
    return msgspec.structs.replace(request, now_us=now_us)


def test_the_same_question_is_answered_once(cache: DecisionCache) -> None:
    standing, model, request = right()
    first = cache.decide(standing, model, request, 1)
    assert first.allowed
    assert cache.decide(standing, model, at(request, T0 + 1), 1) is first
    assert (cache.hits, cache.misses) == (1, 1)


def test_what_expires_is_judged_again_to_the_microsecond(cache: DecisionCache) -> None:
    standing, model, request = right()
    ends = T0 + 2 * HOUR
    assert cache.decide(standing, model, at(request, ends - 1), 1).allowed
    refused = cache.decide(standing, model, at(request, ends), 1)
    assert [reason.code for reason in refused.reasons] == ["person_class_expired"]
    # A clock that is set back is met as well.
    assert cache.decide(standing, model, at(request, ends - 1), 1).allowed
    begins = RIGHT_GRANT.starts_us
    assert not cache.decide(standing, model, at(request, begins - 1), 1).allowed
    assert cache.decide(standing, model, at(request, begins), 1).allowed


def test_credit_account_and_feed_are_asked_at_every_request(cache: DecisionCache) -> None:
    standing, model, request = right()
    assert cache.decide(standing, model, request, 1).allowed
    for change in ({"credit_available": False}, {"credit_available": None}, {"account": "x"}, {"current": False}):
        assert not cache.decide(standing, model, msgspec.structs.replace(request, **change), 1).allowed
    assert cache.decide(standing, model, request, 1).allowed


def test_another_epoch_is_judged_anew(cache: DecisionCache) -> None:
    facts = right()
    cache.decide(*facts, 1)
    cache.decide(*facts, 2)
    assert cache.misses == 2


def test_changed_facts_are_seen_even_where_nobody_raised_the_epoch(cache: DecisionCache) -> None:
    standing, model, request = right()
    assert cache.decide(standing, model, request, 1).allowed
    assert not cache.decide(msgspec.structs.replace(standing, grants=()), model, request, 1).allowed
    packed = msgspec.structs.replace(model, organisation_packs=("pack_new",))
    assert not cache.decide(standing, packed, request, 1).allowed
    assert cache.decide(standing, model, request, 1).allowed


def test_the_cache_is_bounded_and_drops_the_oldest() -> None:
    cache = DecisionCache(ENGINE, capacity=10)
    standing, model, request = right()
    for number in range(30):
        cache.decide(standing, model, msgspec.structs.replace(request, asset=f"asset_{number}"), 1)
        assert len(cache) <= 10
    cache.decide(standing, model, msgspec.structs.replace(request, asset="asset_29"), 1)
    assert cache.hits == 1


def test_what_could_not_be_evaluated_is_not_kept(cache: DecisionCache) -> None:
    standing, model, request = right(purpose="\ud800")
    assert not cache.decide(standing, model, request, 1).allowed
    assert len(cache) == 0


def test_a_span_without_end(cache: DecisionCache) -> None:
    standing, model, request = right(grants=(), purposes={}, person_classes={})
    cache.decide(standing, model, at(request, 0), 1)
    cache.decide(standing, model, at(request, FOREVER - 1), 1)
    assert cache.hits == 1


def test_twenty_thousand_requests_agree_with_the_oracle() -> None:
    """Standings change and time passes to and fro; what is cached must say what plain Python says at that moment."""
    rng = random.Random(7)
    cache, epoch = DecisionCache(ENGINE, capacity=2_000), 1
    wrongs = [rng.choice((0.0, 0.02, 0.1)) for _ in range(12)]
    standings: list[Standing] = [at_random.standing(rng, number, wrong) for number, wrong in enumerate(wrongs)]
    asked = [
        (number, model, at_random.request(rng, model, wrong / 2))
        for number, wrong in enumerate(wrongs)
        for model in at_random.MODELS
        for _ in range(3)
    ]
    allowed = 0
    for turn in range(20_000):
        if turn % 4_000 == 3_999:
            number = rng.randrange(len(standings))
            standings[number] = at_random.standing(rng, number, 0.1)
            epoch += 1
        number, model, request = rng.choice(asked)
        request = at(request, T0 + rng.randint(-4, 4) * HOUR + rng.choice((-1, 0, 0, 1)))
        decision = cache.decide(standings[number], model, request, epoch)
        expected = oracle.failed(standings[number], model, request)
        assert [reason.code for reason in decision.reasons] == expected
        assert decision.outcome.value == oracle.outcome(expected)
        allowed += decision.allowed
    assert 2_000 < allowed < 18_000
    assert cache.hits > 10_000
