"""The documents name what the code has: every statistic of a case, every module of detection."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.detection.conftest import log_batches
from tiergate.admission.engine import NOT_PERMITTED, POLICY_ERROR, Engine
from tiergate.detection.cases import Case, tables
from tiergate.detection.clusters import Holdings, describe
from tiergate.detection.evidence import gather
from tiergate.detection.families import FAMILIES
from tiergate.detection.findings import Finding
from tiergate.detection.intake import take_in
from tiergate.detection.pivot import Synchrony
from tiergate.detection.run import DetectionInputs, Parameters, run_detection
from tiergate.detection.workload import WorkloadTest
from tiergate.gateway.tiers import NOT_LISTED
from tiergate.ledger.intents import CAPABILITIES
from tiergate.ledger.sketches import PUBLIC_KEY
from tiergate.records.refused import RefusedRows
from tiergate.records.schema import TIME
from tiergate.simulation.prompts import GrammarPrompts
from tiergate.simulation.spec import CampaignSpec, WorldSpec
from tiergate.simulation.world import simulate

ROOT = Path(__file__).resolve().parents[1]
DETECTION = (ROOT / "docs" / "detection.md").read_text(encoding="utf-8")
DECISIONS = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
CAMPAIGN = CampaignSpec(accounts=20, banned_on_day=5, ban_share=0.5, replaced_after_h=1)


@pytest.fixture(scope="module")
def statistics() -> set[str]:
    """Statistics of cases over a small world, with and without an accounts table, and every kind of token in it."""
    world = simulate(WorldSpec(people=60, campaigns=(CAMPAIGN,)), 1, GrammarPrompts())
    traffic = take_in(log_batches(world.exchanges), PUBLIC_KEY)
    guilty = set(world.truth["account_id"].filter(world.truth["campaign_id"].is_valid()).to_pylist())
    members = np.array([number for number, name in enumerate(traffic.account_ids) if name in guilty])
    named: set[str] = set()
    for accounts in (_with_common_values(world.accounts), None):
        evidence = gather(traffic, accounts, world.model_releases)
        test = WorkloadTest(traffic, evidence.closed_us, np.random.default_rng(1))
        rows = test.rows_of(members)
        cluster = describe(members, Holdings.of(evidence, len(traffic.account_ids)))
        assert cluster is not None
        sure = np.ones(len(members))
        finding = Finding(replace(cluster, same_organization=1.0), sure, rows, test.measure(rows), 1.0)
        turned = Synchrony("model", 1.0, 0.0, 0.001)
        case = Case(
            "case_1", finding, members, sure, 1.0, 0.0, rows, np.ones(len(rows)), finding.statistics, pivot=turned
        )
        named |= set(tables([case], traffic, evidence)[2]["statistic"].to_pylist())
        named |= {kind.name for kind in evidence.kinds}
    return named


def _with_common_values(accounts: pa.Table) -> pa.Table:
    """The accounts, a few of which share every value that a campaign of the simulator never shares."""
    few = pa.array(["one"] * 5 + [None] * (len(accounts) - 5), pa.string())
    for name in ("email_hash", "phone_hash", "signup_tls_fingerprint"):
        at = accounts.schema.get_field_index(name)
        accounts = accounts.set_column(at, accounts.schema.field(at), few)
    return accounts


def test_every_statistic_of_the_evidence_is_explained(statistics: set[str]) -> None:
    assert {"hand-over", "pivot", "not available", "declared organisation"} <= statistics
    # One row explains what is asked for, whichever capability it is.
    plain = {"asks for ..." if name.removeprefix("asks for ") in CAPABILITIES else name for name in statistics}
    assert sorted(name for name in plain if f"`{name}`" not in DETECTION) == []


def test_every_family_is_explained() -> None:
    assert [name for name in (*FAMILIES, "selection", "workload") if f"| {name} |" not in DETECTION] == []


def test_every_constant_that_is_named_has_the_value_that_is_given() -> None:
    rows = re.findall(r"^\| `(\w+)\.([A-Z_]+)` \| ([\d.]+) \|", DETECTION, re.MULTILINE)
    assert len(rows) > 10
    for module, name, value in rows:
        assert getattr(import_module(f"tiergate.detection.{module}"), name) == float(value), f"{module}.{name}"
    for module, name in re.findall(r"`(\w+)\.([A-Z_]+)`", DETECTION):
        assert hasattr(import_module(f"tiergate.detection.{module}"), name)


def test_the_table_of_gates_is_what_the_policies_say() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (REVIEW|DENY) \| (.*) \| (.*?) ?\| (.*) \| (.*) \|$", DECISIONS, re.MULTILINE)
    gates = [*Engine().gates.values(), NOT_PERMITTED, POLICY_ERROR, NOT_LISTED]
    assert rows == [
        (gate.code, "REVIEW" if gate.missing else "DENY", gate.text, gate.missing or "", gate.change, gate.appeal)
        for gate in gates
    ]


@pytest.mark.parametrize(
    "folder",
    [
        "advice",
        "advice/playbooks",
        "detection",
        "admission",
        "gateway/authorizer",
        "gateway/dialects",
        "gateway/metering",
        "gateway/routing",
    ],
)
def test_the_table_of_a_folder_names_every_module_and_no_other(folder: str) -> None:
    headings = {
        "advice": ("## Advice",),
        "advice/playbooks": ("## Playbooks",),
        "detection": ("## Detection, step by step",),
        "admission": (
            "## Admission to a tier, step by step",
            "## Admission, fact by fact",
            "## Rules on who may be served",
        ),
        "gateway/authorizer": ("## The decision for gateways of others",),
        "gateway/routing": ("## Routing, step by step",),
        "gateway/dialects": ("## Dialects: what each API says",),
        "gateway/metering": ("## Metering",),
    }[folder]
    section = "\n".join(ARCHITECTURE.split(heading)[1].split("\n## ")[0] for heading in headings)
    rows = re.findall(r"^\|((?: *`\w+`,?)+) \|", section, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"\w+", row)]
    there = {path.stem for path in (ROOT / "src" / "tiergate" / folder).glob("*.py")} - {"__init__"}
    assert len(named) == len(set(named))
    assert set(named) == there


def test_every_column_of_the_tables_is_documented_with_its_type_and_no_other(tmp_path: Path) -> None:
    world = simulate(WorldSpec(days=3, people=60, campaigns=(CAMPAIGN,)), 1, GrammarPrompts())
    with RefusedRows(None) as refused:
        inputs = DetectionInputs(lambda: log_batches(world.exchanges), world.accounts, None, refused, [])
        run_detection(
            inputs, tmp_path, parameters=Parameters(decoys=1), sketch_key=None, progress=lambda step, share: None
        )
    written = {path.stem: _columns(pq.read_schema(path)) for path in tmp_path.glob("*.parquet")}
    sections = re.split(r"^## ", (ROOT / "docs" / "tables.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    row = re.compile(r"^\| `(\w+)` \| ([\w ]+) \| \S", re.MULTILINE)
    documented = {section.split("\n")[0]: row.findall(section) for section in sections}
    assert documented == written


def _columns(schema: pa.Schema) -> list[tuple[str, str]]:
    names = {"string": "text", str(TIME): "time", "int64": "whole number", "double": "number"}
    return [
        (field.name, "list of text" if pa.types.is_list(field.type) else names[str(field.type)]) for field in schema
    ]


@pytest.mark.parametrize("module", ["standing", "memberships", "purposes", "grants"])
def test_every_code_of_admission_is_explained(module: str) -> None:
    programmes = (ROOT / "docs" / "programmes.md").read_text(encoding="utf-8")
    text = import_module(f"tiergate.admission.{module}").__doc__ or ""
    codes = re.findall(
        r"`(\w+)`", "".join(re.findall(r"^\|((?: *`\w+`,?)+) \|", text.split("| code |")[1], re.MULTILINE))
    )
    assert len(codes) > 3
    assert [code for code in codes if f"`{code}`" not in programmes] == []


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "docs/detection.md",
        "docs/tables.md",
        "docs/decision-log.md",
        "docs/rule-packs.md",
        "docs/programmes.md",
        "docs/decisions.md",
        "docs/first-classified-call.md",
        "docs/control-api.md",
        "docs/routing.md",
        "docs/gateway.md",
        "docs/metering.md",
        "docs/external-gateways.md",
        "docs/response.md",
        "docs/alerts.md",
        "docs/dossier.md",
        "docs/catalog.md",
        "docs/lags.md",
        "docs/claims.md",
        "docs/prices.md",
        "docs/economics.md",
        "docs/sharing.md",
        "docs/sharing-schema.md",
        "docs/advice.md",
        "docs/playbooks.md",
    ],
)
def test_links_between_documents_lead_somewhere(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_metering_is_documented_as_it_is() -> None:
    from typing import get_args

    from tiergate.gateway.metering import limits, refusals
    from tiergate.gateway.metering.meter import Charge
    from tiergate.gateway.metering.usage import Usage
    from tiergate.gateway.routing.rows import PriceRow

    text = (ROOT / "docs" / "metering.md").read_text(encoding="utf-8")
    columns = Charge(usage=Usage(input_tokens=0, output_tokens=0), cost_micro_usd=0).columns()
    named = [*get_args(refusals.Code), *limits.MEASURES, *PriceRow.__struct_encode_fields__, *columns]
    named += ["project_id", "route_model", "upstream", "attempts", *(name.replace("_", "-") for name in limits.SCOPES)]
    assert [name for name in named if f"`{name}`" not in text and f"{name}:" not in text] == []
    assert all(f"`{code}`" in (refusals.__doc__ or "") for code in get_args(refusals.Code))


def test_the_decision_log_is_documented_as_it_is() -> None:
    from tiergate.ledger import decision_reader
    from tiergate.ledger.decision_records import DecisionRecord
    from tiergate.ledger.receipts import _Receipt

    text = (ROOT / "docs" / "decision-log.md").read_text(encoding="utf-8")
    files = [decision_reader.ABOUT, decision_reader.HASHES, decision_reader.PERSONAL]
    files += [decision_reader.CHECKPOINT, decision_reader.COSIGNED]
    fields = [*DecisionRecord.__struct_fields__, *_Receipt.__struct_fields__]
    assert [name for name in (*files, *fields) if f"`{name}`" not in text] == []


def test_the_page_on_parties_has_every_column_kind_and_prong() -> None:
    from tiergate.parties.fact_rows import PRONGS
    from tiergate.parties.sources.plain import COLUMNS
    from tiergate.parties.sources.taking import READERS

    page = (ROOT / "docs" / "parties.md").read_text(encoding="utf-8")
    columns = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", page, re.MULTILINE)))
    assert set(COLUMNS) | set(PRONGS) <= set(columns)
    assert [kind for kind in READERS if not re.search(rf"[`:\s]{kind}[`\s]", page)] == []


def test_the_page_on_rule_packs_gives_their_parameters_and_every_code() -> None:
    from tiergate.admission.eligibility import Reason
    from tiergate.admission.person_classes import StatementError
    from tiergate.admission.rule_packs import load_packs

    page = (ROOT / "docs" / "rule-packs.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|\n]+\|[^|\n]+\|[^|\n]+\|.*) \|$", page, re.MULTILINE))
    for pack in load_packs().values():
        cells = [cell.strip() for cell in rows[pack.id].split("|")]
        if pack.test is not None and pack.seeds is not None:
            test = pack.test
            told = [", ".join(pack.seeds.lists) or "headquarters", test.counts, f"{test.operator} {test.threshold_ppm}"]
            told.append("yes" if test.aggregate else "no")
            assert cells[:4] == told
            assert cells[4].startswith("yes" if test.control else "no")
            assert ("presumed" in cells[4]) is test.equal_presumes_control
        elif pack.person is not None:
            assert cells[:2] == [pack.person.looks_at, ", ".join(pack.person.exempt)]
        assert cells[-1] == pack.unknown
    codes = re.findall(r"`(\w+)`", (StatementError.__doc__ or "").split("machines:")[1])
    assert len(codes) == 11
    assert [code for code in (*Reason, *codes) if f"`{code}`" not in page] == []


def test_the_page_on_routing_has_every_field_header_and_code_and_its_example_is_right() -> None:
    import msgspec

    from tiergate.admission.models import Models
    from tiergate.gateway.routing import requirements, rows
    from tiergate.gateway.routing.routes import parse

    page = (ROOT / "docs" / "routing.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert parse(example.encode(), Models({}), {"EAST_KEY": "k"}).group("chat") is not None
    structs = (rows.UpstreamRow, rows.ModelRow, rows.GroupRow, rows.PoliciesRow, rows.PriceRow, rows.Timeouts)
    fields = [one.encode_name for struct in (*structs, rows.Requirements) for one in msgspec.structs.fields(struct)]
    headers = [f"`x-tiergate-require-{name}: " for name in requirements._HEADERS]
    code = re.compile(r"Exclusion\(\s*\"(\w+)\"|code=\"(\w+)\"")
    sources = (ROOT / "src" / "tiergate" / "gateway" / "routing").glob("*.py")
    codes = [a or b for path in sources for a, b in code.findall(path.read_text(encoding="utf-8"))]
    assert len(codes) > 10
    assert [name for name in (*fields, *codes) if f"`{name}`" not in page] == []
    assert [name for name in headers if name not in page] == []


def test_what_holds_an_outcome_of_a_fault_is_there() -> None:
    written = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs" / "faults.md").read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if f"def {name}(" not in written] == []


def test_the_page_on_alerts_has_every_type_field_and_wait_and_its_example_is_right(tmp_path: Path) -> None:
    import msgspec

    from tests.response.alerts.conftest import a_case
    from tiergate.response.alerts import events, outbox, sinks

    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / sinks.FILE).write_text(example)
    assert len(sinks.load_sinks(tmp_path / sinks.FILE)) == 4
    kinds = (sinks.Webhook, sinks.Slack, sinks.Email, sinks.Ocsf)
    fields = {one.encode_name for kind in kinds for one in msgspec.structs.fields(kind)}
    (alert,) = events.about_case(None, a_case(), number=1, at_us=0, by="ann")
    named = [*events.TYPES, *fields, *alert.data, *events.failing(3, 0).data]
    assert [name for name in named if f"`{name}`" not in page] == []
    waits = [wait // outbox.SECOND for wait in outbox.WAITS_US]
    assert waits == [5, 300, 1800, *(hours * 3600 for hours in (2, 5, 10, 14, 20, 24))]
    assert "after 5 s, 5 min, 30 min, 2 h," in page


def test_the_page_on_the_catalog_has_every_rule_attribute_and_licence_and_its_example_is_right(tmp_path: Path) -> None:
    from tiergate.catalog.cited import LICENCES
    from tiergate.catalog.models import Mode, load_catalog
    from tiergate.catalog.providers import Attribute
    from tiergate.catalog.tiers import RULES
    from tiergate.cli.catalog_providers import HEADINGS

    page = (ROOT / "docs" / "catalog.md").read_text(encoding="utf-8")
    rules = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", page, re.MULTILINE)
    assert rules == [(rule.mode.value, rule.tier.value, rule.because) for rule in RULES]
    assert [mode for mode in Mode if f"`{mode}`" not in page] == []
    columns = re.findall(r"^\| ([\w ]+) \| `(\w+)` \|", page, re.MULTILINE)
    assert columns == list(zip(HEADINGS, Attribute, strict=True))
    assert [licence for licence in LICENCES if licence not in page] == []
    assert f"has {len(load_catalog().by_id)} models" in page
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "mine.toml").write_text(example)
    assert load_catalog().with_models(tmp_path / "mine.toml").find("inhouse").developer == "Example"


def test_the_page_on_advice_has_every_field_rule_and_criterion_and_its_example_is_advised_on() -> None:
    from datetime import date
    from typing import get_args

    import msgspec

    from tiergate.advice import requirements
    from tiergate.advice.advising import DRAWS, advise
    from tiergate.advice.candidates import market_on
    from tiergate.advice.shortlist import RULES
    from tiergate.catalog.access_programmes import Task
    from tiergate.catalog.models import load_catalog
    from tiergate.catalog.origin_rules import Sector, load_origin_rules
    from tiergate.catalog.scores import shipped

    page = (ROOT / "docs" / "advice.md").read_text(encoding="utf-8")
    asked, rules = page.split("| rule | looks at |")[0], page.split("| rule | looks at |")[1]
    fields = [one.encode_name for one in msgspec.structs.fields(requirements.Requirements)]
    assert re.findall(r"^\| `(\w+)` \|", asked, re.MULTILINE) == fields
    within = [one.type for one in msgspec.structs.fields(requirements.Requirements)]
    names = [
        each.encode_name
        for kind in within
        for part in (kind, *get_args(kind))
        if isinstance(part, type) and issubclass(part, msgspec.Struct)
        for each in msgspec.structs.fields(part)
    ]
    words = [*names, *Task, *Sector, *get_args(requirements.Criterion), *get_args(requirements.Need)]
    assert len(words) > 50
    assert [name for name in words if f"`{name}`" not in page] == []
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", rules, re.MULTILINE)
    assert [name for row in rows for name in re.findall(r"\w+", row)] == [rule.id for rule in RULES]
    assert f"{DRAWS:,} draws" in page
    assert len(load_origin_rules()) == 12
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    day = date(2026, 11, 28)
    told = requirements.parse_requirements(example.encode(), load_catalog(), day)
    found = advise(told, market_on(load_catalog(), day, shipped()), draws=100)
    assert set(found.best) == {"claude-sonnet-5", "gpt-5.6-luna", "gpt-5.6-sol", "gpt-5.6-terra"}


def test_the_page_on_playbooks_has_each_of_them_each_control_and_figure_and_its_examples_are_right(
    tmp_path: Path,
) -> None:
    from tiergate.admission.models import Models
    from tiergate.advice.playbooks.adoption import Adoption, read_adoptions
    from tiergate.advice.playbooks.checking import ASKED, GATES
    from tiergate.advice.playbooks.clauses import load_clauses
    from tiergate.advice.playbooks.playbook import KPIS, shipped_playbooks
    from tiergate.cli.playbook_reading import NEWEST
    from tiergate.gateway.routing.routes import parse

    page = (ROOT / "docs" / "playbooks.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", page, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"\w+", row)]
    assert named == [*_playbooks_of(page), *GATES, *ASKED, *KPIS]
    assert set(_playbooks_of(page)) == set(shipped_playbooks())
    assert f"{NEWEST:,} exchanges" in page
    assert f"{len(load_clauses().clause)} clauses" in page
    (toml,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "playbooks.toml").write_text(toml)
    (adopted,) = read_adoptions(tmp_path / "playbooks.toml").values()
    assert all(getattr(adopted, name) for name in Adoption.__struct_fields__)
    assert set(adopted.not_for) == set(shipped_playbooks()["support_assistant"].gates.not_for)
    (routes,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert parse(routes.encode(), Models({}), None).group(adopted.models[0]) is not None


def _playbooks_of(page: str) -> list[str]:
    """Playbooks in the page's first table."""
    return re.findall(r"^\| `(\w+)` \|", page.split("## Adopting one")[0], re.MULTILINE)


