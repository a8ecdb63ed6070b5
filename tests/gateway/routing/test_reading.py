"""A file of routes is read strictly: every fault names its line, and what to write instead."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.routing.files import ENVIRONMENT, TEXT, as_text, as_values, parsed, tiers
from tiergate.admission.models import Models
from tiergate.catalog.prices import shipped_prices
from tiergate.errors import InputError
from tiergate.gateway.routing.routes import parse
from tiergate.records import strict_yaml
from tiergate.records.strict_yaml import LARGEST, UnreadableError, read_tree


def test_the_file_says_what_it_says() -> None:
    routes = parsed()
    swift, own = routes.candidates["swift"], routes.candidates["own"]
    assert swift.upstream.key is not None
    assert swift.upstream.key.get_secret_value() == "sk-east-secret"
    assert "sk-east-secret" not in repr(routes)
    assert (swift.upstream_model, routes.candidates["wise"].upstream_model) == ("swift-2026-01", "wise")
    assert [price.input for price in swift.prices] == [1_000_000, 500_000]
    assert (swift.region, swift.retention_days) == ("us-east-1", 30)
    assert (own.region, own.upstream.private, own.upstream.key) == ("no", True, None)
    assert [one.name for one in routes.groups["chat"].candidates] == ["swift", "wise", "own"]
    assert routes.group("wise") is not None
    assert routes.group("nothing") is None


def test_policies_are_joined_and_only_tighten() -> None:
    routes = parsed()
    plain = routes.policy(organisation_id=None, account_id="a", credential_id="c")
    assert (plain.retention_days, plain.regions) == (30, None)
    both = routes.policy(organisation_id="acme", account_id="a", credential_id="cred_1")
    assert (both.retention_days, both.regions) == (0, {"eu", "no"})
    assert both.barred_origins == {"CN"}


@pytest.mark.parametrize(
    ("spoilt", "instead", "said"),
    [
        ("key_env: EAST_KEY", "kye_env: EAST_KEY", "no field `upstreams.east.kye_env`: did you mean `key_env`?"),
        ("read_s: 120", "read_ms: 120", "there is no field `upstreams.east.timeouts.read_ms`: did you mean `read_s`?"),
        ("policies:", "budgets:", "there is no field `budgets`: there are upstreams, models, groups, policies"),
        ("regions: [eu, no]", "region: [eu]", "no field `policies.organisations.acme.region`: did you mean `regions`?"),
        ("dialect: anthropic", "dialect: antropic", "`upstreams.west.dialect` is `antropic`: give one of openai, anth"),
        ("key_env: WEST_KEY", "key_env: sk-live-0123456789", "`upstreams.west.key_env`: expected `str` matching regex"),
        ("key_env: WEST_KEY", "key_env: NOT_SET", "set the environment variable `NOT_SET`"),
        ("upstream: west", "upstream: wset", "there is no upstream `wset`: did you mean `west`?"),
        ("candidates: [swift, wise]", "candidates: [swift, wize]", "there is no model `wize`: did you mean `wise`?"),
        ("candidates: [swift, wise]", "candidates: [swift, swift, wise]", "names a model twice"),
        ("{swift: 3, wise: 1}", "{swift: 3, own: 1}", "there is no candidate `own`"),
        ("strategy: weighted", "strategy: fastest", "`groups.spread.weights` says nothing under the strategy"),
        ("strategy: cheapest", "strategy: cheap", "`groups.chat.strategy` is `cheap`: give one of cheapest, fastest"),
        ("  spread:", "  swift:", "`groups.swift` has the name of a model"),
        ("origin: US", "origin: USA", "`models.swift.origin`: expected `str` matching regex"),
        ("context_tokens: 200_000", "context_tokens: many", "`models.wise.context_tokens`: expected `int`, got `str`"),
        ("upstream: west", "# upstream", "`models.wise.upstream` is missing"),
        ("url: https://api.west.example.com", "url: http://api.west.example.com", "would travel in the clear"),
        ("url: http://10.1.2.3", "url: http://169.254.169.254", "is never an upstream"),
        ("concurrency: 4", "concurrency: 0", "`upstreams.east.concurrency`: expected `int` >= 1"),
        ("- {from: 2026-06-01", "- {from: 2026-01-01", "has two prices from one day"),
        ("- {from: 2026-06-01", "- {from: 2026-06-31", "`models.swift.prices[1].from`: invalid RFC3339"),
        ("- {from: 2026-06-01", "- {since: 2026-06-01", "there is no field `models.swift.prices[1].since`"),
        ("    concurrency: 4", "    dialect: openai", "`dialect` stands here again, it is on line 4 too"),
        ("region: us-east-1", "region: &r us-east-1", "anchors and aliases are not read"),
        ("region: us-east-1", "region: *r", "anchors and aliases are not read"),
        ("region: us-east-1", "region: !!str x", "tags such as `tag:yaml.org,2002:str` are not read"),
        ("  house:", "  ? [house]\n  :", "a key must be a word"),
        ("policies:", "--- {}\n", "a second document begins here"),
        ("capabilities: [streaming]", "capabilities: [steaming]", "`models.own.capabilities`: invalid enum value"),
        ("candidates: [swift, wise, own]", "candidates: swift", "`groups.chat.candidates` must be a list, not `swift`"),
    ],
)  # fmt: skip
def test_a_fault_is_said_with_its_line(spoilt: str, instead: str, said: str) -> None:
    text = TEXT.replace(spoilt, instead, 1)
    assert text != TEXT
    with pytest.raises(InputError) as caught:
        parsed(text)
    message = str(caught.value)
    assert said in message
    assert "sk-live-0123456789" not in message
    at = TEXT[: TEXT.index(spoilt)].count("\n") + 1
    # What is missing is said at the name above, what contradicts another line may be said there.
    assert any(f"line {line}: " in message for line in range(at - 2, at + 2))


def test_every_fault_of_a_file_is_said_at_once() -> None:
    text = TEXT.replace("key_env", "key").replace("origin", "orgin").replace("strategy", "stratgy")
    with pytest.raises(InputError) as caught:
        parsed(text)
    assert str(caught.value).count("line ") == 7


@pytest.mark.parametrize("prices", ["prices: []", "free: false", "origin: US"])
def test_a_model_has_prices_or_is_said_to_be_free(prices: str) -> None:
    text = TEXT.replace("prices: [{from: 2026-01-01, input: 0, output: 0}]", prices)
    with pytest.raises(InputError, match=r"`models\.own` has no price, so every request would be refused"):
        parsed(text)


def test_what_is_free_is_said_to_be_and_has_no_price_beside() -> None:
    text = TEXT.replace("prices: [{from: 2026-01-01, input: 0, output: 0}]", "free: true")
    (price,) = parsed(text).candidates["own"].prices
    assert (price.from_us, price.input, price.output) == (0, 0, 0)
    both = TEXT.replace("prices: [{from: 2026-01-01, input: 0", "free: true\n    prices: [{from: 2026-01-01, input: 0")
    with pytest.raises(InputError, match=r"`models\.own` has more than one of `prices`, `list_price` and `free`"):
        parsed(both)


def test_list_prices_come_from_the_catalog_with_their_days() -> None:
    def own(catalog_id: str) -> str:
        return TEXT.replace("prices: [{from: 2026-01-01, input: 0, output: 0}]", f"list_price: {catalog_id}")

    prices = parsed(own("deepseek/deepseek-v4-pro")).candidates["own"].prices
    changes = shipped_prices().changes("deepseek/deepseek-v4-pro")
    assert [(one.input, one.output) for one in prices] == [
        (round(one.input * 1e6), round(one.output * 1e6)) for one in changes if one.input and one.output
    ]
    assert [one.from_us for one in prices] == sorted(one.from_us for one in prices)
    with pytest.raises(InputError, match=r"list_price`: no price is on file for `deepseek-v4-pro`: did you mean"):
        parsed(own("deepseek-v4-pro"))
    with pytest.raises(InputError, match="was no longer listed on 2026-03-31: give `prices`"):
        parsed(own("claude-3-5-sonnet-20241022"))


def test_a_billion_laughs_are_refused_at_the_first() -> None:
    text = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    with pytest.raises(UnreadableError, match="line 1: anchors and aliases"):
        read_tree(text.encode())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"#" * (LARGEST + 1), "larger than"),
        (b"[" * 100_000, "more than 16 levels"),
        (b"{a: " * 50_000, "more than 16 levels"),
        (b"a: 1\nb: \xff", "line 2: this is not UTF-8"),
        (b"a: 1\nb: [", "line 3: did not find expected node content"),
        (b"a: \x00", "control characters"),
        (b"", "the file is empty"),
        (b"# only a comment\n", "the file is empty"),
    ],
)
def test_what_is_no_such_file_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(UnreadableError, match=said):
        read_tree(content)


def test_a_yaml_library_without_its_c_part_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    as_before = parsed()
    monkeypatch.setattr(strict_yaml, "_LOADER", yaml.SafeLoader)
    assert parsed() == as_before
    for text in ("a: &a 1", "a: *a", "a: !!str 1", "a: 1\na: 2", "[" * 1_000, "? [a]\n: 1"):
        with pytest.raises(UnreadableError, match="line"):
            read_tree(text.encode())


def test_words_stay_words() -> None:
    node = read_tree(b"a: no\nb: 1:30\nc: 0x10\nd: 2026-01-02\ne: 1_000\nf: 1.5\ng: ~\nh: true\ni: '7'\nj: on\nk: 010")
    values = {name: below.value for name, below in node.value.items()}
    assert values == {
        "a": "no", "b": "1:30", "c": "0x10", "d": "2026-01-02", "e": 1000, "f": 1.5, "g": None, "h": True, "i": "7",
        "j": "on", "k": 10,
    }  # fmt: skip


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_nothing_but_a_fault_comes_of_garbage(content: bytes) -> None:
    with pytest.raises(InputError):
        parse(content, Models({}), {})


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.dates()
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(below, (*path, key))


PLACES = list(places(as_values()))[1:]


def changed(path: tuple[Any, ...], value: Any) -> str:
    values = copy.deepcopy(as_values())
    inner = values
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return as_text(values)


@given(st.sampled_from(PLACES), anything)
def test_a_value_is_taken_as_it_should_be_or_refused(path: tuple[Any, ...], value: Any) -> None:
    try:
        said = repr(parsed(changed(path, value)))
    except InputError as error:
        said = str(error)
    assert said.startswith(("Routes(", "line "))


def in_structs() -> list[tuple[Any, ...]]:
    """Paths of fields, not of names that the file's author chose."""
    free = {("upstreams",), ("models",), ("groups",), ("groups", "spread", "weights")}
    free |= {("policies", kind) for kind in ("organisations", "keys", "accounts")}
    return [path for path in PLACES if isinstance(path[-1], str) and path[:-1] not in free]


