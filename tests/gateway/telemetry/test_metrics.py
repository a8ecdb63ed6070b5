"""`/metrics` of a real gateway, scraped and parsed: it agrees with the exchange log, and names nobody."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.gateway.conftest import Deployed, deployed
from tests.gateway.telemetry.conftest import MODELS, Scrape, admin_of, get, scrape, until
from tiergate.admission.models import FILE
from tiergate.errors import SettingsError
from tiergate.gateway.telemetry.admin import check
from tiergate.gateway.telemetry.counters import BUCKETS_S, MOST_NAMES, OTHER, Counters, Names
from tiergate.records.schema import Exchange
from tiergate.settings import Settings

TOKEN = "a-token-for-readers"
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def priced(upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("priced")
    (folder / "data").mkdir()
    (folder / "data" / FILE).write_text(MODELS)
    with deployed(folder, upstream, metrics_port="0") as gateway:
        yield gateway


def test_what_is_counted_is_what_the_log_has(priced: Deployed) -> None:
    customer = priced.customer()
    for _ in range(3):
        customer.ask()
    for _ in customer.ask(stream=True, stream_options={"include_usage": True}):
        pass
    with pytest.raises(openai.APIStatusError):
        customer.client.chat.completions.create(model="a-model-that-nobody-priced", messages=[])
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{priced.address}/v1", api_key="tg_wrong", max_retries=0).models.list()
    found, rows = scrape(priced), priced.rows(customer.account_id)
    assert len(rows) == 5
    by_status = Counter(row["status"] for row in rows)
    for status, count in by_status.items():
        assert found.value("tiergate_exchanges_total", surface="chat", status=str(status)) == count
    (refused,) = [row for row in rows if row["status"] >= 400]
    # A name that its caller made up is no label.
    assert found.value("tiergate_exchanges_total", model=OTHER, code=refused["finish_reason"]) == 1
    assert found.value("tiergate_exchange_duration_seconds_count", stream="false") == 4
    assert found.value("tiergate_time_to_first_token_seconds_count", stream="true", model="model-small") == 1
    for name in ("input_tokens", "output_tokens", "cached_input_tokens", "cost_micro_usd"):
        assert found.value(f"tiergate_{name}_total") == sum(row[name] or 0 for row in rows)
    assert found.value("tiergate_cost_micro_usd_total") > 0
    taken = sum(row["latency_ms"] for row in rows) / 1000
    assert found.value("tiergate_exchange_duration_seconds_sum") == pytest.approx(taken)
    assert found.value("tiergate_http_requests_total", path="/v1/chat/completions") == 5
    assert found.value("tiergate_http_requests_total", path="/v1/models", status="401") == 1
    assert found.value("tiergate_credentials") == len(priced.keys)
    assert found.value("process_resident_memory_bytes") > 0


def test_a_scrape_keeps_the_rules_of_the_format(priced: Deployed) -> None:
    priced.customer().ask()
    found = scrape(priced)
    names = [family.name for family in found.families]
    assert len(names) == len(set(names)) > 30
    for family in found.families:
        # The rules of `promtool check metrics`.
        assert re.fullmatch(r"[a-z][a-z0-9_]*", family.name)
        assert family.documentation
        assert not re.search(r"_(milliseconds|ms|kb|mb|kilobytes|gauge|counter|histogram)\b", family.name)
        shown = {sample.name for sample in family.samples}
        if family.type == "counter":
            assert all(name.endswith("_total") for name in shown)
        elif family.type == "gauge":
            assert not any(name.endswith(("_total", "_count", "_sum", "_bucket")) for name in shown)
    samples = [sample for family in found.families for sample in family.samples]
    assert len({(one.name, *sorted(one.labels.items())) for one in samples}) == len(samples)
    labels = {name for sample in samples for name in sample.labels}
    assert not labels & {"account", "account_id", "organization", "credential", "key", "user", "client"}
    assert "acct-" not in found.text


def test_callers_of_the_api_do_not_reach_metrics(priced: Deployed) -> None:
    customer = priced.customer()
    for key in (None, customer.key):
        assert get(f"{priced.address}/metrics", key)[0] == 404
    for path in ("/", "/v1/chat/completions", "/metrics/"):
        assert get(f"{admin_of(priced)}{path}")[0] == 404


def test_a_token_is_asked_where_there_is_one(upstream: str, tmp_path: Path) -> None:
    with deployed(tmp_path, upstream, metrics_port="0", metrics_token=TOKEN) as gateway:
        admin = admin_of(gateway)
        assert [get(f"{admin}/metrics", token)[0] for token in (None, "another", TOKEN)] == [401, 401, 200]
        assert get(f"{admin}/healthz")[0] == 200
        assert get(f"{admin}/readyz")[0] == 200
        assert TOKEN not in gateway.output.read_text()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "metrics.example.com"])
def test_metrics_beyond_this_machine_need_a_token(host: str) -> None:
    with pytest.raises(SettingsError, match="TIERGATE_METRICS_TOKEN"):
        check(Settings(metrics_port=9464, metrics_host=host))
    check(Settings(metrics_port=9464, metrics_host=host, metrics_token=SecretStr(TOKEN)))
    check(Settings(metrics_host=host))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_metrics_on_this_machine_need_none(host: str) -> None:
    check(Settings(metrics_port=9464, metrics_host=host))


def test_requests_that_cannot_be_read_are_counted(priced: Deployed) -> None:
    import socket

    before = scrape(priced).value("tiergate_http_requests_total", path="unreadable", status="400")
    with socket.create_connection(("127.0.0.1", priced.port), timeout=10) as caller:
        caller.sendall(b"no request\r\n\r\n")
        while caller.recv(1 << 16):
            pass
    until(lambda: scrape(priced).value("tiergate_http_requests_total", path="unreadable", status="400") == before + 1)


@given(st.lists(st.tuples(st.text(max_size=200), st.booleans()), max_size=300), st.integers(0, 20))
def test_names_are_bounded_and_stay_what_they_were(asked: list[tuple[str, bool]], most: int) -> None:
    names = Names(most)
    names.know(["known"])
    given_to: dict[str, str] = {}
    for name, earned in asked:
        label = names.label(name, earned=earned)
        assert label in (name, OTHER)
        # Who has a label keeps it: a series that went over into another would count twice.
        if given_to.get(name, OTHER) != OTHER:
            assert label == name
        given_to[name] = label
    assert len({*given_to.values()} - {OTHER, "known"}) <= max(most, 1)
    assert names.label("known", earned=False) == "known"


@given(st.lists(st.floats(0, 200_000, allow_nan=False), max_size=50))
def test_each_duration_is_in_the_first_bucket_that_holds_it(milliseconds: list[float]) -> None:
    counters = Counters()
    for one in milliseconds:
        exchange = Exchange(
            exchange_id="e", started_at=0, account_id="a", operation="chat", request_model="m", status=200,
            latency_ms=one,
        )  # fmt: skip
        counters.add(exchange, None)
    for series in counters.series.values():
        assert sum(series.durations.counts) == len(milliseconds) == series.outcomes[200, ""]
        for place, bound in enumerate(BUCKETS_S):
            assert sum(series.durations.counts[: place + 1]) == sum(one / 1000 <= bound for one in milliseconds)


def test_no_caller_makes_series_without_end() -> None:
    counters = Counters()
    for number in range(3 * MOST_NAMES):
        for status in (200, 404):
            exchange = Exchange(
                exchange_id="e", started_at=0, account_id="a", operation="chat", request_model=f"m{number}{status}",
                status=status, finish_reason=f"reason-{number}",
            )  # fmt: skip
            counters.add(exchange, None)
    assert len(counters.series) == MOST_NAMES + 1
    assert len(counters.series["chat", OTHER, False].outcomes) <= MOST_NAMES + 2


def test_the_page_has_every_metric(priced: Deployed) -> None:
    page = (ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")
    own = {_full_name(family.name, family.type) for family in Scrape(scrape(priced).text).families}
    own = {name for name in own if name.startswith("tiergate_")}
    assert sorted(name for name in own if f"`{name}`" not in page) == []
    assert sorted(set(re.findall(r"`(tiergate_[a-z_]+)`", page)) - own) == []


def _full_name(name: str, kind: str) -> str:
    return f"{name}_total" if kind == "counter" else name