def test_the_page_on_prices_has_the_cells_and_columns_that_there_are() -> None:
    from datetime import date

    from tiergate.catalog.priced_models import priced_models
    from tiergate.catalog.prices import ListPrice, shipped_prices
    from tiergate.economics.price_at_capability import cheapest

    page = (ROOT / "docs" / "prices.md").read_text(encoding="utf-8")
    thresholds = [float(cell) for cell in re.findall(r"^\| end of \| (.*) \|$", page, re.MULTILINE)[0].split(" | ")]
    rows = re.findall(r"^\| (\d{4}-\d\d-\d\d) \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) > 4
    months = [date.fromisoformat(day) for day, _ in rows]
    cells = cheapest(shipped_prices(), priced_models(), months=months, thresholds=thresholds)
    shown = ["-" if cell.usd is None else f"{cell.usd:.3f}" for cell in cells]
    assert shown == [cell for _, row in rows for cell in row.split(" | ")]
    assert {"first_seen", "effective"} <= set(ListPrice.__struct_fields__)


def test_the_page_on_claims_has_every_status_with_its_count_and_the_charts_figures() -> None:
    from collections import Counter

    from tiergate.catalog.claim_figures import figures
    from tiergate.catalog.claims import Status, load_claims

    page = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    ledger = load_claims()
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(Status)
    counts = Counter(one.status for one in ledger.claims.values())
    told = ", ".join(f"{counts[one]} {one}" for one in (Status.CORROBORATED, Status.DISPUTED, Status.REFUTED))
    assert f"There are {len(ledger.claims)}: {told} and {counts[Status.UNCORROBORATED]} uncorroborated." in page
    ratio = next(one for one in figures(ledger) if one.id == "training_to_extraction")
    assert f"| training by extraction | {ratio.claimed} | {ratio.evidence} |" in page
    for name in ("extraction_cost", "training_cost"):
        assert str(ledger.find(name).evidence) in page


def test_the_page_on_economics_has_the_figures_that_come_out() -> None:
    from tiergate.cli.economics_options import dollars
    from tiergate.economics.attack import Campaign
    from tiergate.economics.bound import bound
    from tiergate.economics.controls import Assumed, compare
    from tiergate.economics.monte_carlo import attack_cost
    from tiergate.economics.seed import seed_figures

    page = (ROOT / "docs" / "economics.md").read_text(encoding="utf-8")
    rows = {
        row[0]: row[1:] for row in re.findall(r"^\| ([\w ,']+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|", page, re.MULTILINE)
    }
    seed = seed_figures()
    spread, tokens = seed.estimate.total, seed.estimate.items["tokens"]
    for said in (*map(dollars, (spread.median, spread.low, spread.high, tokens.median)), f"{seed.tokens_below:.1%}"):
        assert said in page
    cost = attack_cost(Campaign(16e6, accounts=24_000, channel="unknown", mix="unknown"))
    for name, item in {**cost.items, "total": cost.total}.items():
        said = [float(cell.replace(",", "")) for cell in rows[name]]
        assert said == pytest.approx([item.median, item.low, item.high], rel=0.001), name
    for one in compare(16e6, 20_000, Assumed(recall=0.9, accused=0.001)):
        said = [float(cell.replace(",", "")) for cell in rows[one.control]]
        assert said == pytest.approx([one.attack, one.raised, one.costs], rel=0.001), one.control
    found = bound()
    for row, field in (("until they have it", "outside"), ("bought at most", "bought")):
        cells = [f"{one.median:.1f} ({one.low:.1f}-{one.high:.1f})" for one in (getattr(each, field) for each in found)]
        assert f"| {row} | {' | '.join(cells)} |" in page
    assert f"| nothing bought, share of draws | {' | '.join(f'{each.nothing:.0%}' for each in found)} |" in page


def test_the_page_on_the_schema_of_findings_has_every_object_property_code_and_bound_and_the_schema_is_this() -> None:
    import json
    from typing import get_args

    import msgspec

    from tiergate.sharing import check, finding, objects
    from tiergate.sharing.schema import json_schema

    page = (ROOT / "docs" / "sharing-schema.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \| .* \|$", page, re.MULTILINE))
    everywhere = set(objects.Versioned.__struct_encode_fields__)
    for kind in get_args(objects.AnyObject):
        own = set(kind.__struct_encode_fields__) - everywhere
        assert set(re.findall(r"`(\w+)`", told[str(kind.__struct_config__.tag)])) == own
    properties = msgspec.structs.fields(objects.CampaignProperties)
    named = [*everywhere, *(one.encode_name for one in properties), *finding.Capability, *finding.Technique]
    named += [*finding.SCHEMES, *finding.HMAC_KINDS, objects.EXTENSION_ID, *finding.View]
    named += re.findall(r"^\| `(\w+)` \|", check.__doc__ or "", re.MULTILINE)
    assert [name for name in named if f"`{name}`" not in page] == []
    for bound in (check.MOST_BYTES >> 20, check.MOST_OBJECTS, check.MOST_OBJECT_BYTES >> 10, finding.MOST_TOKENS):
        assert f" {bound:,} " in page
    kept = json.loads((ROOT / "docs" / "sharing-schema.json").read_text(encoding="utf-8"))
    assert kept == json_schema(), "run `tiergate share schema > docs/sharing-schema.json`"
