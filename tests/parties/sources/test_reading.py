"""Files that mean harm, or are no more what they were: bounded, refused by the record, told."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.parties.sources.conftest import ReadText, read_files
from tiergate.errors import InputError
from tiergate.parties.sources import reading
from tiergate.parties.sources.reading import Feed, csv_rows, json_objects, xml_records
from tiergate.parties.sources.values import UnreadableError, bounds, instant
from tiergate.records.refused import RefusedRows

LINE = json.dumps({"recordId": "a", "recordType": "entity", "recordDetails": {"name": "A"}}) + "\n"


@pytest.fixture
def feed() -> Feed:
    return Feed("test", RefusedRows(None))


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


@pytest.mark.parametrize(
    "pack", [gzip.compress, lambda data: zipped({"x": data}), lambda data: pa.compress(data, "zstd", asbytes=True)]
)
def test_a_bomb_is_given_up(
    pack: Callable[[bytes], bytes], read_text: ReadText, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "FREELY_EXPANDED", 1 << 20)
    with pytest.raises(InputError, match="unpacks to over 250 times its size"):
        read_text("bods", pack(LINE.encode() + b" " * (20 << 20)))


def test_an_archive_holds_one_file(read_text: ReadText) -> None:
    with pytest.raises(InputError, match="holds 2 files"):
        read_text("bods", zipped({"a": b"", "b": b""}))
    with pytest.raises(InputError, match="is not a readable zip archive"):
        read_text("bods", b"PK\x03\x04 and no more")
    assert len(read_text("bods", zipped({"folder/": b"", "folder/a": LINE.encode()}))) == 1


def test_a_stream_cut_in_the_middle_is_told(read_text: ReadText) -> None:
    lines = "".join(LINE.replace('"a"', f'"{n * 2_654_435_761 % 10**9}"') for n in range(20_000))
    packed = gzip.compress(lines.encode())
    facts = read_text("bods", packed[: len(packed) // 2])
    assert 0 <= len(facts) < 20_000
    assert not facts.whole
    assert ": the stream breaks off" in facts.refused.by_reason


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(InputError):
            read_files("bods", path)


def test_lines_have_a_longest(read_text: ReadText, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LONGEST_RECORD", 1 << 16)
    long = LINE.replace("A", "A" * 500_000)
    facts = read_text("bods", LINE + long + LINE + long)
    assert len(facts) == 2
    assert list(facts.refused.by_reason) == [": is longer than 0 MiB"]
    array = read_text("bods", f"[{LINE},{long},{LINE}]")
    assert len(array) == 2
    assert array.refused.count == 1


@pytest.mark.parametrize("depth", [100, 100_000])
def test_depth_costs_the_record(depth: int, read_text: ReadText) -> None:
    deep = '{"a":' + "[" * depth + "]" * depth + "}\n"
    assert len(read_text("bods", LINE + deep + LINE)) == 2
    assert len(read_text("bods", f"[{LINE},{deep},{LINE}]")) == 2


def test_braces_in_text_are_text(read_text: ReadText) -> None:
    odd = LINE.replace('"A"', json.dumps('}{]["\\'))
    facts = read_text("bods", f"[{odd},{LINE}]")
    assert [one.name for one in facts.parties] == ['}{]["\\', "A"]


def test_no_object_at_all(read_text: ReadText) -> None:
    with pytest.raises(InputError, match="is no JSON of objects"):
        read_text("bods", "1\n2\n")


def test_csv_that_is_none(tmp_path: Path, feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LONGEST_RECORD", 1 << 12)
    path = tmp_path / "x.csv"
    path.write_bytes(b'a,b\n1,2\n3\n\xff,4\n5,6\n7,"' + b"8\n" * 5_000 + b'"\n9,\x000\n')
    rows = [row for _, row in csv_rows(path, feed, ("a",))]
    assert rows[:2] == [{"a": "1", "b": "2"}, {"a": "5", "b": "6"}]
    assert {": has not as many fields as the header", ": is not UTF-8"} <= feed.refused.by_reason.keys()
    assert any("is no CSV" in reason for reason in feed.refused.by_reason)


def test_a_csv_record_without_end_costs_the_rest_of_its_file(
    tmp_path: Path, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LONGEST_RECORD", 1 << 12)
    path = tmp_path / "x.csv"
    # Each field is short, and a line break in it lets the record go on.
    path.write_bytes(b"a,b\n1,2\n" + b'"3\n",' * 5_000 + b"4\n5,6\n")
    assert [row for _, row in csv_rows(path, feed, ("a",))] == [{"a": "1", "b": "2"}]
    assert list(feed.refused.by_reason) == [": a record is longer than 0 MiB"]
    assert not feed.whole


def test_xml_depth_and_length(tmp_path: Path, feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LONGEST_RECORD", 1 << 12)
    path = tmp_path / "x.xml"
    deep = "<a>" * 500 + "</a>" * 500
    path.write_text(f"<all><r>{deep}</r><r><n>{'x' * 9_000}</n></r><r><n> ok </n><m/></r></all>")
    ((number, node),) = xml_records(path, feed, "r")
    assert (number, node.get("n"), node.get("m"), node.get("o")) == (3, "ok", None, None)
    assert feed.refused.count == 2


def test_progress_is_told(tmp_path: Path, feed: Feed) -> None:
    passed: list[int] = []
    feed.passed = passed.append
    path = tmp_path / "x.jsonl"
    path.write_text(LINE * 1_000)
    assert len(list(json_objects(path, feed))) == 1_000
    assert sum(passed) >= path.stat().st_size


@given(st.decimals(0, 100, allow_nan=False, places=8))
def test_bounds_hold_the_share(share: Decimal) -> None:
    low, high = bounds(str(share))
    assert low <= share * 10_000 <= high
    assert high - low <= 1
    above, below = (
        bounds(above=str(share))[0] if share < 100 else 10**6 + 1,
        bounds(below=str(share))[1] if share else -1,
    )
    assert below < share * 10_000 < above


def test_sixty_digits_over_fifty_are_over_fifty() -> None:
    assert bounds("50." + "0" * 58 + "1") == (500_000, 500_001)


@pytest.mark.parametrize(
    ("text", "end", "time"),
    [
        ("1970-01-01", False, 0), ("1970-01-01T00:00:01.5Z", False, 1_500_000), ("1970-01-01T01:00:00+01:00", False, 0),
        ("1970", False, 0), ("1969", True, 0), ("1969-12", True, 0), ("9998-12-31", True, 253_370_678_400_000_000),
        ("", False, None),
    ],
)  # fmt: skip
def test_times(text: str, end: bool, time: int | None) -> None:
    assert instant(text, "x", end=end) == time


@pytest.mark.parametrize("text", ["soon", "9999", "2026-02-30", "0000-01-01", "1" * 10_000, 5, ["2026"]])
def test_times_that_are_none(text: object) -> None:
    with pytest.raises(UnreadableError, match="is no date"):
        instant(text, "x", end=True)
