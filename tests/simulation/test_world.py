"""Worlds: the same for a seed, in the public formats, and honest about who is who."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tiergate.clock import DAY, HOUR
from tiergate.errors import InputError
from tiergate.records.read import read_accounts, read_exchanges
from tiergate.records.refused import RefusedRows
from tiergate.simulation.prompts import GrammarPrompts, read_prompts
from tiergate.simulation.rhythm import shaped, sittings, steady
from tiergate.simulation.spec import PRESETS, CampaignSpec, WorldSpec
from tiergate.simulation.world import World, simulate, write_world


@pytest.fixture(scope="module")
def demo() -> World:
    return simulate(PRESETS["demo"], 1, GrammarPrompts())


def by_population(world: World) -> dict[str, set[str]]:
    names = defaultdict(set)
    for row in world.truth.to_pylist():
        names[row["population"]].add(row["account_id"])
    return names


def test_a_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for folder, seed in (("one", 5), ("again", 5), ("other", 6)):
        write_world(simulate(PRESETS["small"], seed, GrammarPrompts()), tmp_path / folder)
    for name in ("exchanges.parquet", "accounts.parquet", "model_releases.parquet", "truth.parquet", "world.json"):
        one, again, other = ((tmp_path / folder / name).read_bytes() for folder in ("one", "again", "other"))
        assert one == again
        assert one != other or name == "model_releases.parquet"


def test_it_is_in_the_public_formats_and_says_that_it_is_simulated(demo: World, tmp_path: Path) -> None:
    write_world(demo, tmp_path)
    with RefusedRows(None) as refused:
        exchanges = sum(b.num_rows for b in read_exchanges([tmp_path / "exchanges.parquet"], refused=refused))
        accounts = read_accounts([tmp_path / "accounts.parquet"], refused=refused)
    assert refused.count == 0
    assert exchanges == demo.exchanges.num_rows
    assert accounts.num_rows == 540
    described = json.loads((tmp_path / "world.json").read_text())
    assert described["simulated"] is True
    assert described["spec"]["campaigns"][0]["accounts"] == 40
    assert pq.read_table(tmp_path / "truth.parquet")["account_id"].to_pylist() == accounts["account_id"].to_pylist()


def test_exchanges_belong_to_registered_accounts_in_order_of_time(demo: World) -> None:
    rows = demo.exchanges.to_pylist()
    assert {row["account_id"] for row in rows} <= set(demo.accounts["account_id"].to_pylist())
    assert [row["started_at"] for row in rows] == sorted(row["started_at"] for row in rows)
    assert len({row["exchange_id"] for row in rows}) == len(rows)
    created = {row["account_id"]: row["created_at"] for row in demo.accounts.to_pylist()}
    assert all(created[row["account_id"]] < row["started_at"] for row in rows)


def test_no_single_column_tells_the_campaign_from_the_rest(demo: World) -> None:
    """Every client, model, plan, mail domain and network kind that the campaign uses, innocents use as well."""
    campaign = by_population(demo)["campaign"]
    for table, names in (
        (demo.exchanges, ("user_agent", "tls_fingerprint", "request_model", "operation", "status", "stream")),
        (demo.accounts, ("plan", "signup_path", "verification", "status")),
    ):
        rows = table.to_pylist()
        for name in names:
            if name == "request_model":
                continue  # nobody but early movers asks a model on its first days
            ours = {row[name] for row in rows if row["account_id"] in campaign}
            theirs = {row[name] for row in rows if row["account_id"] not in campaign}
            assert ours <= theirs, name
    assert not any(re.search("camp|office|benign|agent", name) for name in demo.accounts["account_id"].to_pylist())


def test_the_campaign_fills_its_template_without_repeats(demo: World) -> None:
    campaign = by_population(demo)["campaign"]
    prompts = [row["prompt_text"] for row in demo.exchanges.to_pylist() if row["account_id"] in campaign]
    template = Counter(" ".join(prompt.split()[:6]) for prompt in prompts).most_common(1)[0]
    dealt = [prompt for prompt in prompts if prompt.startswith(template[0])]
    assert len(dealt) >= 0.9 * len(prompts)
    assert len(set(dealt)) == len(dealt)


def test_own_addresses_and_payment_unless_sharing_is_asked_for() -> None:
    for share in (0.0, 0.8):
        spec = WorldSpec(
            people=20, hard_negatives={}, campaigns=(CampaignSpec(payment_sharing=share, address_sharing=share),)
        )
        world = simulate(spec, 3, GrammarPrompts())
        campaign = by_population(world)["campaign"]
        cards = Counter(r["payment_hash"] for r in world.accounts.to_pylist() if r["account_id"] in campaign)
        homes = {
            (r["account_id"], r["client_address"]) for r in world.exchanges.to_pylist() if r["account_id"] in campaign
        }
        shared_cards = sum(n for n in cards.values() if n > 1)
        shared_homes = sum(n for n in Counter(address for _, address in homes).values() if n > 1)
        assert (shared_cards <= 3) == (share == 0)
        assert (shared_homes == 0) == (share == 0)


def test_look_alikes_look_alike(demo: World) -> None:
    names = by_population(demo)
    rows = demo.exchanges.to_pylist()
    agent = [row for row in rows if row["account_id"] in names["agent_users"]]
    assert len({row["system_text"] for row in agent}) == 1
    assert len({row["tls_fingerprint"] for row in agent}) == 1
    assert len({row["client_address"] for row in agent}) >= 45
    office = [row for row in rows if row["account_id"] in names["office"]]
    assert len({row["client_address"] for row in office}) == 2


def test_people_sit_down_and_machines_do_not() -> None:
    rng = np.random.default_rng(1)
    person = sittings(rng, 400, 28, hour=14, spread_h=2, turns=4, weekend=0.3)
    machine = steady(rng, 400, 0, 28 * DAY, noise=0.2)
    load = shaped(rng, 400, 28, np.array([0.0, 1.0, 0.0]), 8 * HOUR)
    for times in (person, machine, load):
        assert len(times) == 400
        assert times.min() >= 0
        assert times.max() < 28 * DAY
        assert (np.diff(times) >= 0).all()
    hours = [len(set(((times // HOUR) % 24).tolist())) for times in (person, machine)]
    assert hours[0] < 20 < hours[1]
    assert np.median(np.diff(person)) < np.median(np.diff(machine)) / 10
    assert set(((load // HOUR) % 24).tolist()) <= set(range(8, 16))


def test_prompts_come_from_files_too(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("".join(f"question number {n} about tin\n" for n in range(300)))
    source = read_prompts(tmp_path / "p.txt")
    world = simulate(PRESETS["small"], 2, source)
    asked = {row["prompt_text"] for row in world.exchanges.to_pylist()}
    assert any(prompt.startswith("question number") for prompt in asked)
    assert len(set(source.fillings(np.random.default_rng(1), 500))) == 500
    (tmp_path / "p.jsonl").write_text('{"prompt": "a", "source": "s"}\n{"other": 1}\n')
    assert read_prompts(tmp_path / "p.jsonl").subjects == 1
    for name, content in (("x.txt", ""), ("x.doc", "a"), ("x.jsonl", "{"), ("x.parquet", "a")):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError):
            read_prompts(tmp_path / name)


def test_a_scale_multiplies_the_accounts_and_must_be_positive() -> None:
    assert PRESETS["demo"].scaled(2).campaigns[0].accounts == 80
    with pytest.raises(InputError, match="above 0"):
        PRESETS["demo"].scaled(0)
