"""Each knob of a campaign changes what it says."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from tiergate.clock import DAY, HOUR
from tiergate.errors import InputError
from tiergate.simulation.campaigns import campaign
from tiergate.simulation.maker import Maker, Member
from tiergate.simulation.paraphrase import CLAUSES, reworded
from tiergate.simulation.prompts import GrammarPrompts
from tiergate.simulation.spec import PRESETS, CampaignSpec, WorldSpec
from tiergate.simulation.surroundings import MadeUpSurroundings

DAYS = 14


def make(**knobs: Any) -> list[Member]:
    knobs = {"accounts": 24, "exchanges_per_account": 40, "camouflage": 0.0, "pivot_share": 0.0} | knobs
    maker = Maker(WorldSpec(days=DAYS), np.random.default_rng(1), GrammarPrompts(), MadeUpSurroundings())
    return list(campaign(CampaignSpec(**knobs), maker))


def serving(members: list[Member]) -> list[str]:
    return [request.text for one in members for request in one.requests if request.campaign]


def repeated_runs(texts: list[str]) -> float:
    """Share of messages that carry the most common run of five words."""
    runs: Counter[str] = Counter()
    for text in texts:
        words = text.split()
        runs.update({" ".join(words[i : i + 5]) for i in range(len(words) - 4)})
    return runs.most_common(1)[0][1] / len(texts)


def test_the_queue_is_dealt_out_without_repeats() -> None:
    texts = serving(make())
    assert len(texts) == len(set(texts)) == 24 * 40
    assert repeated_runs(texts) == 1.0


def test_wordings_take_the_template_apart() -> None:
    assert repeated_runs(serving(make(wordings=8))) < 0.6
    assert repeated_runs(serving(make(wordings=0))) < 0.3


@pytest.mark.parametrize("capability", sorted(CLAUSES))
def test_rewordings_differ_and_keep_a_place_for_the_filling(capability: str) -> None:
    made = reworded(np.random.default_rng(1), capability, 500)
    assert len(set(made)) > 450
    assert all(text.count("{filling}") == 1 and "[" not in text and "|" not in text for text in made)


def test_topics_give_each_account_its_own() -> None:
    broad, narrow = make(), make(topics_per_account=1)
    assert len(serving(narrow)) == len(serving(broad))
    assert len({request.text for one in narrow for request in one.requests}) == 24 * 40


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_resellers_innocent_share_is_what_it_says(share: float) -> None:
    members = make(innocent_share=share, accounts=8)
    every = [request for one in members for request in one.requests]
    assert np.mean([request.campaign is None for request in every]) == pytest.approx(share, abs=0.02)
    assert all((request.end_user is None) == (request.campaign is not None) for request in every)


def test_camouflage_is_ordinary_talk_of_the_account() -> None:
    every = [request for one in make(camouflage=0.6) for request in one.requests]
    assert np.mean([request.campaign is None for request in every]) == pytest.approx(0.6, abs=0.02)
    assert all(request.end_user is None for request in every)


def test_after_a_ban_a_second_pool_takes_over() -> None:
    members = make(banned_on_day=6.0, replaced_after_h=2.0)
    gone = [one for one in members if one.account.get("closed_at") is not None]
    fresh = [one for one in members if one.account.get("closed_at") is None]
    assert len(gone) == len(fresh) == 24
    for one in gone:
        assert one.account["status"] == "suspended"
        assert max(request.time for request in one.requests) <= one.account["closed_at"]
    begins = min(request.time for one in fresh for request in one.requests)
    assert 6 * DAY + 2 * HOUR <= begins < 6 * DAY + 5 * HOUR


def test_human_rhythm_keeps_hours() -> None:
    def hours(members: list[Member]) -> float:
        return float(np.median([len({request.time // HOUR % 24 for request in one.requests}) for one in members]))

    assert hours(make(human_rhythm=True)) < 0.75 * hours(make())


def test_programs_addresses_and_cards_are_shared_as_told() -> None:
    alike = make(client_programs=1, address_sharing=1.0, payment_sharing=1.0)
    assert len({one.client for one in alike}) == 1
    assert len({one.account["payment_hash"] for one in alike}) <= 3
    apart = make(client_programs=0)
    assert len({one.client for one in apart}) > 6
    assert len({one.account["payment_hash"] for one in apart}) > 20


def test_relayed_sessions_are_dealt_like_everything_else() -> None:
    members = make(relays_sessions=True)
    of_session: dict[str | None, set[str]] = {}
    for one in members:
        for request in one.requests:
            of_session.setdefault(request.session, set()).add(one.account["account_id"])
    assert np.mean([len(accounts) > 1 for accounts in of_session.values()]) > 0.5


def test_the_published_figures_follow_from_the_presets() -> None:
    def exchanges(name: str) -> float:
        return sum(one.accounts * one.exchanges_per_account for one in PRESETS[name].campaigns)

    assert exchanges("february_150k") == pytest.approx(150_000, rel=0.01)
    assert exchanges("february_3m") == pytest.approx(3.4e6, rel=0.01)
    assert exchanges("february_13m") == pytest.approx(13e6, rel=0.01)
    assert exchanges("june") == pytest.approx(28.8e6, rel=0.01)
    assert exchanges("june") / 25_000 / 45 == pytest.approx(26, abs=0.5)
    assert exchanges("september_273") == pytest.approx(3.4e6, rel=0.01)
    assert exchanges("september_273") / 273 / 17 == pytest.approx(730, rel=0.01)
    assert exchanges("september_1500") == pytest.approx(400_000, rel=0.01)
    assert exchanges("september_relay") == pytest.approx(12.1e6, rel=0.01)


def test_impossible_campaigns_are_refused() -> None:
    with pytest.raises(InputError, match="share"):
        CampaignSpec(address_sharing=1.2)
    with pytest.raises(InputError, match="keep 1%"):
        CampaignSpec(camouflage=1.0)


def test_filler_words_are_the_accounts_own() -> None:
    plain, own = make(), make(filler_words=12)
    vocabularies = [{word for text in serving([one]) for word in text.split("\n\n")[0].split()} for one in own]
    assert all(12 < len(words) <= 36 for words in vocabularies)
    assert len(set.union(*vocabularies)) > 0.98 * sum(map(len, vocabularies))
    assert sorted(text.split("\n\n", 1)[1] for text in serving(own)) != serving(own)
    assert {len(text.split("\n\n")[0].split()) for text in serving(own)} == {12}
    assert repeated_runs(serving(own)) == repeated_runs(serving(plain)) == 1.0


def test_a_long_beginning_goes_before_every_message_of_its_account() -> None:
    own = make(prefix_kib=2)
    beginnings = [{text[:2048] for text in serving([one])} for one in own]
    assert all(len(some) == 1 for some in beginnings)
    assert len(set.union(*beginnings)) == len(own)
    assert all("\n\n" in text[2048:] for text in serving(own))


def test_end_users_sound_as_themselves_on_a_plan_that_may_have_some() -> None:
    own = make(end_users=4, filler_words=6)
    assert {one.account["plan"] for one in own} == {"team"}
    named = {request.end_user for one in own for request in one.requests if request.campaign}
    assert len(named) == 24 * 4
    requests = [request for one in own for request in one.requests]
    said = {
        name: {w for r in requests if r.end_user == name for w in r.text.split("\n\n")[0].split()} for name in named
    }
    assert all(len(words) <= 18 for words in said.values())


def test_padding_is_one_list_for_all_and_asks_for_a_token() -> None:
    own = make(padding=0.25)
    padding = [request for one in own for request in one.requests if not request.campaign]
    assert len(padding) == pytest.approx(24 * 40 / 3, rel=0.05)
    assert len({request.text for request in padding}) == 12
    assert {request.max_tokens for request in padding} == {1}
    assert not {request.text for request in padding} & set(serving(own))


def test_accounts_are_as_old_as_told() -> None:
    ages = [-one.account["created_at"] / DAY for one in make(aged_days=7.5, signup_spread_days=10)]
    assert 7.5 <= min(ages) < max(ages) <= 10
    assert CampaignSpec(aged_days=7.5, signup_spread_days=0).oldest_days == 7.6


def test_what_is_off_draws_nothing() -> None:
    off = {"filler_words": 0, "prefix_kib": 0, "end_users": 0, "padding": 0.0, "aged_days": 0.5}
    assert [one.requests for one in make(**off)] == [one.requests for one in make()]
    assert [one.account for one in make(**off)] == [one.account for one in make()]
