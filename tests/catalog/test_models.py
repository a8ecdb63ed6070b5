"""Models and facts of access: what a row may say, what is refused, and whether ours say what their sources say."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path

import pytest

from tiergate.catalog.cited import read_facts
from tiergate.catalog.models import Catalog, Mode, Model, ModelsFile, load_catalog
from tiergate.errors import InputError

CITED = 'as_of = 2026-11-28\nsource = "https://example.org"\nlicence = "fact"\n'
MODEL = f'id = "m"\nname = "M"\ndeveloper = "D"\ncountry = "FR"\nreleased = 2026-01-01\n{CITED}'
EPOCH = "https://epoch.ai/data/eci_scores.csv"
ACCESSIBILITY = {
    "API access": (Mode.GENERAL, ""),
    "Hosted access (no API)": (Mode.GENERAL, ""),
    "Open weights (unrestricted)": (Mode.OPEN_WEIGHTS, "unrestricted"),
    "Open weights (restricted use)": (Mode.OPEN_WEIGHTS, "restricted"),
    "Open weights (non-commercial)": (Mode.OPEN_WEIGHTS, "non_commercial"),
}
COUNTRIES = {
    "US": "United States of America",
    "CN": "China",
    "FR": "France",
    "AE": "United Arab Emirates",
    "GB": "United Kingdom of Great Britain and Northern Ireland",
}


def written(folder: Path, access: str, model: str = MODEL) -> Path:
    path = folder / "mine.toml"
    path.write_text(f"[[model]]\n{model}\n[[model.access]]\n{access}\n{CITED}")
    return path


def test_at_least_sixty_models_of_three_continents_open_and_closed() -> None:
    catalog = load_catalog()
    modes = {one.id: {fact.mode for fact in one.access} for one in catalog.by_id.values()}
    assert len(catalog.by_id) >= 60
    assert {"US", "CN", "FR", "DE"} <= {one.country for one in catalog.by_id.values()}
    assert {one.released.year for one in catalog.by_id.values()} == {2023, 2024, 2025, 2026}
    assert sum(Mode.OPEN_WEIGHTS in found for found in modes.values()) >= 30
    assert sum(Mode.GENERAL in found for found in modes.values()) >= 30
    assert set().union(*modes.values()) == set(Mode)


@pytest.mark.parametrize(
    ("access", "said"),
    [
        ('mode = "general"\nsince = 2025-12-31', "older than the release"),
        ('mode = "general"\nsince = 2026-02-01\nuntil = 2026-02-01', "first day it no longer holds"),
        ('mode = "open_weights"\nsince = 2026-02-01\nuntil = 2026-03-01', "weights that were published stay published"),
        ('mode = "membership"\nsince = 2026-02-01', "needs `programme`"),
        ('mode = "retention"\nsince = 2026-02-01', "needs `retention_days`"),
        ('mode = "general"\nsince = 2026-02-01\nweights = "MIT"', "`weights` is only for the mode `open_weights`"),
        ('mode = "rumour"\nsince = 2026-02-01', "rumour"),
        ('mode = "general"', "missing required field `since`"),
    ],
)
def test_a_fact_of_access_that_cannot_be_is_refused(tmp_path: Path, access: str, said: str) -> None:
    with pytest.raises(InputError, match=r"mine\.toml") as caught:
        read_facts(written(tmp_path, access), ModelsFile)
    assert said in str(caught.value)


def test_a_country_is_two_capital_letters(tmp_path: Path) -> None:
    path = written(tmp_path, 'mode = "general"\nsince = 2026-02-01', MODEL.replace('"FR"', '"France"'))
    with pytest.raises(InputError, match="`France` is no country code"):
        read_facts(path, ModelsFile)


def test_models_of_ones_own_replace_and_add(tmp_path: Path) -> None:
    access = 'mode = "general"\nsince = 2026-02-01'
    catalog = load_catalog()
    added = catalog.with_models(written(tmp_path, access))
    assert len(added.by_id) == len(catalog.by_id) + 1
    replaced = catalog.with_models(written(tmp_path, access, MODEL.replace('"m"', '"kimi-k3"')))
    assert len(replaced.by_id) == len(catalog.by_id)
    assert replaced.find("kimi-k3").developer == "D"
    assert catalog.find("kimi-k3").developer == "Moonshot AI"


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, 'mode = "general"\nsince = 2026-02-01', MODEL.replace('"M"', '"Kimi  k3"'))
    with pytest.raises(InputError, match="are both called `kimi-k3`: rename one"):
        load_catalog().with_models(path)
    path.write_text(path.read_text() + f"\n[[model]]\n{MODEL}")
    with pytest.raises(InputError, match="has `m` twice"):
        load_catalog().with_models(path)


@pytest.mark.parametrize("name", ["claude-mythos-5", "Claude Mythos 5", "CLAUDE_MYTHOS 5"])
def test_a_model_is_found_however_it_is_written(name: str) -> None:
    assert load_catalog().find(name).id == "claude-mythos-5"


def test_who_is_not_there_is_told_who_is_meant() -> None:
    with pytest.raises(InputError, match="did you mean `claude-mythos-5`"):
        load_catalog().find("claude-mytos-5")
    with pytest.raises(InputError, match="`tiergate catalog tiers` lists all"):
        load_catalog().find("zzz")
    with pytest.raises(InputError, match="give one of AE, CN, DE, FR, GB, US"):
        load_catalog().seated_in("xx")
    with pytest.raises(InputError, match="no models"):
        Catalog([])


def _row_of(model: Model, rows: list[dict[str, str]]) -> dict[str, str]:
    """The row of Epoch's index that a model was typed in from: its date, and a name that begins with the model's."""

    def plain(name: str) -> str:
        return "".join(sign for sign in name.casefold() if sign.isalnum())

    found = [
        row
        for row in rows
        if row["date"] == model.released.isoformat() and plain(row["Display name"]).startswith(plain(model.name))
    ]
    assert found, f"`{model.id}` is not in Epoch's index under that name on that day"
    return found[0]


@pytest.mark.shared_data
def test_what_is_cited_from_epoch_is_what_epoch_says(shared_data: Path) -> None:
    # Epoch AI, Epoch Capabilities Index, fetched 2026-08-11, CC-BY-4.0.
    with (shared_data / "market" / "eci" / "2026-08-11_scores.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    cited = [one for one in load_catalog().by_id.values() if EPOCH in one.source]
    assert len(cited) > 100
    for model in cited:
        row = _row_of(model, rows)
        assert COUNTRIES[model.country] == row["Country (of organization)"], model.id
        assert model.as_of == dt.date(2026, 8, 11)
        for fact in model.access:
            if fact.source.startswith("Epoch AI") and fact.mode in (Mode.GENERAL, Mode.OPEN_WEIGHTS):
                assert (fact.mode, fact.use) == ACCESSIBILITY[row["Model accessibility"]], model.id
                assert fact.licence == "CC-BY-4.0"
