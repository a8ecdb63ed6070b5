"""A dossier says the same in HTML and PDF, keeps what it knows apart, and names nobody outside the case."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow as pa
import pypdf
import pytest

from tests.response.evidence.conftest import REASON, Deployment
from tiergate.cli.dossier.glyphs import legible
from tiergate.cli.dossier.html import write_html
from tiergate.cli.dossier.pdf import write_pdf
from tiergate.cli.dossier.pictures import pictures
from tiergate.cli.report.figures import strips
from tiergate.cli.terminal import visible
from tiergate.clock import DAY, HOUR
from tiergate.detection.cases import CASE_EXCHANGES_SCHEMA
from tiergate.detection.state_rows import ROWS_SCHEMA
from tiergate.response.dossier.alternatives import UNTOLD, alternatives
from tiergate.response.dossier.compose import compose
from tiergate.response.dossier.decided import _differences
from tiergate.response.dossier.document import Document, Kind, Pairs, Table, Text
from tiergate.response.dossier.facts import Evidence, Facts, Part, gather
from tiergate.response.dossier.traffic import count
from tiergate.response.kept import kept_look
from tiergate.response.record import record_of

NOW = 1_790_000_000_000_000


@pytest.fixture(scope="module")
def facts(deployment: Deployment) -> Facts:
    case = record_of(deployment.engine, deployment.file.case_id)
    look = kept_look(deployment.data, case.file)
    return gather(deployment.data, case, look, seed=7, sample=10, now_us=NOW)


@pytest.fixture(scope="module")
def document(facts: Facts) -> Document:
    return compose(facts, "Ann O'Neil <ann>")


@pytest.fixture(scope="module")
def drawn(deployment: Deployment, facts: Facts) -> dict[str, str]:
    read = kept_look(deployment.data, deployment.file).read()
    return pictures(facts, read.batches(["account_id", "started_at"]))


@pytest.fixture(scope="module")
def page(document: Document, drawn: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("html") / "case.html"
    write_html(document, drawn, out)
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pdf(document: Document, drawn: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pdf") / "case.pdf"
    write_pdf(document, drawn, out, NOW)
    return out


def words(document: Document) -> Iterator[str]:
    """All that is said, in pieces that a page may break anywhere."""
    yield document.subtitle
    for section in document.sections:
        yield section.title
        for block in section.blocks:
            if isinstance(block, Text):
                yield block.text
            elif isinstance(block, Pairs):
                yield from (cell for row in block.rows for cell in row)
            elif isinstance(block, Table):
                cells = [*block.head, *(cell for row in block.rows for cell in row)]
                yield from [block.caption, *(cells if block.rows else [block.empty])]
            else:
                yield block.caption


def bare(text: str) -> str:
    return re.sub(r"[\s`\u200b]", "", text)


def test_html_and_pdf_say_every_word_and_figure(document: Document, page: str, pdf: Path) -> None:
    on_page = bare(html.unescape(re.sub(r"<[^>]*>", "", page)))
    reader = pypdf.PdfReader(pdf)
    in_print = bare(" ".join(one.extract_text() for one in reader.pages))
    said = list(words(document))
    assert len(said) > 300
    assert [one for one in said if bare(visible(one)) not in on_page] == []
    # Tables break between pages, sentences in them do so too: there a head or a foot may stand between two words.
    lost = [one for one in said if bare(legible(one)) not in in_print]
    assert len(lost) <= len(reader.pages)
    assert all(any(bare(legible(word)) in in_print for word in one.split()) for one in lost)


def test_a_pdf_is_one_that_an_archive_takes(
    pdf: Path, document: Document, drawn: dict[str, str], tmp_path: Path
) -> None:
    reader = pypdf.PdfReader(pdf)
    assert reader.metadata is not None
    assert reader.metadata.title == f"Case dossier {document.subtitle}"
    titles = [str(one.title) for part in reader.outline for one in (part if isinstance(part, list) else [part])]
    assert [one.title for one in document.sections] == [one for one in titles if one != "Case dossier"]
    for number, one in enumerate(reader.pages, 1):
        assert f"page {number} of {len(reader.pages)}" in one.extract_text()
    fonts = [
        font.get_object()
        for one in reader.pages
        for font in one["/Resources"]["/Font"].values()  # type: ignore[index]
    ]
    assert fonts
    for font in fonts:
        (below,) = font["/DescendantFonts"]
        assert {"/FontFile2", "/FontFile3"} & set(below.get_object()["/FontDescriptor"])
    assert b"pdfaid" in pdf.read_bytes()
    again = tmp_path / "again.pdf"
    write_pdf(document, drawn, again, NOW)
    assert again.read_bytes() == pdf.read_bytes()


def test_what_is_said_is_what_the_look_found(facts: Facts, deployment: Deployment) -> None:
    found, traffic = deployment.file.found, facts.traffic
    assert (len(facts.accounts), traffic.charged, traffic.output_tokens) == (
        found.accounts,
        found.exchanges,
        found.output_tokens,
    )
    assert traffic.value.recorded == pytest.approx(found.value_usd)
    assert traffic.value.low <= traffic.value.recorded <= traffic.value.high  # type: ignore[operator]
    assert (
        sum(sum(one.counts) for one in traffic.strips) == sum(one.charged for one in facts.accounts) == found.exchanges
    )
    assert facts.platform_exchanges == deployment.answered
    assert (min(one.first_us for one in facts.accounts), max(one.last_us for one in facts.accounts)) == (
        found.first_seen_us,
        found.last_seen_us,
    )
    assert {one.account_id for one in facts.accounts} == deployment.members
    shared = {one.kind: one for one in traffic.shared}
    assert 0 < shared["payment instrument"].sharing <= shared["payment instrument"].having == len(deployment.members)
    assert len({one.exchange_id for one in traffic.sample}) == 10


def test_kinds_stand_apart_and_what_speaks_against_is_as_large(document: Document, page: str) -> None:
    kinds = {section.title: section.kind for section in document.sections}
    assert kinds["What was counted"] is Kind.OBSERVED
    assert {kinds["How sure it is"], kinds["Ordinary reasons that were tested"], kinds["Links"]} == {Kind.INFERRED}
    weighed = next(one for one in document.sections if one.title.startswith("What speaks for it"))
    for_it, against, silent = (one for one in weighed.blocks if isinstance(one, Table))
    assert (for_it.align, for_it.widths, for_it.head) == (against.align, against.widths, against.head)
    assert for_it.caption.startswith("Speaks for it: +")
    assert against.caption.startswith("Speaks against it: \N{MINUS SIGN}")
    assert silent.rows
    assert page.count('class="badge observed"') == 1 + sum(one is Kind.OBSERVED for one in kinds.values())


def test_nobody_outside_the_case_and_no_origin_is_named(deployment: Deployment, page: str) -> None:
    others = set(deployment.world.accounts["account_id"].to_pylist()) - deployment.members
    assert [one for one in others if one in page] == []
    for name in ("client_address", "end_user_id"):
        assert [one for one in set(deployment.world.exchanges[name].drop_null().to_pylist()) if one in page] == []
    hashes = deployment.world.accounts["payment_hash"].drop_null().to_pylist()
    assert [one for one in hashes if one in page] == []
    assert not re.search("nationalit|countr", page, re.IGNORECASE)
    text = html.unescape(re.sub(r"<[^>]*>", "", page))
    assert "distillation" in text
    assert all("suspicion" in text[at.start() : at.end() + 90] for at in re.finditer("distillation", text))


def test_every_action_has_author_time_and_reason_and_breaks_no_page(page: str, document: Document) -> None:
    done = next(one for one in document.sections if one.kind is Kind.DECIDED)
    history, verdicts, appeals, policy = (one for one in done.blocks if isinstance(one, Table))
    assert history.rows[-1][1:] == ["ann", history.rows[-1][2], REASON]
    assert history.rows[-1][2].startswith("limit; step limit until ")
    assert "given to bea" in history.rows[-1][2]
    assert [row[1:3] for row in verdicts.rows] == [["ann", "verify"]]
    assert (appeals.rows, appeals.empty) == ([], "none was filed")
    assert len(policy.rows) == 4
    assert "<b>" not in page
    assert "&lt;b&gt;one&lt;/b&gt; <code>queue</code>" in page
    assert "\u202e" not in page
    assert "\\u{202e}" in page


def rows_of(*given: tuple[str, str, int, float | None, int | None]) -> pa.RecordBatch:
    """Exchanges: id, account, day, price, tokens out."""
    rows = [
        {
            "exchange_id": exchange, "account_id": account, "started_at": NOW + day * DAY, "operation": "chat",
            "request_model": "m", "cost_usd": cost, "output_tokens": tokens,
        }
        for exchange, account, day, cost, tokens in given
    ]  # fmt: skip
    return pa.RecordBatch.from_pylist(rows, ROWS_SCHEMA)


def charged(*ids: str, membership: float = 1.0) -> pa.Table:
    rows = [{"case_id": "c", "exchange_id": one, "membership": membership} for one in ids]
    return pa.Table.from_pylist(rows, CASE_EXCHANGES_SCHEMA)


def test_what_has_no_price_is_unknown_or_makes_a_range() -> None:
    batch = rows_of(("1", "a", 0, 2.0, 100), ("2", "a", 1, None, 300), ("3", "b", 2, 1.0, 100), ("4", "z", 2, 9.0, 1))
    both = pa.concat_tables([charged("1", "2"), charged("3", membership=0.6)])
    value = count([batch], None, ["a", "b"], both, seed=1, sample=9).value
    assert (value.low, value.recorded, value.high, value.priced, value.exchanges) == (2.0, 3.0, 9.0, 2, 3)
    unknown = count([batch], None, ["a"], charged("2"), seed=1, sample=9)
    assert (unknown.value.low, unknown.value.recorded, unknown.value.high) == (None, None, None)
    assert (unknown.charged, unknown.exchanges, unknown.input_tokens) == (1, 2, None)


def test_an_exchange_counts_once_and_the_sample_is_the_seed_s() -> None:
    batch = rows_of(*((f"{n}", "a", n % 3, 1.0, 1) for n in range(40)), ("7", "a", 2, 1.0, 1))
    ids = charged(*(f"{n}" for n in range(40)))
    first, again, other = (count([batch], None, ["a"], ids, seed=seed, sample=5) for seed in (1, 1, 2))
    assert first.charged == 40
    assert first.sample == again.sample != other.sample


def test_a_reason_that_was_not_tested_says_so() -> None:
    evidence = [
        Evidence(family="workload", statistic="repeats", value=0.9, log_odds=-2.0, explanation="a list", p_value=None)
    ]
    part = Part(
        case_id="c", digest="d", links_nats=1.0, workload_nats=1.0, prior_nats=3.0, expected=None, looks=1,
        evidence=evidence, links=[],
    )  # fmt: skip
    outcomes = {row[0]: row[2] for row in alternatives(part).rows}
    assert outcomes.pop("A class, a benchmark or a test suite: everybody is given one list") == "speaks for this reason"
    assert outcomes.pop(UNTOLD) == "not excluded"
    assert outcomes.pop("One company, school or office that says so") == "no sign of it found"
    assert set(outcomes.values()) == {"not tested"}


def test_a_case_that_was_split_off_has_its_own_accounts_alone(deployment: Deployment, facts: Facts) -> None:
    taken = sorted(deployment.members)[:4]
    look = kept_look(deployment.data, deployment.file)
    child = msgspec.structs.replace(facts.record, only=tuple(taken))
    left = msgspec.structs.replace(
        facts.record, file=msgspec.structs.replace(facts.record.file, apart={"x": tuple(taken)})
    )
    for one, expected in ((child, set(taken)), (left, deployment.members - set(taken))):
        found = gather(deployment.data, one, look, seed=1, sample=3, now_us=NOW)
        assert {account.account_id for account in found.accounts} == expected
        assert found.traffic.charged == sum(account.charged for account in found.accounts)


def test_a_reason_is_said_once() -> None:
    proposal = {"action": "suspend", "by": "ann", "reason": "one card", "needed": 2, "approved_by": ["ann"]}
    cleared = [{"account_id": "a", "by": "ann", "reason": "by invoice"}]
    proposed = _differences({}, {"proposal": proposal}, "one card")
    assert proposed == ["suspend proposed by ann; 2 must agree, so far: ann"]
    assert "(one card)" in _differences({}, {"proposal": proposal}, "")[0]
    again = {"proposal": proposal | {"approved_by": ["ann", "bob"]}, "cleared": cleared}
    assert _differences({"proposal": proposal}, again, "by invoice") == [
        "suspend proposed by ann; 2 must agree, so far: ann, bob", "account a cleared by ann"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["$\\frac{$", "a$b$c", "<script>$"])
def test_an_account_s_name_is_drawn_as_it_is(name: str) -> None:
    assert f">{html.escape(name, quote=False)}</text>" in strips({name: [1, 2]}, NOW, HOUR, "s")