@given(st.sampled_from(in_structs()), st.sampled_from(["x", "_", "s"]))
def test_a_misspelt_field_anywhere_is_an_error_that_names_it(path: tuple[Any, ...], more: str) -> None:
    values = copy.deepcopy(as_values())
    inner = values
    for key in path[:-1]:
        inner = inner[key]
    wrong = path[-1] + more
    inner[wrong] = inner.pop(path[-1])
    with pytest.raises(InputError) as caught:
        parsed(as_text(values))
    assert f"{wrong}`: did you mean" in str(caught.value)


def test_what_is_written_by_another_program_reads_the_same() -> None:
    assert parsed(as_text(as_values())) == parsed()
    assert parsed(TEXT.replace("region: no", "region: 'no'").replace("[eu, no]", "[\"eu\", 'no']")) == parsed()


def test_tiers_are_not_mixed_silently() -> None:
    with pytest.raises(InputError) as caught:
        parsed(models=tiers(swift="classified", wise="commodity", own="open"))
    assert "of the tiers classified and commodity and open: write `offer: [open]`" in str(caught.value)
    offering = TEXT.replace("strategy: cheapest", "strategy: cheapest\n    offer: [open, commodity]", 1)
    offering = offering.replace("candidates: [swift, wise]", "candidates: [swift]").replace(
        "{swift: 3, wise: 1}", "{swift: 3}"
    )
    routes = parsed(offering, models=tiers(swift="classified", wise="commodity", own="open"))
    chat = routes.groups["chat"]
    assert [one.name for one in chat.candidates] == ["swift"]
    assert [one.name for one in chat.offered] == ["wise", "own"]
    with pytest.raises(InputError, match="would offer `own` of a higher tier"):
        parsed(offering.replace("open, commodity", "classified"), tiers(swift="open", wise="open", own="classified"))
    everyone = offering.replace("offer: [open, commodity]", "offer: [classified, commodity, open]")
    with pytest.raises(InputError, match="none is left to try"):
        parsed(everyone, models=tiers(swift="classified", wise="commodity", own="open"))


def test_where_tiers_are_in_force_every_model_has_one() -> None:
    with pytest.raises(InputError, match=r"`models.own` has no row in models.toml"):
        parsed(models=tiers(swift="classified", wise="classified"))


def test_another_name_opens_no_higher_tier() -> None:
    alias = TEXT.replace("  own:\n    upstream: house", "  own:\n    upstream: east\n    upstream_model: swift-2026-01")
    known = tiers(swift="classified", wise="classified", own="commodity")
    with pytest.raises(InputError, match=r"`models.own` and `models.swift` are one model at the upstream"):
        parsed(alias, models=known)
    by_name = TEXT.replace("upstream_model: swift-2026-01", "upstream_model: wise")
    with pytest.raises(InputError, match=r"`models.swift` asks for `wise`, which models.toml lists as classified"):
        parsed(by_name, models=tiers(swift="commodity", wise="classified", own="commodity"))


def test_a_key_with_a_line_break_is_refused_without_being_shown() -> None:
    with pytest.raises(InputError, match="holds what no header can carry") as caught:
        parse(TEXT.encode(), Models({}), ENVIRONMENT | {"EAST_KEY": "sk-east\r\nX-Evil: 1"})
    assert "sk-east" not in str(caught.value)
